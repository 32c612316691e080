"""Layers of StyleGAN2: equalized learning rates, smoothing filters, and modulation by a style.

Equalized learning rate (Karras et al. 2018, "Progressive Growing of GANs", section 4.1): weights begin at unit variance, and a
fixed gain, He's constant for the widths that the layer was made with, scales the output. The gain is a buffer, so that a layer
computes the same after other channels have been removed.

Modulation: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _init_(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, fan_in: int) -> None:
    """Unit normal weights, zero bias, and the gain for that fan-in."""
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    layer.register_buffer("gain", torch.tensor(1 / fan_in**0.5))


class EqualConv2d(nn.Conv2d):
    """Convolution with equalized learning rate, N x in x H x W -> N x out x H' x W'."""

    gain: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int, **options: Any):
        super().__init__(in_channels, out_channels, kernel, **options)
        _init_(self, int(in_channels) * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.gain, self.bias)  # type: ignore[no-any-return]

    def energy(self) -> Tensor:
        """Squared norm of every kernel: in x out."""
        return (self.weight * self.gain).square().sum((2, 3)).T


class EqualConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution with equalized learning rate and without bias: N x in x H x W -> N x out x H' x W'."""

    gain: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int, **options: Any):
        super().__init__(in_channels, out_channels, kernel, bias=False, **options)
        _init_(self, int(in_channels) * kernel**2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(x * self.gain, output_size)

    def energy(self) -> Tensor:
        """Squared norm of every kernel: in x out."""
        return (self.weight * self.gain).square().sum((2, 3))


class EqualLinear(nn.Linear):
    """Linear layer with equalized learning rate, N x in -> N x out, whose weights and bias learn ``rate`` times as fast."""

    gain: Tensor

    def __init__(self, in_features: int, out_features: int, *, rate: float = 1.0, start: float = 0.0):
        """``start``: initial value of the bias."""
        super().__init__(in_features, out_features)
        self.rate = rate
        _init_(self, int(in_features))
        with torch.no_grad():
            self.weight.div_(rate)
            self.bias.fill_(start / rate)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.gain) * self.rate


class ScaledLeakyReLU(nn.Module):
    """Leaky ReLU of slope 0.2, times the square root of two, which about keeps the variance of normal inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, 0.2) * 2**0.5


class DenseLayer(nn.Sequential):
    """Linear layer and activation, N x in -> N x out."""

    GATES = {"linear": "linear"}  # noqa: RUF012

    def __init__(self, in_features: int, out_features: int, *, rate: float = 1.0):
        super().__init__()
        self.linear, self.act = EqualLinear(in_features, out_features, rate=rate), ScaledLeakyReLU()


def binomial(gain: float) -> Tensor:
    """Smoothing filter, 4 x 4: the outer product of (1, 3, 3, 1) with itself, scaled to the sum ``gain``."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(line, line) * (gain / 64)


class Blur(nn.Module):
    """Every channel smoothed and sampled at ``stride``: H -> (H + 2 padding - 4) // stride + 1, with zero padding."""

    AXES = {"filter": (None, None)}  # noqa: RUF012

    def __init__(self, *, padding: int, gain: float = 1.0, stride: int = 1):
        super().__init__()
        self.padding, self.stride = padding, stride
        self.register_buffer("filter", binomial(gain))
        self.filter: Tensor

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        return F.conv2d(x, self.filter.expand(channels, 1, 4, 4), None, self.stride, self.padding, groups=channels)


