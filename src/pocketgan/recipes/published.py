"""Teachers with the published settings of pix2pix, CycleGAN, GAN Compression (its table of shipped scripts) and DMAD.

pocketgan recipes maps-teacher --out runs/maps data.path=datasets/maps
pocketgan recipes horse2zebra-teacher --out runs/horse2zebra
pocketgan recipes edges2shoes-unet-teacher --out runs/edges2shoes-unet

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

from pocketgan.data.config import DataConfig, Direction
from pocketgan.pipeline.config import TrainConfig
from pocketgan.recipes.base import RECIPES, augmented, register, schedule

RESNET = {"ngf": 64, "blocks": 9}
UNET = {"ngf": 64, "depth": 8}


def _pix2pix(name: str, title: str, data: DataConfig, epochs: tuple[int, int], *, batch: int = 1, l1: float = 100.0) -> None:
    """Register a dense teacher of GAN Compression; ``schedule`` has the epochs."""

    def recipe() -> TrainConfig:
        return TrainConfig(
            task="paired",
            data=data,
            arch_options=RESNET,
            discriminator_options={"ndf": 128},
            training=schedule(*epochs, batch=batch, weights={"l1": l1}),
        )

    summary = f"pix2pix, {title}: batch {batch}, {epochs[0]} + {epochs[1]} epochs, L1 weight {l1:g}, hinge, ndf 128."
    register(f"{name}-teacher", summary, recipe)


def _cyclegan(name: str, summary: str, folder: str, *, arch: str = "resnet") -> None:
    """Register a CycleGAN (Zhu et al. 2017, sections 4 and 7); the published loss weights are the defaults of the task."""

    def recipe() -> TrainConfig:
        data, training = augmented(folder), schedule(100, 100)
        return TrainConfig(task="unpaired", data=data, arch=arch, arch_options=RESNET, training=training)

    register(f"{name}-teacher", summary, recipe)


def _dmad(
    name: str, title: str, folder: str, *, direction: Direction = "AtoB", arch: str = "mobile-resnet", batch: int = 1
) -> None:
    """Register a teacher with the settings of DMAD's released scripts: images at their size, not mirrored; L1 weight 100.

    The discriminator has the generator's norm: batch for the U-Net, otherwise instance. Its ndf is 128, unlike the default in
    the options of the released code.
    """
    unet = arch == "unet"

    def recipe() -> TrainConfig:
        return TrainConfig(
            task="paired",
            data=DataConfig(path=f"datasets/{folder}", direction=direction),
            arch=arch,
            arch_options=UNET if unet else RESNET,
            discriminator_options={"ndf": 128, "norm": "batch" if unet else "instance"},
            gan="hinge",
            training=schedule(100, 100, batch=batch, weights={"l1": 100.0}),
        )

    network = f"pix2pix in DMAD, {title}: U-Net-256, batch norm" if unet else f"mobile pix2pix in DMAD, {title}: instance norm"
    register(f"{name}-teacher", f"{network}, batch {batch}, 100 + 100 epochs, hinge, ndf 128, no augmentation.", recipe)


_pix2pix("maps", "map -> aerial photo", augmented("maps", "BtoA"), (100, 200), l1=10.0)
_pix2pix("edges2shoes", "edges -> shoes", augmented("edges2shoes-r"), (5, 15), batch=4)
_pix2pix("cityscapes", "labels -> streets", augmented("cityscapes", "BtoA"), (100, 150))


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


_SETTINGS = "batch 1, 100 + 100 epochs, lsgan, cycle 10, identity 5, pool of 50, ndf 64"
for _name, _folder, _title, _settings in (
    ("horse2zebra", "horse2zebra", "horses <-> zebras", _SETTINGS),
    ("summer2winter", "summer2winter_yosemite", "summer <-> winter in Yosemite", "as horse2zebra-teacher"),
):
    _cyclegan(_name, f"CycleGAN, {_title}: {_settings}.", _folder)
    _mobile = f"CycleGAN with mobile generators, {_title}: otherwise as horse2zebra-teacher."
    _cyclegan(f"{_name}-mobile", _mobile, _folder, arch="mobile-resnet")
_dmad("edges2shoes-unet", "edges -> shoes", "edges2shoes-r", arch="unet", batch=4)
_dmad("edges2shoes-mobile", "edges -> shoes", "edges2shoes-r")
_dmad("cityscapes-unet", "labels -> streets", "cityscapes", direction="BtoA", arch="unet")
_dmad("cityscapes-mobile", "labels -> streets", "cityscapes", direction="BtoA")
