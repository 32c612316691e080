"""The ablations of DMAD's tables II to VII on one small teacher, as one comparison that can be killed and resumed.

pocketgan recipes maps-teacher --out runs/maps64 data.size=64 data.load_size=72 arch_options.ngf=32
pocketgan recipes dmad-ablations --out runs/ablations
pocketgan recipes dmad-ablations --out runs/ablations --resume seeds=3

The teacher: ResNet-9 of ngf 32 at 64 x 64, map -> aerial photo, its discriminator beside it; any other: base.teacher=FILE.
Every run searches for base.search.steps (2000) and recovers for base.recovery.steps (4000), as in the maps64 protocol.

Published figures, not reproduced here. They are of other data and sizes (horse2zebra, zebra2horse, cityscapes at
256 x 256): only the order of the rows can be compared, and with one seed only large differences.

| table | row | run | published |
|---|---|---|---|
| II mask | quadratic | `default` | h2z 3.97 G 0.42 M FID 62.41; z2h 3.50 G 0.30 M 139.3 |
| | linear | `linear mask` | h2z 4.43 G 0.36 M FID 85.74; z2h 4.83 G 0.53 M 145.9 |
| III group rule | on | `group rule paper`, `default` | h2z 3.97 G FID 66.23, .72 of the blocks; z2h 3.50 G 140.2, .69 |
| | off | `group rule off` | h2z 6.80 G FID 70.77, .33 of the blocks; z2h 5.43 G 147.7, .39 |
| IV components | scratch | `scratch` | h2z FID 69.50 |
| | inherited weights | `finetune` | h2z FID 67.26 |
| | generator attention | `generator attention` | h2z FID 66.26 |
| | co-attention | `co-attention` | h2z FID 64.97 |
| | discriminator features | `discriminator features` | h2z FID 65.38 |
| | all | `all` | h2z FID 62.41 |
| V fusion | sum | `all` | h2z FID 62.41; z2h 139.3 |
| | multiplication | `product` | h2z FID 71.05; z2h not readable |
| | 1x1 convolution | `convolution` | h2z FID 73.45; z2h 141.3 |
| VI layers of the teacher's discriminator | 1 | `all` | cityscapes mIoU 40.53 |
| | 2, 3, 4 | `layers 2`, `layers 3`, `layers 4` | cityscapes mIoU 37.33, 37.18, 39.09 |
| VII width of the student's discriminator | 128, 64 | `ndf 128`, `ndf 64` | cityscapes mIoU 38.94, 39.88 |
| | 32, 16 | `ndf 32`, `ndf 16` | cityscapes mIoU 37.39, 36.64 |

Doubts about the published figures: table III "on" (66.23) and IV "inherited weights" (67.26) are the same setting by their
text. III and VII are without distillation there; the layers that VI adds are not named (here: conv2, then 3, 1 and 4).

Differences here: All runs meet the same budget exactly, so II and III differ in image quality here and in MACs there. II and
III recover with our own objective. All runs search with it, so that IV to VI recover the same pruned network and differ in
the recovery alone; VII has another discriminator in the search, too. Rows of equal configurations share one run. Attention
has its default weight (10), not 50: the L1 weight is a tenth of the published one.
"""

from __future__ import annotations

import json
from dataclasses import replace

from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compare import CompareConfig
from pocketgan.pipeline.config import CompressConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.training.config import TrainingConfig

OURS, THEIRS = "output+features", "coattention+discriminator"


def _all(**options: object) -> tuple[str, ...]:
    """Overrides for the paper's objective with options of its co-attention."""
    return (f"objective={THEIRS}", *(f"objective_options.coattention.{name}={json.dumps(v)}" for name, v in options.items()))


def _discriminator(ndf: int) -> tuple[str, ...]:
    """Overrides for training without a teacher and with a new discriminator of width ``ndf``."""
    return ("objective=none", f"discriminator_options={json.dumps({'ndf': ndf})}")


VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "linear mask": ("method_options.mask=linear",),
    "group rule off": ("method_options.group_rule=off",),
    "group rule paper": ("method_options.group_rule=paper",),
    "scratch": ("objective=none", "weights=fresh"),
    "finetune": ("objective=none",),
    "generator attention": ("objective=attention",),
    "co-attention": ("objective=coattention",),
    "discriminator features": ("objective=discriminator",),
    "all": _all(),
    "product": _all(fusion="product"),
    "convolution": _all(fusion="conv"),
    "layers 2": _all(discriminator_layers=["conv2", "conv3"]),
    "layers 3": _all(discriminator_layers=["conv1", "conv2", "conv3"]),
    "layers 4": _all(discriminator_layers=["conv1", "conv2", "conv3", "conv4"]),
    "ndf 128": _discriminator(128),
    "ndf 64": _discriminator(64),
    "ndf 32": _discriminator(32),
    "ndf 16": _discriminator(16),
}
"""Overrides by variant, in the order of the runs: the most informative first."""


@RECIPES.register("dmad-ablations")
def dmad_ablations() -> CompareConfig:
    """DMAD's tables II to VII in one comparison: mask, group rule, objectives, fusion, discriminators; 64 x 64, 10x."""
    recovery = TrainingConfig(steps=4000, batch=4, weights={"l1": 10.0}, sample_every=0)
    base = CompressConfig(
        teacher="runs/maps64/generator.safetensors",
        data=DataConfig(path="datasets/maps", direction="BtoA", size=64, workers=1),
        budget="10x",
        method="dmad",
        weights="inherit",
        objective=OURS,
        search_objective=OURS,
        recovery=recovery,
        search=replace(recovery, steps=2000),
        evaluation=EvaluationConfig(batch=20),
    )
    return CompareConfig(base=base, methods=("dmad",), budgets=("10x",), variants=dict(VARIANTS))
