"""Objectives on features in the teacher's discriminator."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pocketgan.losses.features import discriminator_distance
from pocketgan.training.distributed import norm_of_all
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective, Options
from pocketgan.utils.registry import unknown


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
