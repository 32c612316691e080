"""Teachers with the published settings of pix2pix, CycleGAN and GAN Compression (its table of shipped scripts).

pocketgan recipes maps-teacher --out runs/maps data.path=datasets/maps

Costs at 256 x 256: ResNet-9 ngf 64 has 11.38 M parameters, 49.55 G exact MACs (published as 56.8 G). Published FID of the
teachers (GAN Compression, README): horse2zebra 65.75, maps BtoA 47.91, edges2shoes 24.12. These are the published
figures; they were not reproduced here.
"""

from __future__ import annotations

from pocketgan.data.config import DataConfig
from pocketgan.pipeline.config import TrainConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.train.config import FitConfig


@RECIPES.register("maps-teacher")
def maps_teacher() -> TrainConfig:
    """pix2pix, map -> aerial photo: batch 1, 100 + 200 epochs, L1 weight 10, hinge, ndf 128."""
    return TrainConfig(
        task="paired",
        data=DataConfig(path="datasets/maps", direction="BtoA", load_size=286, flip=True),
        arch_options={"ngf": 64, "blocks": 9},
        discriminator_options={"ndf": 128},
        fit=FitConfig(epochs=300, batch=1, decay_start=1 / 3, weights={"recon": 10.0}, checkpoint_every=2000),
    )


@RECIPES.register("edges2shoes-teacher")
def edges2shoes_teacher() -> TrainConfig:
    """pix2pix, edges -> shoes: batch 4, 5 + 15 epochs, L1 weight 100, hinge, ndf 128."""
    return TrainConfig(
        task="paired",
        data=DataConfig(path="datasets/edges2shoes-r", load_size=286, flip=True),
        arch_options={"ngf": 64, "blocks": 9},
        discriminator_options={"ndf": 128},
        fit=FitConfig(epochs=20, batch=4, decay_start=0.25, checkpoint_every=2000),
    )


@RECIPES.register("facades-teacher")
def facades_teacher() -> TrainConfig:
    """pix2pix as published, labels -> facades: U-Net-256, batch norm, batch 1, 100 + 100 epochs, vanilla loss."""
    return TrainConfig(
        task="paired",
        data=DataConfig(path="datasets/facades", direction="BtoA", load_size=286, flip=True),
        arch="unet",
        arch_options={"ngf": 64, "depth": 8},
        discriminator_options={"ndf": 64, "norm": "batch"},
        gan="vanilla",
        fit=FitConfig(epochs=200, batch=1, checkpoint_every=2000),
    )


@RECIPES.register("horse2zebra-teacher")
def horse2zebra_teacher() -> TrainConfig:
    """CycleGAN, horses <-> zebras: batch 1, 100 + 100 epochs, lsgan, cycle 10, identity 5, pool of 50, ndf 64."""
    return TrainConfig(
        task="unpaired",
        data=DataConfig(path="datasets/horse2zebra", load_size=286, flip=True),
        arch_options={"ngf": 64, "blocks": 9},
        fit=FitConfig(epochs=200, batch=1, checkpoint_every=2000),
    )
