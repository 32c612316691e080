"""Running statistics of batch norms after a change of widths, or of norms that kept none."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from pocketgan.core.hooks import evaluation_mode, forward_hooks
from pocketgan.core.inputs import ModelInputs, run


def has_statistics(model: nn.Module) -> bool:
    """True if any norm of the model keeps running statistics."""
    return any(getattr(module, "track_running_stats", False) for module in model.modules())


def tracked(model: nn.Module, images: Iterable[ModelInputs]) -> nn.Module:
    """Copy of which all batch norms keep running statistics, so that an image no longer depends on its batch.

    Norms that kept none get the statistics of ``images`` (model inputs) as by `calibrate_`; the others keep theirs. Outputs in
    evaluation mode are close to those of the model on large batches, not equal.
    """
    copied = copy.deepcopy(model)
    untracked = [module for module in copied.modules() if isinstance(module, nn.BatchNorm2d) and module.running_mean is None]
    device = next((parameter.device for parameter in copied.parameters()), None)
    for norm in untracked:
        norm.track_running_stats = True
        norm.running_mean = torch.zeros(int(norm.num_features), device=device)
        norm.running_var = torch.ones(int(norm.num_features), device=device)
        norm.num_batches_tracked = torch.tensor(0, device=device)
    calibrate_(copied, images, norms=untracked)
    return copied


@torch.no_grad()
def calibrate_(model: nn.Module, images: Iterable[ModelInputs], *, norms: Sequence[nn.BatchNorm2d] | None = None) -> None:
    """Set the running statistics of ``norms`` to those of their inputs over ``images`` (model inputs), in place.

    ``norms`` are by default all batch norms of the model with running statistics.

    Mean and unbiased variance over all batches together, accumulated in float64; within a batch the norms use the statistics
    of that batch, as in training. The published calibration keeps those of the last batch (GAN Compression, ``calibrate_bn``).
    """
    if norms is None:
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d) and module.track_running_stats]
    if not norms:
        return
    sums = {norm: _Sums() for norm in norms}
    with evaluation_mode(model), forward_hooks([(norm, sums[norm].add) for norm in norms], before=True):
        for norm in norms:
            norm.train()
        for image in images:
            run(model, image)
    for norm in norms:
        sums[norm].write_(norm)


class _Sums:
    """Count, sum and sum of squares of the inputs of a norm, by channel."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0].double()
        self.count += x.numel() // x.shape[1]
        self.sum = self.sum.to(x) + x.sum((0, 2, 3))
        self.squares = self.squares.to(x) + x.square().sum((0, 2, 3))

    def write_(self, norm: nn.BatchNorm2d) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean = self.sum / self.count
        variance = (self.squares / self.count - mean.square()).clamp_min(0) * self.count / max(1, self.count - 1)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
