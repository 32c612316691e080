"""Objectives on features of the generators, through adaptors of the student's channels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.spec import init_weights_
from pocketgan.losses.features import channel_distance
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective


def widths_of(example: DistillationBatch) -> dict[str, tuple[int, int]]:
    """Channels of student and teacher by layer."""
    return {name: (x.shape[1], example.teacher_features[name].shape[1]) for name, x in example.student_features.items()}


def adapt(features: Tensor, adaptor: nn.Module) -> Tensor:
    """Apply a 1x1 adaptor to however many leading channels there are: an elastic network changes its widths."""
    weight, bias = adaptor.weight, adaptor.bias
    assert isinstance(weight, Tensor)
    return F.conv2d(features, weight[:, : features.shape[1]], bias)  # type: ignore[arg-type]


@OBJECTIVES.register("features")
class Features(Objective):
    """Mean squared error to the teacher's features, after a 1x1 adaptor on the *student's* (GAN Compression, eq. 3).

    The paper prints the adaptor on the teacher; on the student (as in its authors' code) it cannot make the loss
    vanish by mapping everything to zero. Summed over layers.
    """

    def __init__(self, example: DistillationBatch, options: Any):
        super().__init__(example, options)
        widths = widths_of(example)
        self.layers = tuple(widths)
        self.adaptors = nn.ModuleList(nn.Conv2d(student, teacher, 1) for student, teacher in widths.values())
        init_weights_(self)

    def loss(self, batch: DistillationBatch) -> Tensor:
        pairs = zip(self.layers, self.adaptors, strict=True)
        return torch.stack(
            [F.mse_loss(adapt(batch.student_features[name], adaptor), batch.teacher_features[name]) for name, adaptor in pairs]
        ).sum()


@OBJECTIVES.register("channels")
class Channels(Objective):
    """Distance to the mean over positions of each of the teacher's channels (OMGD, channel distillation). Summed over layers.

    The student's features pass a 1x1 convolution, batch norm and ReLU, which are trained with it.
    """

    weight = 10.0

    def __init__(self, example: DistillationBatch, options: Any):
        super().__init__(example, options)
        for name, features in example.student_features.items():
            if features[0, 0].numel() == 1:
                raise ValueError(
                    f"channels: the features of the layer {name} are 1 x 1, so they are their own means: choose features, or "
                    "other layers, layers=[...]"
                )
        widths = widths_of(example)
        self.layers = tuple(widths)
        self.adaptors = nn.ModuleList(nn.Conv2d(student, teacher, 1, bias=False) for student, teacher in widths.values())
        self.norms = nn.ModuleList(nn.BatchNorm2d(teacher) for _, teacher in widths.values())
        init_weights_(self)

    def loss(self, batch: DistillationBatch) -> Tensor:
        distances = []
        for name, adaptor, norm in zip(self.layers, self.adaptors, self.norms, strict=True):
            mapped = F.relu(norm(adapt(batch.student_features[name], adaptor)))
            distances.append(channel_distance(mapped, batch.teacher_features[name]))
        return torch.stack(distances).sum()
