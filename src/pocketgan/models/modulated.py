"""Layers that a style modulates: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pocketgan.models.equalized import EqualConv2d, EqualConvTranspose2d, EqualLinear, Leaky
from pocketgan.models.resample import Blur, Upsample


def demodulation(style: Tensor, energy: Tensor) -> Tensor:
    """What brings every output back to unit variance, N x in and in x out -> N x out (eq. 3).

    The squared norms of the modulated filters (eq. 1), summed without making a filter for each image.
    """
    return (style.square() @ energy + 1e-8).rsqrt()


class Affine(EqualLinear):
    """Style to scales, N x style -> N x channels, about 1 at first.

    It follows the channels that it scales: one that is closed may not be left in the sum that a demodulation takes.
    """

    PASS_THROUGH = True

    def __init__(self, style: int, channels: int):
        super().__init__(style, channels, start=1.0)


class Modulated(nn.Module):
    """A convolution whose inputs are scaled by a style, and whose outputs (``demodulate``) are scaled back to unit variance.

    Scaling what passes is the same as scaling the filters (eq. 1), for every image in its own way.
    """

    GATES = {"affine": "affine"}  # noqa: RUF012

    def __init__(
        self, style: int, in_channels: int, out_channels: int, kernel: int, *, up: bool = False, demodulate: bool = True
    ):
        """``up``: twice the size, and one more, for a filter to smooth. Only what is not demodulated has a bias."""
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
    """``scale (x + strength noise) + bias``: one strength a layer, one bias a channel, noise of its own where none is given.

    The scale is 1 and learns nothing. It is what a gate is folded into: a demodulation takes any other scale away again.
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


class StyledLayer(nn.Module):
    """Modulated 3x3 convolution, smoothing where it doubles the size, noise, bias, activation (figure 2c)."""

    GATES = {"shift": "modulated.conv"}  # noqa: RUF012

    def __init__(self, style: int, in_channels: int, out_channels: int, size: int, *, up: bool = False):
        """``size``: height and width of what it makes."""
        super().__init__()
        self.modulated = Modulated(style, in_channels, out_channels, 3, up=up)
        self.blur = Blur(padding=1, gain=4.0) if up else None
        self.shift, self.act = NoiseAndBias(out_channels, size), Leaky()

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """N x in x H x W and N x style -> N x out x size x size."""
        y = self.modulated(x, w)
        return self.act(self.shift(y if self.blur is None else self.blur(y), noise))  # type: ignore[no-any-return]


class Constant(nn.Module):
    """The learned map that every image begins with, C x 4 x 4."""

    AXES = {"weight": ("out_channels", None, None)}  # noqa: RUF012
    GATES = {"": ""}  # noqa: RUF012

    def __init__(self, channels: int):
        super().__init__()
        self.out_channels = channels
        self.weight = nn.Parameter(torch.randn(channels, 4, 4))

    def forward(self, count: int) -> Tensor:
        """``count`` times the same: N x C x 4 x 4."""
        return self.weight.repeat(count, 1, 1, 1)


class Block(nn.Module):
    """Two styled layers, the first of which doubles the size; with ``residual``, what they read is added to what they make."""

    def __init__(self, style: int, reads: int, hidden: int, writes: int, size: int, *, residual: bool):
        super().__init__()
        self.conv0 = StyledLayer(style, reads, hidden, size, up=True)
        self.conv1 = StyledLayer(style, hidden, writes, size)
        self.skip = EqualConv2d(reads, writes, 1, bias=False) if residual else None
        self.up = Upsample() if residual else None
        self.GATES = {"skip": "skip"} if residual else {}

    def forward(self, x: Tensor, styles: Sequence[Tensor], noises: Sequence[Tensor | None]) -> Tensor:
        """N x in x H x W -> N x out x 2H x 2W."""
        y = self.conv1(self.conv0(x, styles[0], noises[0]), styles[1], noises[1])
        if self.skip is None or self.up is None:
            return y  # type: ignore[no-any-return]
        return (y + self.up(self.skip(x))) * 0.5**0.5  # type: ignore[no-any-return]
