"""Objectives on relations: similarities between images, positions or pieces, which no adaptor has to translate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pocketgan.losses.features import kernel_alignment
from pocketgan.training.distributed import of_all
from pocketgan.training.objectives.base import OBJECTIVES, DistillationBatch, Objective, Options


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions(Options):
    """Options of `KernelAlignment`."""

    centered: bool = False
    """Subtract the mean over the images first, which CAT does not (Kornblith et al. 2019)."""


@OBJECTIVES.register("kernel-alignment")
class KernelAlignment(Objective):
    """Alignment with the teacher's similarities between the images of a batch (CAT, eq. 5). Minus the sum over layers.

    Over the images of all processes together: the released code sums the alignments of single GPUs, so that both the weight
    and the images compared depend on their number.
    """

    Options = AlignmentOptions

    @classmethod
    def least_batch(cls, options: AlignmentOptions) -> int:
        """Return 2 (centered: 3); the alignment of fewer images is the same for every network."""
        return 3 if options.centered else 2

    def loss(self, batch: DistillationBatch) -> Tensor:
        pairs = [(of_all(student), of_all(batch.teacher_features[name])) for name, student in batch.student_features.items()]
        return -torch.stack([kernel_alignment(*pair, centered=self.options.centered) for pair in pairs]).sum()
