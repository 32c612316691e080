"""Eyes: frozen networks through which objectives compare images. The teacher's discriminator, or a VGG of ImageNet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from pocketgan.pretrained.vgg import Vgg, load_vgg16, load_vgg19
from pocketgan.training.objectives.base import DistillationBatch
from pocketgan.utils.registry import unknown

DISCRIMINATOR = "teacher-discriminator"


@dataclass(frozen=True)
class VggKind:
    """VGG with the layers and the preparation of images that published losses use."""

    load: Callable[[str | Path | None], Vgg]
    layers: tuple[str, ...]
    prepare: Callable[[Tensor], Tensor]


VGGS: Mapping[str, VggKind] = {
    # OMGD, DCD, CRD, GAN Slimming and AutoGAN-Distiller.
    "vgg16": VggKind(lru_cache(1)(load_vgg16), ("relu1_2", "relu2_2", "relu3_3", "relu4_3"), lambda image: (image + 1) / 2),
    # pix2pixHD and SPADE.
    "vgg19": VggKind(lru_cache(1)(load_vgg19), ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), lambda image: image),
}


class Eyes(Protocol):
    """Extractor of features of images."""

    layers: tuple[str, ...]
    """Names of all layers, from the image on."""
    default: tuple[str, ...]
    """Layers that are compared by default."""

    def __call__(self, batch: DistillationBatch, names: Collection[str]) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Features of the student's image, with gradient, and of the teacher's, without, of the layers ``names`` at least."""


def check_eyes(text: str) -> None:
    """Raise ``ValueError`` for a name of eyes that does not exist, or a file where none is read."""
    name, _, file = text.partition(":")
    if name not in (DISCRIMINATOR, *VGGS) or (file and name not in VGGS):
        raise unknown("eyes", text, (DISCRIMINATOR, *VGGS, *(f"{name}:FILE" for name in VGGS)))


def make_eyes(text: str, example: DistillationBatch, objective: str) -> Eyes:
    """Eyes ``teacher-discriminator``, ``vgg16``, ``vgg19`` or ``vgg16:FILE`` (weights) for the networks of ``example``.

    Raises ``ValueError`` if there is no such discriminator, if weights cannot be had, and for images without three channels.
    """
    remedy = f"or choose other eyes: objective_options.{objective}.eyes="
    if text == DISCRIMINATOR:
        if example.teacher_discriminator is None:
            raise ValueError(
                f"the objective {objective} compares features in the teacher's discriminator, and there is none beside the "
                f"teacher: name it by --teacher-discriminator, {remedy}vgg16"
            )
        return DiscriminatorEyes(example)
    name, _, file = text.partition(":")
    if (channels := example.teacher_image.shape[1]) != 3:
        raise ValueError(f"{name} takes images of 3 channels, these have {channels}: {remedy}{DISCRIMINATOR}")
    try:
        network = VGGS[name].load(file or None)
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}{DISCRIMINATOR}") from None
    return VggEyes(network.to(example.teacher_image.device), VGGS[name])


class DiscriminatorEyes:
    """The teacher's discriminator; by default its first four hidden layers, of the finest scale."""

    def __init__(self, example: DistillationBatch):
        assert example.teacher_discriminator is not None
        scale = example.teacher_discriminator.scales[0]
        self.layers = example.teacher_discriminator.layers
        self.default = scale[:-1][:4] or scale

    def __call__(self, batch: DistillationBatch, names: Collection[str]) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        return batch.discriminator_features_student, batch.discriminator_features_teacher


class VggEyes:
    """A VGG; no module of its objective, as it is neither trained nor saved."""

    def __init__(self, network: Vgg, kind: VggKind):
        self.network, self.prepare = network, kind.prepare
        self.layers, self.default = tuple(network.indices), kind.layers

    def __call__(self, batch: DistillationBatch, names: Collection[str]) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        student = self.network.activations(self.prepare(batch.student_image), names)
        with torch.no_grad():
            return student, self.network.activations(self.prepare(batch.teacher_image), names)
