"""MUNIT (Huang et al. 2018), edges -> shoes in many styles, and GAN Compression's fast pipeline on it (Li et al. 2020).

pocketgan recipes edges2shoes-munit-teacher --out runs/edges2shoes-munit
pocketgan recipes gan-compression-edges2shoes-munit-fast --out runs/gan-compression-edges2shoes-munit-fast

| generator at 256 x 256 | parameters (M) | exact MACs (G) | the literature's count (G) | published as |
|---|---|---|---|---|
| MUNIT, ngf 64 | 15.026 | 77.28 | 77.31 | 15.0 M, 77.3 G |
| the same without its style encoder | 12.261 | 71.03 | 71.05 | - |
| mobile MUNIT, ngf 64 | 5.705 | 17.62 | 17.67 | - |

There is no transposed convolution in it, so both counts nearly agree; the literature's adds the norms. The published counts
include the style encoder, and so does the budget. A network whose styles are latents alone needs no style encoder.

Published figures (README of the authors' code), not reproduced here; MACs in the literature's count (Gpaper):

| recipe | row | configuration | MACs (G) | parameters (M) | FID | of the original |
|---|---|---|---|---|---|---|
| gan-compression-edges2shoes-munit-fast | fast | 16_16_16_24_56_16_40_40_32_24 | 2.63 | 1.10 | 30.53 | 30.13 |

Settings: the released scripts. Batch 1, Adam 1e-4 (0.5, 0.999) with a weight decay of 1e-4; images at 256, mirrored; lsgan,
three discriminators of ndf 64. The teacher learns for a million steps (21 epochs), its rate halved every 100,000, the supernet
for two million (42), halved every 200,000; there is no fine-tuning. The teacher's generator_A, edges to shoes, is compressed.

Compared with the published work:
- Data: the released set is that of pix2pix, with A and B separate. The task `multimodal` does not use the pairs: any shoe
  goes with any edges.
- The published code distilled the content code by L1 after an adapter. Here the objective is `features`, a mean squared error,
  with the same weight of 1. L1 of the images (10) and of the encoded styles (1) are losses of the task.
- The criterion was FID, with styles drawn anew for every candidate, which adds noise to the order. Here it is the distance to
  the teacher's images in the same styles; `evaluation.features=inception:legacy method_options.fitness=frechet` is the
  published one.
- The evolution had 500 generations of 100, here ten; candidates are scored on 2,048 held-out images, as many as for pix2pix
  on these data: the list of this set was not at hand.
- Both gradients of a supernet step were computed before either update; here discriminator and generator alternate.
"""

from __future__ import annotations

from dataclasses import replace

from pocketgan.data.config import DataConfig
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.recipes.base import RECIPES, student_of
from pocketgan.recipes.gan_compression import evolution
from pocketgan.training.config import MUNIT

DISCRIMINATOR = {"ndf": 64}
"""Options of every new discriminator: three scales, four layers."""


@RECIPES.register("edges2shoes-munit-teacher")
def teacher() -> TrainConfig:
    """MUNIT, edges <-> shoes: ngf 64, styles of 8 numbers, batch 1, a million steps, lsgan, image 10, style 1, content 1."""
    return TrainConfig(
        task="multimodal",
        data=DataConfig(path="datasets/edges2shoes-r", flip=True),
        arch="munit",
        arch_options={"ngf": 64},
        discriminator_options=DISCRIMINATOR,
        training=replace(MUNIT, steps=1_000_000, checkpoint_every=2000),
    )


@RECIPES.register("gan-compression-edges2shoes-munit-fast")
def student() -> CompressConfig:
    """GAN Compression, MUNIT, edges -> shoes: fast pipeline, channels-64, 2.7 G in the literature's count."""
    return student_of(
        "edges2shoes-munit",
        "2.7Gpaper",
        method="gan-compression",
        method_options={
            "space": "channels-64",
            "use": 0.0,
            "images": 2048,
            "halving": False,
            "evaluate_every": 50_000,
            **evolution({"weight": 2.0, "weighting": "geometric"}),
        },
        objective="features",
        start="mobile",
        discriminator_options=DISCRIMINATOR,
        search=replace(
            MUNIT, steps=2_000_000, halve_every=200_000, weights={"l1": 10.0, "features": 1.0}, checkpoint_every=2000
        ),
        recovery=replace(MUNIT, steps=0),
    )
