"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


def averaged(network: nn.Module) -> nn.Module:
    """Return a copy of the network, in evaluation mode and without gradients, that `average_` moves."""
    return copy.deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def average_(mean: nn.Module, network: nn.Module, *, images: int, half_life: float) -> None:
    """Move ``mean`` towards ``network`` after a step on ``images`` images; ``half_life`` is in thousands of images.

    Buffers are copied, as StyleGAN2 released it: an average of spectral norm's unit vectors would be shorter than 1.
    """
    mean.to(next(network.parameters()).device)
    kept = 0.5 ** (images / (1000 * half_life))
    for average, weight in zip(mean.parameters(), network.parameters(), strict=True):
        average.lerp_(weight, 1 - kept)
    for buffer, current in zip(mean.buffers(), network.buffers(), strict=True):
        buffer.copy_(current)
