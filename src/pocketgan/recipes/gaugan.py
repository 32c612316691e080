"""GauGAN: teachers as published with GAN Compression (Li et al. 2020), and its students, by the full pipeline and the fast one.

pocketgan recipes gaugan-cityscapes-teacher --out runs/gaugan-cityscapes
pocketgan recipes gan-compression-gaugan-cityscapes --out runs/gan-compression-gaugan-cityscapes
pocketgan recipes gan-compression-gaugan-cityscapes-fast --out runs/gan-compression-gaugan-cityscapes-fast
pocketgan recipes gaugan-coco-teacher --out runs/gaugan-coco
pocketgan recipes gan-compression-gaugan-coco-fast --out runs/gan-compression-gaugan-coco-fast

Cityscapes as its site gives it out goes to datasets/cityscapes-origin, COCO-Stuff to datasets/coco-stuff (docs/data.md has
the folders). The weights of DRN-D-105, which scores streets, are to be fetched by hand (the error says from where), those of
VGG19 and DeepLabV2 come by themselves. Without them: `evaluation.segmenter=null method_options.fitness=teacher`, and
`perceptual=pixels`.

| generator | for | parameters (M) | exact MACs (G) | the literature's count (G) |
|---|---|---|---|---|
| SPADE, ngf 64 | Cityscapes, 512 x 256 | 93.05 | 281.28 | 281.36 |
| mobile SPADE, ngf 64 | Cityscapes, 512 x 256 | 70.68 | 118.60 | 118.82 |
| mobile SPADE, ngf 48 | Cityscapes, 512 x 256 | 39.98 | 71.06 | 71.22 |
| SPADE, ngf 64 | COCO-Stuff, 256 x 256 | 97.48 | 191.14 | 191.18 |

Published figures (README of the authors' code), not reproduced here; MACs in the literature's count (Gpaper). Retrained: the
full pipeline by the released code; paper: the network of the paper; fast: the fast pipeline. The teachers: Cityscapes FID
57.60, mIoU 61.04; COCO-Stuff FID 21.38, mIoU 38.78.

| recipe | row | configuration | MACs (G) | parameters (M) | FID | mIoU |
|---|---|---|---|---|---|---|
| gan-compression-gaugan-cityscapes | retrained | 32_40_40_32_40_24_32_24 | 31.2 | 21.0 | 56.43 | 60.29 |
| gan-compression-gaugan-cityscapes | paper | 32_32_48_32_32_32_32_24 | 31.7 | 20.4 | 55.19 | 61.22 |
| gan-compression-gaugan-cityscapes-fast | fast | 32_32_32_48_32_24_24_32 | 31.3 | 20.2 | 56.25 | 61.17 |
| gan-compression-gaugan-coco-fast | fast | 40_32_32_40_32_40_24_24 | 35.5 | 26.0 | 25.06 | 35.05 |

What was published, and what is here:
- Budgets: those of the scripts' evolutions. The brute force scored all of at most 35 G; what was chosen has 31.2 to 31.7 G,
  so here it is 32 G, too: 372 networks. The evolution is ten generations of 100, where the scripts have 500.
- Candidates were scored on the first 200 (COCO: 500) images: of training where Cityscapes is searched by the fast pipeline,
  else of those that the networks are evaluated on. Here they are always held out from the training of the supernet.
- Batch norm was calibrated anew for every candidate on 512 images; a slip kept the last batch's statistics alone. Here it is
  16 images and the mean over them. Exported networks had the statistics of all channels; here those that they have.
- Order of the channels: as in the recipes of gan_compression.py.
- Spectral norm was on the convolutions of the teachers, dense and mobile, and taken away before anything learnt from them; so
  it is here. Discriminators keep theirs.
- The discriminator is shown the image that the generator has just learnt from; the released code generates it anew.
- The published generators of a training were those of its last epoch; so they are here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.config import CompressConfig, FullConfig, TrainConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.training.config import GAUGAN, TrainingConfig

STREETS = DataConfig(
    path="datasets/cityscapes-origin", size=512, aspect=2.0, preprocess="scale_width", flip=True, classes="cityscapes"
)
"""512 x 256, mirrored, not cropped."""
THINGS = DataConfig(path="datasets/coco-stuff", size=256, load_size=286, flip=True, classes="coco-stuff")

DISCRIMINATOR = {"ndf": 64}
"""The options of every new one: two scales, four layers."""


def schedule(constant: int, decaying: int, batch: int, **weights: float) -> TrainingConfig:
    """GauGAN's training for so many epochs at the full learning rates, and of their decay."""
    epochs = constant + decaying
    return replace(
        GAUGAN, epochs=epochs, batch=batch, decay_start=constant / epochs, weights=dict(weights), checkpoint_every=2000
    )


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What the recipes of a data set share."""

    title: str
    data: DataConfig
    upsamplings: int
    epochs: tuple[int, int]
    """At the full learning rate, and of its decay."""
    batch: int
    segmenter: str
    spaces: tuple[str, str]
    """Of the full pipeline and of the fast one."""
    budget: str
    """In G."""
    fast_epochs: tuple[int, int]
    """Of the fast pipeline's supernet; the full one's trains as long as the teacher."""
    evolution: dict[str, Any]
    """What of its options is not the default."""
    images: int
    """Held out to score on."""
    evaluate_every: int
    """Steps of the supernet's training between two looks at its ends: the scripts' ten epochs, on COCO one."""

    def teacher(self) -> TrainConfig:
        """The dense one."""
        return TrainConfig(
            task="labels",
            data=self.data,
            arch="spade",
            arch_options={"ngf": 64, "upsamplings": self.upsamplings},
            discriminator_options=DISCRIMINATOR,
            training=schedule(*self.epochs, self.batch),
        )

    def student(self, name: str, fast: bool) -> CompressConfig:
        """What both pipelines have in common, and the fast one's own."""
        return CompressConfig(
            teacher=f"runs/gaugan-{name}/generator.safetensors",
            data=self.data,
            budget=f"{self.budget}Gpaper",
            task="labels",
            method="gan-compression",
            method_options={"space": self.spaces[fast], **self.scored, **self.searched(fast)},
            objective="features",
            start="mobile" if fast else "teacher",
            discriminator_options=DISCRIMINATOR if fast else None,
            search=self.taught(*(self.fast_epochs if fast else self.epochs)),
            recovery=self.taught(*self.epochs),
            evaluation=EvaluationConfig(segmenter=self.segmenter),
        )

    def taught(self, constant: int, decaying: int) -> TrainingConfig:
        """A training against a teacher."""
        return schedule(constant, decaying, self.batch, features=10.0)

    @property
    def scored(self) -> dict[str, Any]:
        """What is scored, and on what, as options of the method."""
        options = {"use": 0.0, "images": self.images, "halving": False, "evaluate_every": self.evaluate_every}
        return {"fitness": "miou", **options}

    def searched(self, fast: bool) -> dict[str, Any]:
        """How the supernet begins and is searched, as options of the method."""
        if fast:
            return {"importance": "none", "strategy": "evolution", "strategy_options": self.evolution, "candidates": 1000}
        return {"importance": "l1", "strategy": "brute-force", "candidates": 15_552}

    def full(self, name: str) -> CompressConfig:
        """With the stages before the supernet: GauGAN's own task, then that of the student."""
        stages = FullConfig(
            discriminator_options=DISCRIMINATOR,
            teacher=schedule(*self.epochs, self.batch),
            width=0.75,
            importance="l1",
            distill=self.taught(*self.epochs),
        )
        return replace(self.student(name, fast=False), pipeline="full", full=stages)

    def summary(self, fast: bool) -> str:
        """One line."""
        way, space = "fast" if fast else "full", self.spaces[fast]
        return f"GAN Compression, GauGAN, {self.title}: {way} pipeline, {space}, {self.budget} G in the literature's count."


