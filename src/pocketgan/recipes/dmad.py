"""DMAD at its published budgets: masks learned on the teacher, pruning, recovery; 200 epochs each.

pocketgan recipes horse2zebra-teacher --out runs/horse2zebra
pocketgan recipes dmad-horse2zebra --out runs/dmad-horse2zebra

zebra2horse and winter2summer are the other direction of the same data: generator_B of the teacher's run, direction BtoA.

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

The MACs are those of the released checkpoint. The targets of the search in the released scripts are higher: CycleGAN 4.0,
mobile CycleGAN 2.5 and 4.0 (BtoA), U-Net 3.0 (edges2shoes) and 4.0 (cityscapes), mobile pix2pix 4.5.
(a) No figure was published: the budget is the script's target. (b) There is neither a figure nor a script: the budgets are
the targets of mobile horse2zebra, AtoB and BtoA. (c) The printed figure could not be read with certainty.

Other doubts about the published figures:
- The ratios of the U-Net rows (6.2x, 4.7x) are to 18.6 G; the U-Net has 18.14 G in that count. The ratios of the mobile rows
  are to other networks (56.8 G, 18.6 G): the mobile teacher has 18.37 G and 1.99 M parameters.
- Rows are not comparable across protocols. These FIDs are the best of many evaluations on the test set, against statistics
  of unknown images; GAN Compression and CAT measure 61 to 66 for the original CycleGAN on horse2zebra.
- 200 epochs of edges2shoes (published.py) are those of search and recovery each; fewer: search.epochs=20 recovery.epochs=20.

Settings: section IV-A and the released scripts. Adam 2e-4 (0.5, 0.999), linear to 0 in the second half; CycleGAN load size
286, mirrored, lsgan; pix2pix at its size, not mirrored, hinge. Loss weights: L1 100 for paired data; 10, the published
cycle weight, for unpaired data, where the student learns one direction and the L1 distance to the teacher's image replaces
the cycle loss. Method options and objective are ours: the defaults of `dmad` and of `compress`. The published ones are
presets of the method, which `compress` accepts for the same run: `--preset paper`, or, with both directions in one search
and a budget for each,

pocketgan compress runs/horse2zebra/generator_A.safetensors --data datasets/horse2zebra --task unpaired --budget 3.97Gpaper \
--method dmad --preset release --epochs 200 --batch 1 --out runs/release budget_back=3.50Gpaper recovery.weights.l1=10 \
data.load_size=286 data.flip=true
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pocketgan.data.config import Direction
from pocketgan.pipeline.config import CompressConfig
from pocketgan.recipes.base import GAN, register, student_of, teacher_config


def register_student(name: str, summary: str, teacher: str, budget: str, *, weights: dict[str, float], **fields: Any) -> None:
    """Register DMAD's student of a teacher, with its search and its recovery as long as the teacher's training each.

    ``weights`` are those of the losses, ``fields`` more of the configuration.
    """

    def recipe() -> CompressConfig:
        training = replace(teacher_config(teacher).training, weights=weights)
        return student_of(teacher, budget, method="dmad", recovery=training, search=training, **fields)

    register(f"dmad-{name}", f"DMAD, {summary}.", recipe)


# Name of the recipe, recipe of the teacher, network, translation, budget in G, direction where the data has the other.
_Student = tuple[str, str, str, str, str, Direction | None]
_CYCLEGAN: tuple[_Student, ...] = (
    ("horse2zebra", "horse2zebra", "ResNet-9", "horses -> zebras", "3.97", None),
    ("horse2zebra-mobile", "horse2zebra-mobile", "mobile ResNet-9", "horses -> zebras", "2.41", None),
    ("zebra2horse", "horse2zebra", "ResNet-9", "zebras -> horses", "3.50", "BtoA"),
    ("zebra2horse-mobile", "horse2zebra-mobile", "mobile ResNet-9", "zebras -> horses", "4.00", "BtoA"),
    ("summer2winter", "summer2winter", "ResNet-9", "summer -> winter", "3.18", None),
    ("summer2winter-mobile", "summer2winter-mobile", "mobile ResNet-9", "summer -> winter", "2.50", None),
    ("winter2summer", "summer2winter", "ResNet-9", "winter -> summer", "4.29", "BtoA"),
    ("winter2summer-mobile", "summer2winter-mobile", "mobile ResNet-9", "winter -> summer", "4.00", "BtoA"),
)
_PIX2PIX: tuple[_Student, ...] = (
    ("edges2shoes", "edges2shoes-unet", "U-Net-256", "edges -> shoes", "2.99", None),
    ("edges2shoes-mobile", "edges2shoes-mobile", "mobile ResNet-9", "edges -> shoes", "4.30", None),
    ("cityscapes", "cityscapes-unet", "U-Net-256", "labels -> streets", "3.96", None),
    ("cityscapes-mobile", "cityscapes-mobile", "mobile ResNet-9", "labels -> streets", "4.39", None),
)

for _task, _l1, _students in (("unpaired", 10.0, _CYCLEGAN), ("paired", 100.0, _PIX2PIX)):
    for _name, _teacher, _network, _title, _budget, _direction in _students:
        _summary = f"{_title}: {_network} to {_budget} G in the literature's count, 200 + 200 epochs"
        _fields: dict[str, Any] = {"direction": _direction, "gan": GAN[_task]}
        register_student(_name, _summary, _teacher, f"{_budget}Gpaper", weights={"l1": _l1}, **_fields)
