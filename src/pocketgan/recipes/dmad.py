"""DMAD at its published budgets: masks learnt on the teacher, cut, recovered; 200 epochs each.

pocketgan recipes horse2zebra-teacher --out runs/horse2zebra
pocketgan recipes dmad-horse2zebra --out runs/dmad-horse2zebra

A recipe's `teacher` is what the teacher's recipe of published.py writes: runs/NAME of NAME-teacher. zebra2horse and
winter2summer are the way back of the same data: generator_B of the teacher's run, direction BtoA.

Published figures (README of DMAD and its table I), not reproduced here; MACs in the literature's count (Gpaper):

| recipe | MACs (G) | parameters (M) | metric | metric of the original |
|---|---|---|---|---|
| dmad-horse2zebra | 3.97 | 0.42 | FID 62.41 | 74.04 |
| dmad-horse2zebra-mobile | 2.41 | 0.28 | FID 62.96 | - |
| dmad-zebra2horse | 3.50 | 0.30 | FID 139.3 | 137.8 |
| dmad-zebra2horse-mobile | 4.00 (a) | - | - | - |
| dmad-summer2winter | 3.18 | 0.24 | FID 78.24 | 79.12 |
| dmad-summer2winter-mobile | 2.50 (b) | - | - | - |
| dmad-winter2summer | 4.29 | 0.45 | FID 70.97 | 73.31 |
| dmad-winter2summer-mobile | 4.00 (b) | - | - | - |
| dmad-edges2shoes | 2.99 | 2.13 | FID 46.95 | - (c) |
| dmad-edges2shoes-mobile | 4.30 | 0.54 | FID 24.08 | - |
| dmad-cityscapes | 3.96 | 1.73 | mIoU 40.53 | 42.71 |
| dmad-cityscapes-mobile | 4.39 | 0.55 | mIoU 41.47 | - |

Each is the MACs of the checkpoint. What the released scripts asked of the search lies above it: CycleGAN 4.0, mobile
CycleGAN 2.5 and 4.0 (back), U-Net 3.0 (edges2shoes) and 4.0 (cityscapes), mobile pix2pix 4.5.
(a) No figure was published: the budget is the script's target. (b) There is neither a figure nor a script: the budgets are
the targets of mobile horse2zebra, there and back. (c) The printed figure could not be read with certainty.

What else is doubtful in them:
- The ratios of the U-Net rows (6.2x, 4.7x) are to 18.6 G; the U-Net has 18.14 G in that count. The ratios of the mobile rows
  are to other networks (56.8 G, 18.6 G): the mobile teacher has 18.37 G and 1.99 M parameters.
- Rows are not comparable across protocols. These FIDs are the best of many evaluations on the test set, against statistics
  of unknown images; GAN Compression and CAT measure 61 to 66 for the original CycleGAN on horse2zebra.
- 200 epochs of edges2shoes are 2.5 million steps of batch 4 (mobile: 10 million of batch 1), search and recovery each. GAN
  Compression takes 20 epochs: search.epochs=20 recovery.epochs=20.

Settings: section IV-A and the released scripts. Adam 2e-4 (0.5, 0.999), linear to 0 in the second half; CycleGAN load size
286, mirrored, lsgan; pix2pix at its size, not mirrored, hinge. Loss weights: L1 100 for paired data; 10, the published
cycle weight, for unpaired data, where the student learns one way and L1 is to the teacher's image in the place of the
cycle. The method and what the student imitates are ours: the defaults of `dmad` and of `compress`. The published ones are
presets of the method, which `compress` takes for the same run: `--preset paper`, or, both ways in one search, a budget each,

pocketgan compress runs/horse2zebra/generator_A.safetensors --data datasets/horse2zebra --task unpaired --budget 3.97Gpaper \
--method dmad --preset release --epochs 200 --batch 1 --out runs/release budget_back=3.50Gpaper recovery.weights.l1=10 \
data.load_size=286 data.flip=true
"""

from __future__ import annotations

from dataclasses import dataclass

from pocketgan.data.config import DataConfig, Direction
from pocketgan.pipeline.config import CompressConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What the two recipes of a task share."""

    title: str
    folder: str
    """Of the data."""
    teacher: str
    """The teacher's run, without the name of the generator."""
    budgets: tuple[str, str]
    """In G: of the network of CycleGAN or pix2pix, and of the mobile one."""
    paired: bool = False
    direction: Direction = "AtoB"
    batch: int = 1
    """Of the first; the mobile scripts have 1."""

    def student(self, mobile: bool) -> CompressConfig:
        """The configuration; see the header."""
        run = self.teacher + ("-mobile" if mobile else "-unet" if self.paired else "")
        side = "" if self.paired else "_A" if self.direction == "AtoB" else "_B"
        fit = TrainingConfig(
            epochs=200,
            batch=1 if mobile else self.batch,
            weights={"l1": 100.0 if self.paired else 10.0},
            checkpoint_every=2000,
        )
        return CompressConfig(
            teacher=f"runs/{run}/generator{side}.safetensors",
            data=DataConfig(
                path=f"datasets/{self.folder}",
                direction=self.direction,
                load_size=None if self.paired else 286,
                flip=not self.paired,
            ),
            budget=f"{self.budgets[mobile]}Gpaper",
            task="paired" if self.paired else "unpaired",
            method="dmad",
            gan="hinge" if self.paired else "lsgan",
            recovery=fit,
            search=fit,
        )

    def summary(self, mobile: bool) -> str:
        """One line."""
        network = "mobile ResNet-9" if mobile else "U-Net-256" if self.paired else "ResNet-9"
        return f"DMAD, {self.title}: {network} to {self.budgets[mobile]} G in the literature's count, 200 + 200 epochs."


_HORSES, _YOSEMITE, _SHOES = "horse2zebra", "summer2winter_yosemite", "edges2shoes-r"

_TASKS = {
    "horse2zebra": _Task(title="horses -> zebras", folder=_HORSES, teacher="horse2zebra", budgets=("3.97", "2.41")),
    "zebra2horse": _Task(
        title="zebras -> horses", folder=_HORSES, teacher="horse2zebra", budgets=("3.50", "4.00"), direction="BtoA"
    ),
    "summer2winter": _Task(title="summer -> winter", folder=_YOSEMITE, teacher="summer2winter", budgets=("3.18", "2.50")),
    "winter2summer": _Task(
        title="winter -> summer", folder=_YOSEMITE, teacher="summer2winter", budgets=("4.29", "4.00"), direction="BtoA"
    ),
    "edges2shoes": _Task(
        title="edges -> shoes", folder=_SHOES, teacher="edges2shoes", budgets=("2.99", "4.30"), paired=True, batch=4
    ),
    "cityscapes": _Task(
        title="labels -> streets",
        folder="cityscapes",
        teacher="cityscapes",
        budgets=("3.96", "4.39"),
        paired=True,
        direction="BtoA",
    ),
}


def _register(name: str, task: _Task, mobile: bool) -> None:
    def recipe() -> CompressConfig:
        return task.student(mobile)

    recipe.__doc__ = task.summary(mobile)
    RECIPES.register(f"dmad-{name}{'-mobile' if mobile else ''}")(recipe)


for _name, _task in _TASKS.items():
    _register(_name, _task, mobile=False)
    _register(_name, _task, mobile=True)
