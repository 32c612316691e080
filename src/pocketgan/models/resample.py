"""Doubling and halving of images through the smoothing filter 1-3-3-1 (Karras et al. 2020, StyleGAN2, section 2 of B)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def binomial(gain: float) -> Tensor:
    """The filter, 4 x 4: the outer square of 1, 3, 3, 1, whose sum is ``gain``."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(line, line) * (gain / 64)


class Blur(nn.Module):
    """Every channel smoothed, every ``stride``-th place of it: N x C x H x W, ``padding`` zeros around."""

    AXES = {"filter": (None, None)}  # noqa: RUF012

    def __init__(self, *, padding: int, gain: float = 1.0, stride: int = 1):
        super().__init__()
        self.padding, self.stride = padding, stride
        self.register_buffer("filter", binomial(gain))
        self.filter: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """H -> (H + 2 padding - 4) // stride + 1."""
        channels = x.shape[1]
        return F.conv2d(x, self.filter.expand(channels, 1, 4, 4), None, self.stride, self.padding, groups=channels)


class Upsample(nn.Module):
    """Twice the height and width: N x C x H x W -> N x C x 2H x 2W, zeros put between and smoothed over."""

    AXES = {"filter": (None, None)}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", binomial(4.0))
        self.filter: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """The larger image."""
        channels = x.shape[1]
        return F.conv_transpose2d(x, self.filter.expand(channels, 1, 4, 4), None, 2, 1, groups=channels)
