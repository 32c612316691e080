"""The norms of MUNIT's decoder: one that a style scales and shifts, one over all channels of a picture at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AdaptiveNorm(nn.Module):
    """Instance norm, its scale and shift given from outside for every picture (Huang and Belongie 2017, AdaIN, eq. 8)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """N x C x H x W and two of N x C -> N x C x H x W, of that mean and standard deviation in every channel."""
        return self.norm(x) * std[:, :, None, None] + mean[:, :, None, None]  # type: ignore[no-any-return]


class LayerNorm(nn.Module):
    """``(x - mean) / (std + eps)`` over channels and places of each picture, then a scale and a shift a channel (MUNIT, B.1).

    As released: the variance is the unbiased one, ``eps`` is added to its root, scales begin in U(0, 1). A channel has part in
    mean and variance as far as its gate is open, so that closing it is removing it; with all gates alike they are what they
    are without.
    """

    AXES = {"weight": ("channels",), "bias": ("channels",)}  # noqa: RUF012

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.channels, self.eps = channels, eps
        self.weight = nn.Parameter(torch.rand(int(channels)))
        self.bias = nn.Parameter(torch.zeros(int(channels)))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> the same shape."""
        parts = self._parts()
        total, places = parts.sum().clamp_min(torch.finfo(parts.dtype).tiny), x.shape[2] * x.shape[3]
        x = x - ((x.mean((2, 3)) * parts).sum(1) / total)[:, None, None, None]
        # Unbiased for weighted values: as many degrees of freedom are lost as the weights are worth of whole channels.
        freedom = places * total - parts.square().sum() / total
        variance = (x.square().sum((2, 3)) * parts).sum(1) / freedom
        std = variance.clamp_min(1e-24).sqrt()[:, None, None, None]  # a root has no slope at 0
        return x / (std + self.eps) * self.weight[:, None, None] + self.bias[:, None, None]

    def _parts(self) -> Tensor:
        """How much of each channel there is."""
        gate = getattr(self, "gate", None)
        return torch.ones_like(self.weight) if gate is None else gate.factors().abs()
