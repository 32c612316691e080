"""What MUNIT's generator is made of: two encoders, a decoder, and the MLP through which a style steers it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.models.adaptive import AdaptiveNorm, LayerNorm
from pocketgan.models.layers import Norm, Separable, Unit, make_norm

STYLE = {"style_stem": 1, "style_down1": 2, "style_down2": 4, "style_down3": 4, "style_down4": 4}
"""Widths of the style encoder, in units of ngf."""

Mixing = Callable[[int, int, int], nn.Module]
"""Makes a convolution of that many channels in and out, and that kernel: dense or separable."""


def dense(i: int, o: int, kernel: int) -> nn.Module:
    """With the borders reflected, as everywhere here."""
    return nn.Conv2d(i, o, kernel, padding=kernel // 2, padding_mode="reflect")


def separable(i: int, o: int, kernel: int) -> nn.Module:
    """The same, decomposed."""
    return Separable(i, o, norm="instance", bias=True, kernel=kernel)


def _down(i: int, o: int) -> nn.Module:
    return nn.Conv2d(i, o, 4, 2, 1, padding_mode="reflect")


class ContentEncoder(nn.Module):
    """N x in x H x W -> the content code, N x trunk x H/4 x W/4."""

    def __init__(self, w: Widths, in_channels: int, blocks: int, mixing: Mixing, norm: Norm):
        super().__init__()

        def unit(conv: nn.Module, width: int, act: nn.Module | None) -> Unit:
            return Unit(conv, make_norm(norm, width), act)

        self.stem = unit(dense(in_channels, w.stem, 7), w.stem, nn.ReLU())
        self.down1 = unit(_down(w.stem, w.down1), w.down1, nn.ReLU())
        self.down2 = unit(_down(w.down1, w.trunk), w.trunk, nn.ReLU())
        for i in range(blocks):
            hidden = w[f"content{i}"]
            first = unit(mixing(w.trunk, hidden, 3), hidden, nn.ReLU())
            self.add_module(f"block{i}", Residual(first, unit(mixing(hidden, w.trunk, 3), w.trunk, None)))

    def forward(self, x: Tensor) -> Tensor:
        """The code."""
        for layer in self.children():
            x = layer(x)
        return x


class Residual(nn.Module):
    """``x + b(a(x))``, nothing after the sum."""

    def __init__(self, a: Unit, b: Unit):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        """N x trunk x H x W -> the same shape."""
        return x + self.b(self.a(x))  # type: ignore[no-any-return]


class StyleEncoder(nn.Module):
    """N x out x H x W -> N x style_dim. No norm: it would take away the means and variances that a style is."""

    def __init__(self, w: Widths, channels: int, style_dim: int):
        super().__init__()
        previous = w.style_stem
        self.stem = Unit(dense(channels, previous, 7), None, nn.ReLU())
        for k in range(1, len(STYLE)):
            own = w[f"style_down{k}"]
            self.add_module(f"down{k}", Unit(_down(previous, own), None, nn.ReLU()))
            previous = own
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(previous, style_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The style."""
        for layer in self.children():
            x = layer(x)
        return x.flatten(1)


class Mlp(nn.Module):
    """A style to the moments of the decoder's adaptive norms: N x style_dim -> N x ``writes``."""

    GATES = {"first": "first", "second": "second"}  # noqa: RUF012

    def __init__(self, w: Widths, style_dim: int, writes: int):
        super().__init__()
        self.first, self.second = nn.Linear(style_dim, w.mlp1), nn.Linear(w.mlp1, w.mlp2)
        self.last = nn.Linear(w.mlp2, writes)

    def forward(self, style: Tensor) -> Tensor:
        """Norm after norm, its means, then its standard deviations."""
        return self.last(self.second(self.first(style).relu()).relu())  # type: ignore[no-any-return]


class AdaptiveBlock(nn.Module):
    """A residual block whose norms are adaptive."""

    def __init__(self, trunk: int, hidden: int, mixing: Mixing, *, scaled: bool):
        super().__init__()
        self.reads = hidden + hidden + trunk + trunk
        self.hidden, self.trunk = hidden, trunk
        self.a = Unit(mixing(trunk, hidden, 3), AdaptiveNorm(hidden, scaled=scaled), nn.ReLU())
        self.b = Unit(mixing(hidden, trunk, 3), AdaptiveNorm(trunk, scaled=scaled))

    def forward(self, x: Tensor, moments: Tensor) -> Tensor:
        """N x trunk x H x W and N x ``reads`` -> N x trunk x H x W."""
        hidden, trunk = int(self.hidden), int(self.trunk)
        a_mean, a_std, b_mean, b_std = torch.split(moments, [hidden, hidden, trunk, trunk], 1)
        return x + self.b(self.a(x, a_mean, a_std), b_mean, b_std)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """N x trunk x H x W and the moments of a style -> N x out x 4 H x 4 W in [-1, 1]."""

    def __init__(self, w: Widths, out_channels: int, blocks: int, mixing: Mixing, *, scaled: bool):
        """``scaled``: whether the adaptive norms have a scale of their own."""
        super().__init__()
        for i in range(blocks):
            self.add_module(f"block{i}", AdaptiveBlock(w.trunk, w[f"decoder{i}"], mixing, scaled=scaled))
        self.up1 = Unit(mixing(w.trunk, w.up1, 5), LayerNorm(w.up1), nn.ReLU())
        self.up2 = Unit(mixing(w.up1, w.up2, 5), LayerNorm(w.up2), nn.ReLU())
        self.head = dense(w.up2, out_channels, 7)

    def blocks(self) -> list[AdaptiveBlock]:
        """In order."""
        return [block for block in self.children() if isinstance(block, AdaptiveBlock)]

    def forward(self, x: Tensor, moments: Tensor) -> Tensor:
        """The image."""
        blocks = self.blocks()
        for block, own in zip(blocks, torch.split(moments, [int(block.reads) for block in blocks], 1), strict=True):
            x = block(x, own)
        for up in (self.up1, self.up2):
            x = up(F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.head(x).tanh()  # type: ignore[no-any-return]
