"""The norms of MUNIT's decoder: one that a style scales and shifts, one over all channels of an image at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

OPEN = 2**-5
"""From how far open a gate its channel counts in full for the statistics of a norm over channels."""


class AdaptiveNorm(nn.Module):
    """Instance norm, its scale and shift given from outside for every image (Huang and Belongie 2017, AdaIN, eq. 8)."""

    AXES = {"weight": ("channels",)}  # noqa: RUF012

    def __init__(self, channels: int, *, scaled: bool = False):
        """``scaled``: with a learnt scale of what comes out, for methods that evaluate channels by one."""
        super().__init__()
        self.channels, self.norm = channels, nn.InstanceNorm2d(channels)
        self.weight = nn.Parameter(torch.ones(int(channels))) if scaled else None

    def forward(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """N x C x H x W and two of N x C -> N x C x H x W, of that mean and standard deviation in every channel."""
        y = self.norm(x) * std[:, :, None, None] + mean[:, :, None, None]
        return y if self.weight is None else y * self.weight[:, None, None]  # type: ignore[no-any-return]


class LayerNorm(nn.Module):
    """``(x - mean) / (std + eps)`` over all of each image, then a scale and a shift a channel (MUNIT, appendix B).

    As released: the variance is the unbiased one, ``eps`` is added to its root, scales begin in U(0, 1). A channel whose gate
    is closed has no part in mean and variance, so that closing it is removing it. One from `OPEN` on has its full part, so that
    a gate folded into the scale changes nothing; in between there is no jump.
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
        """How much of each channel counts."""
        gate = getattr(self, "gate", None)
        return torch.ones_like(self.weight) if gate is None else (gate.factors().abs() / OPEN).clamp(max=1)
