"""Teachers with the published settings of pix2pix, CycleGAN, GAN Compression (its table of shipped scripts) and DMAD.

pocketgan recipes maps-teacher --out runs/maps data.path=datasets/maps
pocketgan recipes horse2zebra-teacher --out runs/horse2zebra
pocketgan recipes edges2shoes-unet-teacher --out runs/edges2shoes-unet

NAME-teacher goes to runs/NAME: there the students' recipes look for it.

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
fit.epochs=20 training.batch=4). For a mobile CycleGAN on summer2winter there is no script: it is as on horse2zebra.
"""

from __future__ import annotations

from dataclasses import replace

from pocketgan.data.config import DataConfig, Direction
from pocketgan.pipeline.config import TrainConfig
from pocketgan.recipes.base import RECIPES
from pocketgan.training.config import TrainingConfig


@RECIPES.register("maps-teacher")
def maps_teacher() -> TrainConfig:
    """pix2pix, map -> aerial photo: batch 1, 100 + 200 epochs, L1 weight 10, hinge, ndf 128."""
    return _pix2pix("maps", 100, 200, direction="BtoA", l1=10.0)


@RECIPES.register("edges2shoes-teacher")
def edges2shoes_teacher() -> TrainConfig:
    """pix2pix, edges -> shoes: batch 4, 5 + 15 epochs, L1 weight 100, hinge, ndf 128."""
    return _pix2pix("edges2shoes-r", 5, 15, batch=4)


@RECIPES.register("cityscapes-teacher")
def cityscapes_teacher() -> TrainConfig:
    """pix2pix, labels -> streets: batch 1, 100 + 150 epochs, L1 weight 100, hinge, ndf 128."""
    return _pix2pix("cityscapes", 100, 150, direction="BtoA")


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
        training=TrainingConfig(epochs=200, batch=1, checkpoint_every=2000),
    )


@RECIPES.register("horse2zebra-teacher")
def horse2zebra_teacher() -> TrainConfig:
    """CycleGAN, horses <-> zebras: batch 1, 100 + 100 epochs, lsgan, cycle 10, identity 5, pool of 50, ndf 64."""
    return _cyclegan("horse2zebra")


@RECIPES.register("horse2zebra-mobile-teacher")
def horse2zebra_mobile_teacher() -> TrainConfig:
    """CycleGAN with mobile generators, horses <-> zebras: else as horse2zebra-teacher."""
    return _cyclegan("horse2zebra", arch="mobile-resnet")


@RECIPES.register("summer2winter-teacher")
def summer2winter_teacher() -> TrainConfig:
    """CycleGAN, summer <-> winter in Yosemite: as horse2zebra-teacher."""
    return _cyclegan("summer2winter_yosemite")


@RECIPES.register("summer2winter-mobile-teacher")
def summer2winter_mobile_teacher() -> TrainConfig:
    """CycleGAN with mobile generators, summer <-> winter in Yosemite: else as horse2zebra-teacher."""
    return _cyclegan("summer2winter_yosemite", arch="mobile-resnet")


@RECIPES.register("edges2shoes-unet-teacher")
def edges2shoes_unet_teacher() -> TrainConfig:
    """pix2pix in DMAD, edges -> shoes: U-Net-256, batch norm, batch 4, 100 + 100 epochs, hinge, ndf 128, no augmentation."""
    return _unet("edges2shoes-r", batch=4)


@RECIPES.register("edges2shoes-mobile-teacher")
def edges2shoes_mobile_teacher() -> TrainConfig:
    """mobile pix2pix in DMAD, edges -> shoes: batch 1, 100 + 100 epochs, hinge, ndf 128, no augmentation."""
    return _mobile_pix2pix("edges2shoes-r")


@RECIPES.register("cityscapes-unet-teacher")
def cityscapes_unet_teacher() -> TrainConfig:
    """pix2pix in DMAD, labels -> streets: U-Net-256, batch norm, batch 1, 100 + 100 epochs, hinge, ndf 128."""
    return _unet("cityscapes", direction="BtoA")


@RECIPES.register("cityscapes-mobile-teacher")
def cityscapes_mobile_teacher() -> TrainConfig:
    """mobile pix2pix in DMAD, labels -> streets: batch 1, 100 + 100 epochs, hinge, ndf 128, no augmentation."""
    return _mobile_pix2pix("cityscapes", direction="BtoA")


def _pix2pix(
    folder: str, constant: int, decaying: int, *, direction: Direction = "AtoB", batch: int = 1, l1: float = 100.0
) -> TrainConfig:
    """GAN Compression's dense teachers: so many epochs at the full learning rate, and of its decay."""
    epochs = constant + decaying
    return TrainConfig(
        task="paired",
        data=DataConfig(path=f"datasets/{folder}", direction=direction, load_size=286, flip=True),
        arch_options={"ngf": 64, "blocks": 9},
        discriminator_options={"ndf": 128},
        training=TrainingConfig(
            epochs=epochs, batch=batch, decay_start=constant / epochs, weights={"l1": l1}, checkpoint_every=2000
        ),
    )


def _cyclegan(folder: str, *, arch: str = "resnet") -> TrainConfig:
    """Zhu et al. 2017, sections 4 and 7; its published loss weights are the task's own."""
    return TrainConfig(
        task="unpaired",
        data=DataConfig(path=f"datasets/{folder}", load_size=286, flip=True),
        arch=arch,
        arch_options={"ngf": 64, "blocks": 9},
        training=TrainingConfig(epochs=200, batch=1, checkpoint_every=2000),
    )


def _unet(folder: str, *, direction: Direction = "AtoB", batch: int = 1) -> TrainConfig:
    """The discriminator has batch norm, too, and a width of 128, whatever the release's options say."""
    plain = _mobile_pix2pix(folder, direction=direction)
    return replace(
        plain,
        arch="unet",
        arch_options={"ngf": 64, "depth": 8},
        discriminator_options={"ndf": 128, "norm": "batch"},
        training=replace(plain.training, batch=batch),
    )


def _mobile_pix2pix(folder: str, *, direction: Direction = "AtoB") -> TrainConfig:
    """DMAD's released scripts: images at their size, not mirrored; L1 weight 100; instance norm in both networks."""
    return TrainConfig(
        task="paired",
        data=DataConfig(path=f"datasets/{folder}", direction=direction),
        arch="mobile-resnet",
        arch_options={"ngf": 64, "blocks": 9},
        discriminator_options={"ndf": 128, "norm": "instance"},
        gan="hinge",
        training=TrainingConfig(epochs=200, batch=1, weights={"l1": 100.0}, checkpoint_every=2000),
    )
