"""GAN Compression as published (Li et al. 2020): a supernet and a search in it, by the full pipeline and by the fast one.

pocketgan recipes horse2zebra-teacher --out runs/horse2zebra
pocketgan recipes gan-compression-horse2zebra --out runs/gan-compression-horse2zebra
pocketgan recipes gan-compression-horse2zebra-fast --out runs/gan-compression-horse2zebra-fast

A recipe's `teacher` is what the teacher's recipe of published.py writes: runs/NAME of NAME-teacher. The full pipeline trains
a mobile teacher, distils a narrower one from it, makes the supernet of that and tries everything that the budget allows; in
the fast one (`-fast`) the dense teacher teaches a supernet that begins with fresh weights, and an evolution searches. The
same by `compress`, which can stop after a stage (`--to`) and do one again (`--from prune` with another `--budget` searches the
same supernet for another network):

pocketgan compress runs/horse2zebra/generator_A.safetensors --data datasets/horse2zebra --task unpaired --budget 2.6Gpaper \
--pipeline full --method gan-compression --objective features --gan lsgan --epochs 200 --batch 1 --out runs/full \
data.load_size=286 data.flip=true full.discriminator_options.ndf=64 full.importance=l1 \
search.epochs=400 recovery.epochs=null recovery.steps=0 \
'search.weights={"l1":10,"features":0.01}' 'full.distill.weights={"l1":10,"features":0.01}' \
'method_options={"space":"channels-32","importance":"l1","strategy":"brute-force","candidates":6561,"images":120}' \
method_options.use=0 method_options.halving=false method_options.evaluate_every=20000

Published figures (README of the authors' code), not reproduced here; MACs in the literature's count (Gpaper). Retrained: the
full pipeline by the released code; paper: the networks of the paper; fast: the fast pipeline.

| recipe | row | configuration | MACs (G) | parameters (M) | quality | of the original |
|---|---|---|---|---|---|---|
| gan-compression-horse2zebra | retrained | 16_16_32_16_32_32_16_16 | 2.55 | 0.357 | FID 65.12 | 65.75 |
| gan-compression-horse2zebra | paper (a) | 24_24_24_32_20_16 | 2.67 | 0.342 | FID 65.33 | 65.75 |
| gan-compression-horse2zebra-fast | fast | 16_16_24_16_32_64_16_24 | 2.64 | 0.355 | FID 65.19 | 65.75 |
| gan-compression-edges2shoes | retrained | 32_32_48_32_48_48_16_16 | 4.99 | 0.822 | FID 26.70 | 24.12 |
| gan-compression-edges2shoes | paper (a, b) | 32_32_40_48_16_32 | 4.81 | 0.700 | FID 26.60 | 24.12 |
| gan-compression-edges2shoes-fast | fast (c) | 24_24_40_56_24_56_16_40 | 4.83 | 0.703 | FID 25.76 | 24.12 |
| gan-compression-cityscapes | retrained | 32_32_48_32_32_48_24_24 | 5.59 | 0.781 | mIoU 38.63 | 42.06 |
| gan-compression-cityscapes | paper (a) | 48_32_40_40_24_32 | 5.66 | 0.707 | mIoU 40.77 | 42.06 |
| gan-compression-cityscapes-fast | fast (d) | 32_32_48_32_64_40_16_32 | 5.61 | 0.867 | mIoU 41.71 | 42.06 |
| gan-compression-cityscapes-fast | shipped (d) | 16_24_48_56_40_48_24_16 | 5.45 | 0.886 | - | 42.06 |
| gan-compression-maps | retrained | 32_32_48_32_48_32_16_16 | 4.68 | 0.746 | FID 48.02 | 47.91 |
| gan-compression-maps-fast | fast (d) | 32_32_48_40_32_32_16_16 | 4.53 | 0.708 | FID 48.67 | 47.91 |
| gan-compression-maps-fast | shipped (d) | 16_16_40_40_40_64_24_16 | 4.57 | 0.720 | - | 47.91 |

(a) Of older code, with one hidden width for all blocks; on horse2zebra (whose 20 is no choice of the space, either) and on
cityscapes above the budget of the recipe. (b) Only the first block of every third has its own hidden width. (c) The one figure
without the cost of norms; 4.86 with them. (d) Stale: the figures are of an earlier model, what was shipped later is another.

What was published, and what is here:
- Budgets: the evolution's are the scripts'. The brute force had none: here it is the retrained network's MACs, rounded up.
- `candidates`: brute force is everything within the budget: 2235 networks on horse2zebra, 1111, 2060 and 704 on the others.
  The evolution ran for 500 generations of 100 and was seen to converge after about 8; here it is ten, 1000 candidates. All are
  scored on all images; `method_options.halving=true` takes a fifth of the images. `use` is 0, as published: with the default,
  0.9, the fast pipeline's network of horse2zebra would not be a candidate.
- The criterion: FID, on cityscapes mIoU, of networks with inherited weights on images held out from training, as many as
  here. Here it is the distance to the teacher's images, which needs no weights of others; `evaluation.features=inception:legacy
  method_options.fitness=frechet` is the published criterion. On cityscapes `evaluation.segmenter=drn-d-105
  evaluation.table=datasets/cityscapes/val_table.txt evaluation.table_root=datasets/cityscapes` measures the mIoU of what was
  found (docs/cat.md says how to have its weights); the recipes of gaugan.py search by it.
- Order of the channels: the full pipeline's mobile teacher was cut by filter L1 norms, and their order stayed. Here it is cut
  by them, too, and the channels of what was distilled are sorted by them anew. In the fast one nothing is sorted.
- The rate decays by steps, not by epochs; discriminator and generator take turns, where the published supernet's gradients
  are both of the networks before the step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pocketgan.data.config import DataConfig, Direction
from pocketgan.losses import GanMode
from pocketgan.pipeline.config import CompressConfig, FullConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.training.config import TrainingConfig

SIZES = {"channels-32": 6561, "channels-48": 5184}
"""Of the spaces that are searched by brute force: as many candidates are all that a budget allows."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What the two recipes of a task share; the defaults are pix2pix's."""

    title: str
    folder: str
    """Of the data."""
    epochs: tuple[int, int]
    """At the full learning rate, and of its decay; the supernet trains for twice as many."""
    l1: float = 100.0
    """The weight of the L1 to the target or the teacher's image."""
    distil: float = 1.0
    """The weight of the features."""
    batch: int = 1
    ngf: int | None = None
    """Of the mobile teacher; None is the dense one's 64."""
    width: float = 0.5
    """The part of it that is distilled."""
    spaces: tuple[str, str] = ("channels-48", "channels-64-pix2pix")
    """Of the full pipeline and of the fast one, as in what follows."""
    budgets: tuple[str, str]
    """In G."""
    tuned: tuple[bool, bool] = (True, True)
    """Whether the network that was found was trained further."""
    evolution: dict[str, float]
    """What of its options is not the default."""
    images: int
    """Held out to score on."""
    evaluate_every: int = 20_000
    """Steps of the supernet's training between two looks at its ends; the scripts' ``save_latest_freq``."""
    paired: bool = True
    direction: Direction = "AtoB"

    @property
    def gan(self) -> GanMode:
        """The adversarial loss."""
        return "hinge" if self.paired else "lsgan"

    @property
    def discriminator(self) -> dict[str, Any]:
        """The options of every new one."""
        return {"ndf": 128 if self.paired else 64}

    def fit(self, times: int = 1) -> TrainingConfig:
        """A training against a teacher, so many times as long as the first."""
        constant, decaying = self.epochs
        return TrainingConfig(
            epochs=times * (constant + decaying),
            batch=self.batch,
            decay_start=constant / (constant + decaying),
            weights={"l1": self.l1, "features": self.distil},
            checkpoint_every=2000,
        )

    def student(self, name: str, fast: bool) -> CompressConfig:
        """What both pipelines have in common, and the fast one's own."""
        side = "" if self.paired else "_A"
        return CompressConfig(
            teacher=f"runs/{name}/generator{side}.safetensors",
            data=DataConfig(path=f"datasets/{self.folder}", direction=self.direction, load_size=286, flip=True),
            budget=f"{self.budgets[fast]}Gpaper",
            task="paired" if self.paired else "unpaired",
            method="gan-compression",
            method_options={"space": self.spaces[fast], **self.scored, **self.searched(fast)},
            objective="features",
            start="mobile" if fast else "teacher",
            discriminator_options=self.discriminator if fast else None,
            gan=self.gan,
            search=self.fit(times=2),
            recovery=self.fit() if self.tuned[fast] else TrainingConfig(steps=0, batch=self.batch),
        )

    @property
    def scored(self) -> dict[str, Any]:
        """What is scored, and on what, as options of the method."""
        return {"use": 0.0, "images": self.images, "halving": False, "evaluate_every": self.evaluate_every}

    def searched(self, fast: bool) -> dict[str, Any]:
        """How the supernet begins and is searched, as options of the method."""
        if fast:
            return {"importance": "none", "strategy": "evolution", "strategy_options": self.evolution, "candidates": 1000}
        return {"importance": "l1", "strategy": "brute-force", "candidates": SIZES[self.spaces[0]]}

    def full(self, name: str) -> CompressConfig:
        """With the stages before the supernet: CycleGAN's or pix2pix's own task, then that of the student."""
        weights = {"l1": self.l1} if self.paired else {}
        stages = FullConfig(
            ngf=self.ngf,
            discriminator_options=self.discriminator,
            teacher=replace(self.fit(), weights=weights),
            width=self.width,
            importance="l1",
            distill=self.fit(),
        )
        return replace(self.student(name, fast=False), pipeline="full", full=stages)

    def summary(self, fast: bool) -> str:
        """One line."""
        way, space, budget = "fast" if fast else "full", self.spaces[fast], self.budgets[fast]
        return f"GAN Compression, {self.title}: {way} pipeline, {space}, {budget} G in the literature's count."


