"""Teachers with the published settings of pix2pix, CycleGAN, GAN Compression (its table of shipped scripts) and DMAD.

pocketgan recipes maps-teacher --out runs/maps data.path=datasets/maps
pocketgan recipes horse2zebra-teacher --out runs/horse2zebra
pocketgan recipes edges2shoes-unet-teacher --out runs/edges2shoes-unet

NAME-teacher writes runs/NAME, where the recipes of the students expect it.

| generator at 256 x 256 | parameters (M) | exact MACs (G) | the literature's count (G) | published as |
|---|---|---|---|---|
| ResNet-9, ngf 64 | 11.38 | 49.55 | 56.83 | 56.8 G |
| mobile ResNet-9, ngf 64 | 1.99 | 11.07 | 18.37 | - |
| U-Net-256, ngf 64 | 54.41 | 6.05 | 18.14 | 18.6 G (does not follow from any way of counting) |

Published FID of the teachers (GAN Compression, README): horse2zebra 65.75, maps BtoA 47.91, edges2shoes 24.12; cityscapes
mIoU 42.06. DMAD, table I, by another protocol: horse2zebra 74.04, zebra2horse 137.8, summer2winter 79.12, winter2summer
73.31, U-Net on cityscapes mIoU 42.71. These are the published figures; they were not reproduced here.

Of DMAD's teachers neither weights nor scripts were released; by its author they are "train.sh without --mask", with ngf 64.
So the U-Net and mobile recipes have the settings of its search: 100 + 100 epochs, on edges2shoes too, where that is 2.5
million steps of batch 4, and 10 million of the mobile script's batch 1 (GAN Compression: 20 epochs of batch 4; here
training.epochs=20 training.batch=4). There is no script for a mobile CycleGAN on summer2winter: the settings of horse2zebra
are used.
"""

from __future__ import annotations

from typing import Any

from pocketgan.data.config import DataConfig, Direction
from pocketgan.pipeline.config import TrainConfig
from pocketgan.recipes.base import RECIPES, augmented, schedule

RESNET = {"ngf": 64, "blocks": 9}
UNET = {"ngf": 64, "depth": 8}


@RECIPES.register("maps-teacher")
def maps_teacher() -> TrainConfig:
    """pix2pix, map -> aerial photo: batch 1, 100 + 200 epochs, L1 weight 10, hinge, ndf 128."""
    return _pix2pix(augmented("maps", "BtoA"), 100, 200, l1=10.0)


@RECIPES.register("edges2shoes-teacher")
def edges2shoes_teacher() -> TrainConfig:
    """pix2pix, edges -> shoes: batch 4, 5 + 15 epochs, L1 weight 100, hinge, ndf 128."""
    return _pix2pix(augmented("edges2shoes-r"), 5, 15, batch=4)


@RECIPES.register("cityscapes-teacher")
def cityscapes_teacher() -> TrainConfig:
    """pix2pix, labels -> streets: batch 1, 100 + 150 epochs, L1 weight 100, hinge, ndf 128."""
    return _pix2pix(augmented("cityscapes", "BtoA"), 100, 150)


@RECIPES.register("facades-teacher")
def facades_teacher() -> TrainConfig:
    """pix2pix as published, labels -> facades: U-Net-256, batch norm, batch 1, 100 + 100 epochs, vanilla loss."""
    return TrainConfig(
        task="paired",
        data=augmented("facades", "BtoA"),
        arch="unet",
        arch_options=UNET,
        discriminator_options={"ndf": 64, "norm": "batch"},
        gan="vanilla",
        training=schedule(100, 100),
    )


@RECIPES.register("horse2zebra-teacher")
def horse2zebra_teacher() -> TrainConfig:
    """CycleGAN, horses <-> zebras: batch 1, 100 + 100 epochs, lsgan, cycle 10, identity 5, pool of 50, ndf 64."""
    return _cyclegan("horse2zebra")


@RECIPES.register("horse2zebra-mobile-teacher")
def horse2zebra_mobile_teacher() -> TrainConfig:
    """CycleGAN with mobile generators, horses <-> zebras: otherwise as horse2zebra-teacher."""
    return _cyclegan("horse2zebra", arch="mobile-resnet")


@RECIPES.register("summer2winter-teacher")
def summer2winter_teacher() -> TrainConfig:
    """CycleGAN, summer <-> winter in Yosemite: as horse2zebra-teacher."""
    return _cyclegan("summer2winter_yosemite")


@RECIPES.register("summer2winter-mobile-teacher")
def summer2winter_mobile_teacher() -> TrainConfig:
    """CycleGAN with mobile generators, summer <-> winter in Yosemite: otherwise as horse2zebra-teacher."""
    return _cyclegan("summer2winter_yosemite", arch="mobile-resnet")


@RECIPES.register("edges2shoes-unet-teacher")
def edges2shoes_unet_teacher() -> TrainConfig:
    """pix2pix in DMAD, edges -> shoes: U-Net-256, batch norm, batch 4, 100 + 100 epochs, hinge, ndf 128, no augmentation."""
    return _dmad("edges2shoes-r", arch="unet", batch=4)


@RECIPES.register("edges2shoes-mobile-teacher")
def edges2shoes_mobile_teacher() -> TrainConfig:
    """mobile pix2pix in DMAD, edges -> shoes: batch 1, 100 + 100 epochs, hinge, ndf 128, no augmentation."""
    return _dmad("edges2shoes-r")


@RECIPES.register("cityscapes-unet-teacher")
def cityscapes_unet_teacher() -> TrainConfig:
    """pix2pix in DMAD, labels -> streets: U-Net-256, batch norm, batch 1, 100 + 100 epochs, hinge, ndf 128."""
    return _dmad("cityscapes", direction="BtoA", arch="unet")


@RECIPES.register("cityscapes-mobile-teacher")
def cityscapes_mobile_teacher() -> TrainConfig:
    """mobile pix2pix in DMAD, labels -> streets: batch 1, 100 + 100 epochs, hinge, ndf 128, no augmentation."""
    return _dmad("cityscapes", direction="BtoA")


def _pix2pix(data: DataConfig, constant: int, decaying: int, *, batch: int = 1, l1: float = 100.0) -> TrainConfig:
    """Dense teacher of GAN Compression; ``schedule`` has the epochs."""
    return TrainConfig(
        task="paired",
        data=data,
        arch_options=RESNET,
        discriminator_options={"ndf": 128},
        training=schedule(constant, decaying, batch=batch, weights={"l1": l1}),
    )


def _cyclegan(folder: str, *, arch: str = "resnet") -> TrainConfig:
    """CycleGAN (Zhu et al. 2017, sections 4 and 7); the published loss weights are the defaults of the task."""
    return TrainConfig(task="unpaired", data=augmented(folder), arch=arch, arch_options=RESNET, training=schedule(100, 100))


def _dmad(folder: str, *, direction: Direction = "AtoB", arch: str = "mobile-resnet", batch: int = 1) -> TrainConfig:
    """Teacher with the settings of DMAD's released scripts: images at their size, not mirrored; L1 weight 100.

    The discriminator has the generator's norm: batch for the U-Net, otherwise instance. Its ndf is 128, unlike the default in
    the options of the released code.
    """
    options: dict[str, Any] = UNET if arch == "unet" else RESNET
    return TrainConfig(
        task="paired",
        data=DataConfig(path=f"datasets/{folder}", direction=direction),
        arch=arch,
        arch_options=options,
        discriminator_options={"ndf": 128, "norm": "batch" if arch == "unet" else "instance"},
        gan="hinge",
        training=schedule(100, 100, batch=batch, weights={"l1": 100.0}),
    )
