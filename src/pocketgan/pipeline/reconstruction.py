"""Reconstruction of a pruned generator on training images, kept where it is nearer to the teacher."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from pocketgan.core.dims import widths_of
from pocketgan.core.inputs import as_tuple
from pocketgan.metrics.image import psnr
from pocketgan.pipeline.plan import SearchTarget
from pocketgan.pruning.reconstruct import images_of, reconstruct_
from pocketgan.pruning.selection import Selection

IMAGES, UNSEEN = 64, 8
"""Training images that the weights are fitted to, and others that compare them with the inherited ones."""
PIXELS = 2**22
"""Pixels of all images together, at most: the student holds them in memory at once."""


@dataclass(frozen=True)
class Reconstruction:
    """Decibels to the teacher, on images that the weights were not fitted to."""

    inherited: float
    reconstructed: float
    images: int
    """Number of images of the fit."""

    @property
    def is_better(self) -> bool:
        """True if the student keeps the reconstructed weights."""
        return self.reconstructed > self.inherited

    def __str__(self) -> str:
        kept = "" if self.is_better else "; the inherited weights are kept"
        return (
            f"reconstructed from {self.images} images: PSNR to the teacher {self.reconstructed:.1f} dB without training, with "
            f"the inherited weights {self.inherited:.1f}{kept}"
        )


def reconstructed(
    student: nn.Module, network: nn.Module, target: SearchTarget, selection: Selection, device: torch.device
) -> tuple[nn.Module, Reconstruction]:
    """``student``, cut from ``network``, or a copy with reconstructed weights if that is nearer to the teacher; on the CPU.

    The teacher is the generator that the search began with, or ``network`` where that has other widths (a fresh one).
    """
    height, width = target.context.cost.size
    batches = list(target.context.images(max(2 * UNSEEN, min(IMAGES, PIXELS // (height * width))) + UNSEEN))
    on_device = [tuple(tensor.to(device) for tensor in as_tuple(batch)) for batch in batches]
    last = max(1, UNSEEN // len(on_device[0][0]))
    fitted, unseen = on_device[:-last] or on_device, on_device[-last:]
    initial = target.initial.model
    teacher = copy.deepcopy(initial if widths_of(initial) == widths_of(network) else network).to(device)
    inherited = student.to(device)
    better = copy.deepcopy(inherited)
    reconstruct_(better, teacher, selection, fitted, seed=target.context.seed)
    images = images_of(teacher, unseen)
    before, after = (float(psnr(images_of(network, unseen), images).mean()) for network in (inherited, better))
    found = Reconstruction(before, after, sum(len(batch[0]) for batch in fitted))
    return (better if found.is_better else inherited).cpu(), found
