"""Objectives on features of the generators, position by position."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.spec import init_weights_
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective


@OBJECTIVES.register("features")
class Features(Objective):
    """Mean squared error to the teacher's features, after a 1x1 adaptor on the *student's* (GAN Compression, eq. 3).

    The paper prints the adaptor on the teacher; on the student (as in its authors' code) it cannot make the loss
    vanish by mapping everything to zero. Summed over layers.
    """

    def __init__(self, example: DistillationBatch, options: Any):
        super().__init__(example, options)
        self.layers = tuple(example.student_features)
        widths = [(example.student_features[name].shape[1], example.teacher_features[name].shape[1]) for name in self.layers]
        self.adaptors = nn.ModuleList(nn.Conv2d(student, teacher, 1) for student, teacher in widths)
        init_weights_(self)

    def loss(self, batch: DistillationBatch) -> Tensor:
        pairs = zip(self.layers, self.adaptors, strict=True)
        return torch.stack(
            [F.mse_loss(adapt(batch.student_features[name], adaptor), batch.teacher_features[name]) for name, adaptor in pairs]
        ).sum()


def adapt(features: Tensor, adaptor: nn.Module) -> Tensor:
    """Apply a 1x1 adaptor to however many leading channels there are: an elastic network changes its widths."""
    weight, bias = adaptor.weight, adaptor.bias
    assert isinstance(weight, Tensor)
    return F.conv2d(features, weight[:, : features.shape[1]], bias)  # type: ignore[arg-type]
