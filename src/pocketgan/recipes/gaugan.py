"""GauGAN: teachers as published with GAN Compression (Li et al. 2020), and its students, by the full pipeline and the fast one.

pocketgan recipes gaugan-cityscapes-teacher --out runs/gaugan-cityscapes
pocketgan recipes gan-compression-gaugan-cityscapes --out runs/gan-compression-gaugan-cityscapes
pocketgan recipes gan-compression-gaugan-cityscapes-fast --out runs/gan-compression-gaugan-cityscapes-fast
pocketgan recipes gaugan-coco-teacher --out runs/gaugan-coco
pocketgan recipes gan-compression-gaugan-coco-fast --out runs/gan-compression-gaugan-coco-fast

Cityscapes as downloaded from its site goes to datasets/cityscapes-origin, COCO-Stuff to datasets/coco-stuff (docs/data.md has
the folders). The weights of DRN-D-105, the segmenter for streets, must be downloaded by hand (the error message has the
address); those of VGG19 and DeepLabV2 are downloaded when needed. Without them: `evaluation.segmenter=null
method_options.fitness=teacher`, and `perceptual=pixels`.

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

Compared with the published work:
- Budgets: those of the evolution in the scripts. The brute force scored all networks of at most 35 G and selected 31.2 to
  31.7 G, so here it is 32 G, too: 372 networks. The evolution is ten generations of 100, where the scripts have 500.
- Candidates were scored on the first 200 (COCO: 500) images: of training where Cityscapes is searched by the fast pipeline,
  else of the test images. Here they are always held out from the training of the supernet.
- Batch norm was calibrated anew for every candidate on 512 images; by a mistake only the last batch's statistics were kept.
  Here it is 16 images and the mean over them. Exported networks had statistics of all channels; here of their own channels.
- Order of the channels: as in the recipes of gan_compression.py.
- Spectral norm was on the convolutions of the dense and mobile teachers, and removed before distillation; the same here.
  Discriminators keep it.
- The discriminator is trained on the image of the generator's last step; the released code generates the image again.
- The published generators were those of the last epoch; the same here.
"""

from __future__ import annotations

from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.config import TrainConfig
from pocketgan.recipes.base import RECIPES, schedule
from pocketgan.recipes.gan_compression import brute_force, evolution, register_students
from pocketgan.training.config import GAUGAN, TrainingConfig

STREETS = DataConfig(
    path="datasets/cityscapes-origin", size=512, aspect=2.0, preprocess="scale_width", flip=True, classes="cityscapes"
)
"""Cityscapes at 512 x 256, mirrored, not cropped."""
THINGS = DataConfig(path="datasets/coco-stuff", size=256, load_size=286, flip=True, classes="coco-stuff")

DISCRIMINATOR = {"ndf": 64}
"""Options of every new discriminator: two scales, four layers."""
_STREETS_TRAINING = schedule(100, 100, batch=16, optimizer=GAUGAN)
_THINGS_TRAINING = schedule(100, 0, batch=32, optimizer=GAUGAN)


def spade_teacher(data: DataConfig, training: TrainingConfig, *, upsamplings: int, arch: str = "spade") -> TrainConfig:
    """Teacher of ngf 64 with the published discriminators."""
    return TrainConfig(
        task="labels",
        data=data,
        arch=arch,
        arch_options={"ngf": 64, "upsamplings": upsamplings},
        discriminator_options=DISCRIMINATOR,
        training=training,
    )


@RECIPES.register("gaugan-cityscapes-teacher")
def cityscapes_teacher() -> TrainConfig:
    """GauGAN, labels -> streets, 512 x 256: SPADE, batch 16, 100 + 100 epochs, hinge, two discriminators of ndf 64."""
    return spade_teacher(STREETS, _STREETS_TRAINING, upsamplings=6)


@RECIPES.register("gaugan-coco-teacher")
def coco_teacher() -> TrainConfig:
    """GauGAN, labels -> things and stuff, 256 x 256: SPADE, batch 32, 100 epochs without decay, hinge, ndf 64."""
    return spade_teacher(THINGS, _THINGS_TRAINING, upsamplings=5)


register_students(
    "gaugan-cityscapes",
    "GauGAN, labels -> streets",
    training=_STREETS_TRAINING,
    weights={"features": 10.0},
    supernet=(_STREETS_TRAINING, schedule(200, 200, batch=16, optimizer=GAUGAN)),
    spaces=("channels-48", "channels-64"),
    budgets=("32", "32"),
    search=(brute_force(15_552), evolution({"weight": 3.0, "weighting": "geometric"})),
    ndf=64,
    width=0.75,
    options={"fitness": "miou", "images": 200, "evaluate_every": 1800},  # every ten epochs, as in the scripts
    evaluation=EvaluationConfig(segmenter="drn-d-105"),
)
register_students(
    "gaugan-coco",
    "GauGAN, labels -> things and stuff",
    training=_THINGS_TRAINING,
    weights={"features": 10.0},
    supernet=(_THINGS_TRAINING, _THINGS_TRAINING),
    spaces=("channels-64-coco", "channels-64-coco"),
    budgets=("36", "36"),
    search=({}, evolution({})),
    ndf=64,
    width=0.75,
    pipelines=("fast",),
    options={"fitness": "miou", "images": 500, "evaluate_every": 3700},  # every epoch, as in the scripts
    evaluation=EvaluationConfig(segmenter="deeplabv2"),
)
