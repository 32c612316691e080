"""Objectives on attention: where a network is active, whatever its channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pocketgan.losses.features import attention_distance, attention_map, attention_transfer, coattention_maps, fused
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective, Options
from pocketgan.utils.registry import unknown


@OBJECTIVES.register("attention")
class Attention(Objective):
    """Distance to the spatial attention of the teacher's features (Zagoruyko and Komodakis 2017). Summed over layers."""

    weight = 10.0

    def loss(self, batch: DistillationBatch) -> Tensor:
        return torch.stack(
            [attention_transfer(features, batch.teacher_features[name]) for name, features in batch.student_features.items()]
        ).sum()


@dataclass(frozen=True, kw_only=True)
class CoAttentionOptions(Options):
    """Options of `CoAttention`: how the attention of generator and discriminator is combined."""

    fusion: Literal["sum", "product", "conv"] = "sum"
    """Half the sum (eq. 8), the product, or a learned 1x1 convolution (table V)."""
    discriminator_layers: tuple[str, ...] = ()
    """Layers of the teacher's discriminator by name (table VI); empty: its second layer, as released."""
    shown: Literal["teacher", "student"] = "teacher"
    """Image scored by the discriminator: unspecified in the paper; the student's in the released code."""
    channels: Literal["mean", "sum"] = "mean"
    """Reduction over channels: with the mean (released), the discriminator's share is independent of the networks' widths;
    the paper sums."""
    per_pixel: bool = False
    """Divide the loss by the number of pixels of the map, as released: 4096 times less at 64 x 64 than in the paper."""


@OBJECTIVES.register("coattention")
class CoAttention(Objective):
    """Distance to the joint attention of the teacher's generator and discriminator (DMAD, eq. 7 to 9). Summed over layers."""

    weight = 10.0
    needs_discriminator = True
    without_discriminator = "attends to the generator alone"
    Options = CoAttentionOptions

    def __init__(self, example: DistillationBatch, options: CoAttentionOptions):
        super().__init__(example, options)
        self.discriminator_layers: tuple[str, ...] = ()
        if example.teacher_discriminator is not None:
            known = example.teacher_discriminator.layers
            self.discriminator_layers = options.discriminator_layers or known[1:2] or known[:1]
            for name in self.discriminator_layers:
                if name not in known:
                    raise unknown("layer of the discriminator", name, known)
        self.mix = nn.Conv2d(1 + len(self.discriminator_layers), 1, 1, bias=False) if options.fusion == "conv" else None
        if self.mix is not None:
            nn.init.constant_(self.mix.weight, 0.5)  # equal to the sum at first

    def loss(self, batch: DistillationBatch) -> Tensor:
        features: Mapping[str, Tensor] = {}
        if batch.teacher_discriminator is not None:
            by_student = self.options.shown == "student"
            features = batch.discriminator_features_student if by_student else batch.discriminator_features_teacher
        # Detached: the target must not depend on the student (in the released code a gradient flows there).
        others = [features[name].detach() for name in self.discriminator_layers]
        return torch.stack(
            [self._distance(student, batch.teacher_features[name], others) for name, student in batch.student_features.items()]
        ).sum()

    def _distance(self, student: Tensor, teacher: Tensor, others: list[Tensor]) -> Tensor:
        maps = coattention_maps(teacher, others, mean=self.options.channels == "mean")
        if self.mix is not None:
            target = self.mix(maps)[:, 0]
        else:
            target = fused(maps, "product" if self.options.fusion == "product" else "sum")
        distance = attention_distance(attention_map(student), target)
        return distance / target[0].numel() if self.options.per_pixel else distance
