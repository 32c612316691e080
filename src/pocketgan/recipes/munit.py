"""MUNIT (Huang et al. 2018), edges -> shoes in many styles, and GAN Compression's fast pipeline on it (Li et al. 2020).

pocketgan recipes edges2shoes-munit-teacher --out runs/edges2shoes-munit
pocketgan recipes gan-compression-edges2shoes-munit-fast --out runs/gan-compression-edges2shoes-munit-fast

| generator at 256 x 256 | parameters (M) | exact MACs (G) | the literature's count (G) | published as |
|---|---|---|---|---|
| MUNIT, ngf 64 | 15.026 | 77.28 | 77.31 | 15.0 M, 77.3 G |
| the same without its style encoder | 12.261 | 71.03 | 71.05 | - |
| mobile MUNIT, ngf 64 | 5.705 | 17.62 | 17.67 | - |

There is no transposed convolution in it, so both counts nearly agree; the literature's adds the norms. The published counts
have the style encoder, and so has the budget. A network that is given its styles as numbers alone does without.

Published figures (README of the authors' code), not reproduced here; MACs in the literature's count (Gpaper):

| recipe | row | configuration | MACs (G) | parameters (M) | FID | of the original |
|---|---|---|---|---|---|---|
| gan-compression-edges2shoes-munit-fast | fast | 16_16_16_24_56_16_40_40_32_24 | 2.63 | 1.10 | 30.53 | 30.13 |

Settings: the released scripts. Batch 1, Adam 1e-4 (0.5, 0.999) with a weight decay of 1e-4; images at 256, mirrored; lsgan,
three discriminators of ndf 64. The teacher learns for a million steps (21 epochs), its rate halved every 100,000, the supernet
for two million (42), halved every 200,000; there is no fine-tuning. What is cut is the teacher's generator_A, edges to shoes.

What was published, and what is here:
- Data: the released set is that of pix2pix, its sides apart. `multimodal` reads the pairs so: any shoe goes with any edges.
- The content code was held to the teacher's by L1 after an adaptor. Here it is the objective `features`, their mean squared
  error, with the same weight of 1. L1 of the images (10) and of the styles that are read (1) are the task's own.
- The criterion: FID, in styles drawn anew for every candidate, which blurs the order. Here it is the distance to the
  teacher's images in the same styles; `evaluation.features=inception:legacy method_options.fitness=frechet` is the published
  one.
- The evolution had 500 generations of 100, here ten; candidates are scored on 2,048 held-out images, as many as for pix2pix
  on these data: the list of this set was not at hand.
- Both gradients of a supernet's step were of the networks before it; here discriminator and generator take turns.
"""

from __future__ import annotations

from dataclasses import replace

from pocketgan.data.config import DataConfig
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.training.config import MUNIT

SHOES = DataConfig(path="datasets/edges2shoes-r", flip=True)
DISCRIMINATOR = {"ndf": 64}
"""The options of every new one: three scales, four layers."""


@RECIPES.register("edges2shoes-munit-teacher")
def teacher() -> TrainConfig:
    """MUNIT, edges <-> shoes: ngf 64, styles of 8 numbers, batch 1, a million steps, lsgan, image 10, style 1, content 1."""
    return TrainConfig(
        task="multimodal",
        data=SHOES,
        arch="munit",
        arch_options={"ngf": 64},
        discriminator_options=DISCRIMINATOR,
        training=replace(MUNIT, steps=1_000_000, checkpoint_every=2000),
    )


@RECIPES.register("gan-compression-edges2shoes-munit-fast")
def student() -> CompressConfig:
    """GAN Compression, MUNIT, edges -> shoes: fast pipeline, channels-64, 2.7 G in the literature's count."""
    return CompressConfig(
        teacher="runs/edges2shoes-munit/generator_A.safetensors",
        data=SHOES,
        budget="2.7Gpaper",
        task="multimodal",
        method="gan-compression",
        method_options={
            "space": "channels-64",
            "importance": "none",
            "use": 0.0,
            "images": 2048,
            "halving": False,
            "evaluate_every": 50_000,
            "strategy": "evolution",
            "strategy_options": {"weight": 2.0, "weighting": "geometric"},
            "candidates": 1000,
        },
        objective="features",
        start="mobile",
        discriminator_options=DISCRIMINATOR,
        search=replace(
            MUNIT, steps=2_000_000, halve_every=200_000, weights={"l1": 10.0, "features": 1.0}, checkpoint_every=2000
        ),
        recovery=replace(MUNIT, steps=0),
    )