class Upsample(Blur):
    """Twice the height and width: N x C x H x W -> N x C x 2H x 2W, zeros inserted and smoothed."""

    def __init__(self) -> None:
        super().__init__(padding=1, gain=4.0, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        weight = self.filter.expand(channels, 1, 4, 4)
        return F.conv_transpose2d(x, weight, None, self.stride, self.padding, groups=channels)


def demodulation(style: Tensor, energy: Tensor) -> Tensor:
    """Factors that give every output unit variance, N x in and in x out -> N x out (eq. 3).

    Computed from the squared norms of the modulated filters (eq. 1), without making a filter for each image.
    """
    return (style.square() @ energy + 1e-8).rsqrt()


class Affine(EqualLinear):
    """Style to scales, N x style -> N x channels, initially about 1.

    A gate of the scaled channels applies here, too: a closed channel must not count in the sum of a demodulation.
    """

    PASS_THROUGH = True

    def __init__(self, style: int, channels: int):
        super().__init__(style, channels, start=1.0)


class ModulatedConv2d(nn.Module):
    """Convolution with inputs scaled by a style and (``demodulate``) outputs scaled back to unit variance.

    Scaling the inputs equals scaling the filters (eq. 1), for every image separately.
    """

    GATES = {"affine": "affine"}  # noqa: RUF012

    def __init__(
        self, style: int, in_channels: int, out_channels: int, kernel: int, *, up: bool = False, demodulate: bool = True
    ):
        """``up``: 2 H + 1 output rows, to be smoothed by a filter. Only without demodulation there is a bias."""
        super().__init__()
        self.affine, self.demodulate = Affine(style, in_channels), demodulate
        self.conv = (
            EqualConvTranspose2d(in_channels, out_channels, kernel, stride=2)
            if up
            else EqualConv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=not demodulate)
        )

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """N x in x H x W and N x style -> N x out x H' x W'."""
        style = self.affine(w)
        y: Tensor = self.conv(x * style[:, :, None, None])
        return y * demodulation(style, self.conv.energy())[:, :, None, None] if self.demodulate else y


class NoiseAndBias(nn.Module):
    """``scale (x + strength noise) + bias``: one strength a layer, one bias a channel, fixed noise unless noise is given.

    The scale is a constant 1. A gate is folded into it, because a demodulation would cancel any other scale.
    """

    AXES = {  # noqa: RUF012
        "weight": ("out_channels",),
        "bias": ("out_channels",),
        "strength": (None,),
        "noise": (None, None),
    }

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.out_channels = channels
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("noise", torch.randn(size, size))
        self.weight: Tensor
        self.noise: Tensor

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """N x C x H x W and N x 1 x H x W -> N x C x H x W."""
        x = x + self.strength * (self.noise if noise is None else noise)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, with ``up`` doubled in size and smoothed, then noise, bias, activation (figure 2c)."""

    GATES = {"shift": "modulated.conv"}  # noqa: RUF012

    def __init__(self, style: int, in_channels: int, out_channels: int, size: int, *, up: bool = False):
        """``size``: height and width of the output."""
        super().__init__()
        self.modulated = ModulatedConv2d(style, in_channels, out_channels, 3, up=up)
        self.blur = Blur(padding=1, gain=4.0) if up else None
        self.shift, self.act = NoiseAndBias(out_channels, size), ScaledLeakyReLU()

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """N x in x H x W and N x style -> N x out x size x size."""
        y = self.modulated(x, w)
        return self.act(self.shift(y if self.blur is None else self.blur(y), noise))  # type: ignore[no-any-return]


class ConstantInput(nn.Module):
    """Learned input of the synthesis network, the same for every image: C x 4 x 4."""

    AXES = {"weight": ("out_channels", None, None)}  # noqa: RUF012
    GATES = {"": ""}  # noqa: RUF012

    def __init__(self, channels: int):
        super().__init__()
        self.out_channels = channels
        self.weight = nn.Parameter(torch.randn(channels, 4, 4))

    def forward(self, count: int) -> Tensor:
        """N x C x 4 x 4 for ``count`` images."""
        return self.weight.repeat(count, 1, 1, 1)


class SynthesisBlock(nn.Module):
    """Two styled convolutions, the first of which doubles the size; with ``residual``, a skip connection around them."""

    def __init__(self, style: int, in_channels: int, hidden: int, out_channels: int, size: int, *, residual: bool):
        super().__init__()
        self.conv0 = StyledConv(style, in_channels, hidden, size, up=True)
        self.conv1 = StyledConv(style, hidden, out_channels, size)
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False) if residual else None
        self.up = Upsample() if residual else None
        self.GATES = {"skip": "skip"} if residual else {}

    def forward(self, x: Tensor, styles: Sequence[Tensor], noises: Sequence[Tensor | None]) -> Tensor:
        """N x in x H x W -> N x out x 2H x 2W."""
        y = self.conv1(self.conv0(x, styles[0], noises[0]), styles[1], noises[1])
        if self.skip is None or self.up is None:
            return y  # type: ignore[no-any-return]
        return (y + self.up(self.skip(x))) * 0.5**0.5  # type: ignore[no-any-return]
