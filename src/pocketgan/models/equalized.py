"""Layers of equalized learning rate: weights begin at unit variance, a fixed gain brings what they make to scale.

Karras et al. 2018, "Progressive Growing of GANs", section 4.1. The gain is He's constant for the widths that the layer was
made with. It is a buffer and not computed anew, so that a layer that loses channels goes on to compute what it did.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _begin_(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, reads: int) -> None:
    """Unit normal weights, no bias, and the gain for that many numbers that each output is a sum of."""
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    layer.register_buffer("gain", torch.tensor(1 / reads**0.5))


class EqualConv2d(nn.Conv2d):
    """A convolution, N x in x H x W -> N x out x H' x W'."""

    gain: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int, **options: Any):
        super().__init__(in_channels, out_channels, kernel, **options)
        _begin_(self, int(in_channels) * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of what is read, at scale; the bias as it is."""
        return self._conv_forward(x, self.weight * self.gain, self.bias)  # type: ignore[no-any-return]

    def energy(self) -> Tensor:
        """Squared norm of every kernel: in x out."""
        return (self.weight * self.gain).square().sum((2, 3)).T


class EqualConvTranspose2d(nn.ConvTranspose2d):
    """Its transposed form, without a bias: N x in x H x W -> N x out x H' x W'."""

    gain: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int, **options: Any):
        super().__init__(in_channels, out_channels, kernel, bias=False, **options)
        _begin_(self, int(in_channels) * kernel**2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The sum of what is read, at scale."""
        return super().forward(x * self.gain, output_size)

    def energy(self) -> Tensor:
        """Squared norm of every kernel: in x out."""
        return (self.weight * self.gain).square().sum((2, 3))


class EqualLinear(nn.Linear):
    """A linear layer, N x in -> N x out, whose weights and bias learn ``rate`` times as fast as those of others."""

    gain: Tensor

    def __init__(self, in_features: int, out_features: int, *, rate: float = 1.0, start: float = 0.0):
        """``start``: what the bias begins at."""
        super().__init__(in_features, out_features)
        self.rate = rate
        _begin_(self, int(in_features))
        with torch.no_grad():
            self.weight.div_(rate)
            self.bias.fill_(start / rate)

    def forward(self, x: Tensor) -> Tensor:
        """``rate`` times (the sum at scale, and the bias)."""
        return super().forward(x * self.gain) * self.rate


class Leaky(nn.Module):
    """Leaky ReLU of slope 0.2, times the square root of two: what is normal going in has about its variance coming out."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return F.leaky_relu(x, 0.2) * 2**0.5


class Dense(nn.Module):
    """Linear layer and activation, N x in -> N x out."""

    GATES = {"linear": "linear"}  # noqa: RUF012

    def __init__(self, in_features: int, out_features: int, *, rate: float = 1.0):
        super().__init__()
        self.linear, self.act = EqualLinear(in_features, out_features, rate=rate), Leaky()

    def forward(self, x: Tensor) -> Tensor:
        """N x in -> N x out."""
        return self.act(self.linear(x))  # type: ignore[no-any-return]