_CITYSCAPES = _Task(
    title="labels -> streets",
    data=STREETS,
    upsamplings=6,
    epochs=(100, 100),
    batch=16,
    segmenter="drn-d-105",
    spaces=("channels-48", "channels-64"),
    budget="32",
    fast_epochs=(200, 200),
    evolution={"weight": 3.0, "weighting": "geometric"},
    images=200,
    evaluate_every=1800,
)
_COCO = _Task(
    title="labels -> things and stuff",
    data=THINGS,
    upsamplings=5,
    epochs=(100, 0),
    batch=32,
    segmenter="deeplabv2",
    spaces=("channels-64-coco", "channels-64-coco"),
    budget="36",
    fast_epochs=(100, 0),
    evolution={},
    images=500,
    evaluate_every=3700,
)


@RECIPES.register("gaugan-cityscapes-teacher")
def cityscapes_teacher() -> TrainConfig:
    """GauGAN, labels -> streets, 512 x 256: SPADE, batch 16, 100 + 100 epochs, hinge, two discriminators of ndf 64."""
    return _CITYSCAPES.teacher()


@RECIPES.register("gaugan-coco-teacher")
def coco_teacher() -> TrainConfig:
    """GauGAN, labels -> things and stuff, 256 x 256: SPADE, batch 32, 100 epochs without decay, hinge, ndf 64."""
    return _COCO.teacher()


def _register(name: str, task: _Task, fast: bool) -> None:
    def recipe() -> CompressConfig:
        return task.student(name, fast=True) if fast else task.full(name)

    recipe.__doc__ = task.summary(fast)
    RECIPES.register(f"gan-compression-gaugan-{name}{'-fast' if fast else ''}")(recipe)


_register("cityscapes", _CITYSCAPES, fast=False)
_register("cityscapes", _CITYSCAPES, fast=True)
_register("coco", _COCO, fast=True)
