"""Objectives on what the teacher's discriminator sees: of images, or of the generators' features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.spec import init_weights_
from pocketgan.losses.features import discriminator_distance
from pocketgan.training.distributed import norm_of_all
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective, Options
from pocketgan.training.objectives.features import adapt, widths_of
from pocketgan.utils.registry import unknown

LEAST_SIDE = 64
"""Side of the smallest features that a discriminator sees as an image, as in DCD."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorOptions(Options):
    """Options of `Discriminator`."""

    layer: str = ""
    """Layer by name; empty: the last convolution, the logits (paper); ``hidden``: the one before (released code)."""
    squared: bool = True
    """Squared norm per image (eq. 10); otherwise the norm of the whole batch, as released."""


@OBJECTIVES.register("discriminator")
class Discriminator(Objective):
    """Distance of the two images' features in the teacher's discriminator (DMAD, eq. 10; Chen et al. 2020)."""

    weight = 1e-4
    needs_features = False
    needs_discriminator = True
    Options = DiscriminatorOptions

    def __init__(self, example: DistillationBatch, options: DiscriminatorOptions):
        super().__init__(example, options)
        assert example.teacher_discriminator is not None
        known = example.teacher_discriminator.layers
        self.layer = {"": known[-1], "hidden": known[-2]}.get(options.layer, options.layer)
        if self.layer not in known:
            raise unknown("layer of the discriminator", self.layer, known)

    def loss(self, batch: DistillationBatch) -> Tensor:
        student, teacher = batch.discriminator_features_student[self.layer], batch.discriminator_features_teacher[self.layer]
        distance = discriminator_distance(student, teacher, squared=self.options.squared)
        return distance if self.options.squared else norm_of_all(distance)


@OBJECTIVES.register("discriminator-features")
class DiscriminatorFeatures(Objective):
    """Distance of the generators' features as the teacher's discriminator sees them (DCD). Summed over layers.

    Features become images of as many channels as the discriminator reads, by a 1x1 convolution and a ReLU: the student's is
    trained, the teacher's a fixed orthonormal projection (the released code trains both, so that both may become constant).
    Features smaller than the published 64 x 64 are enlarged to it, or to the images' size. L1 of the last hidden layer.
    """

    needs_discriminator = True

    def __init__(self, example: DistillationBatch, options: Any):
        super().__init__(example, options)
        assert example.teacher_discriminator is not None
        widths, channels = widths_of(example), example.teacher_discriminator.channels
        self.layers = tuple(widths)
        self.adaptors = nn.ModuleList(nn.Conv2d(student, channels, 1, bias=False) for student, _ in widths.values())
        init_weights_(self)
        for index, (_, teacher) in enumerate(widths.values()):  # buffers: a phase trains all parameters
            self.register_buffer(f"projection{index}", nn.init.orthogonal_(torch.empty(channels, teacher))[..., None, None])
        self.to(example.teacher_image)  # its device and type
        for name in self.layers:
            self._check(example, name)

    def loss(self, batch: DistillationBatch) -> Tensor:
        distances = []
        for name, adaptor in zip(self.layers, self.adaptors, strict=True):
            with torch.no_grad():
                target = self._seen(batch, self._projected(batch, name))
            seen = self._seen(batch, adapt(batch.student_features[name], adaptor))
            distances.append(F.l1_loss(seen, target))
        return torch.stack(distances).sum()

    def _projected(self, batch: DistillationBatch, name: str) -> Tensor:
        return F.conv2d(batch.teacher_features[name], self.get_buffer(f"projection{self.layers.index(name)}"))

    def _seen(self, batch: DistillationBatch, image: Tensor) -> Tensor:
        """Last hidden layer of the teacher's discriminator for what is given as its whole input."""
        discriminator = batch.teacher_discriminator
        assert discriminator is not None
        sides = zip(image.shape[-2:], batch.teacher_image.shape[-2:], strict=True)
        size = tuple(max(own, min(LEAST_SIDE, whole)) for own, whole in sides)
        if size != image.shape[-2:]:
            image = F.interpolate(image, size, mode="bilinear")
        return discriminator.features(F.relu(image))[discriminator.layers[-2]]

    def _check(self, example: DistillationBatch, name: str) -> None:
        try:
            with torch.no_grad():
                self._seen(example, self._projected(example, name))
        except (RuntimeError, ValueError) as error:
            height, width = example.teacher_features[name].shape[-2:]
            raise ValueError(
                f"discriminator-features: the teacher's discriminator cannot read the features of the layer {name}, "
                f"{height} x {width}, as it reads images of one size: take the objective discriminator instead "
                f"({str(error).splitlines()[0]})"
            ) from None