_TASKS = {
    "horse2zebra": _Task(
        title="horses -> zebras",
        folder="horse2zebra",
        epochs=(100, 100),
        l1=10.0,
        distil=0.01,
        spaces=("channels-32", "channels-64-cycleGAN"),
        budgets=("2.6", "3.0"),
        tuned=(False, False),
        evolution={"mutation": 0.4, "weight": 2.0},
        images=120,
        paired=False,
    ),
    "edges2shoes": _Task(
        title="edges -> shoes",
        folder="edges2shoes-r",
        epochs=(5, 15),
        batch=4,
        width=0.75,
        budgets=("5.0", "4.9"),
        evolution={"mutation": 0.3},
        images=2048,
    ),
    "cityscapes": _Task(
        title="labels -> streets",
        folder="cityscapes",
        epochs=(100, 150),
        ngf=96,
        budgets=("5.6", "5.7"),
        tuned=(True, False),
        evolution={"mutation": 0.3},
        images=200,
        evaluate_every=25_000,
        direction="BtoA",
    ),
    "maps": _Task(
        title="map -> aerial photo",
        folder="maps",
        epochs=(100, 200),
        l1=10.0,
        distil=0.01,
        ngf=96,
        budgets=("4.7", "4.6"),
        evolution={"mutation": 0.3},
        images=300,
        direction="BtoA",
    ),
}


def _register(name: str, task: _Task, fast: bool) -> None:
    def recipe() -> CompressConfig:
        return task.student(name, fast=True) if fast else task.full(name)

    recipe.__doc__ = task.summary(fast)
    RECIPES.register(f"gan-compression-{name}{'-fast' if fast else ''}")(recipe)


for _name, _task in _TASKS.items():
    _register(_name, _task, fast=False)
    _register(_name, _task, fast=True)
