"""Objectives on images alone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective


@OBJECTIVES.register("output")
class Output(Objective):
    """L1 to the teacher's image."""

    weight = 100.0
    needs_features = False

    def loss(self, batch: DistillationBatch) -> Tensor:
        return F.l1_loss(batch.student_image, batch.teacher_image)
