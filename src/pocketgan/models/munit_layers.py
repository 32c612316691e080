"""Parts of MUNIT's generator: two encoders, the decoder with its norms, and the MLP from a style to their parameters."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.models.layers import ConvNormAct, Norm, SeparableConv2d, make_norm

STYLE = {"style_stem": 1, "style_down1": 2, "style_down2": 4, "style_down3": 4, "style_down4": 4}
"""Widths of the style encoder, in units of ngf."""

OPEN = 2**-5
"""Gate value from which a channel counts in full for the statistics of `LayerNorm`."""

MakeConv = Callable[[int, int, int], nn.Module]
"""Makes a convolution, dense or separable, from input channels, output channels and kernel size."""


def dense(in_channels: int, out_channels: int, kernel: int) -> nn.Module:
    """A convolution that keeps the size, with reflection padding as everywhere in this network."""
    return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, padding_mode="reflect")


def separable(in_channels: int, out_channels: int, kernel: int) -> nn.Module:
    """A separable convolution that keeps the size."""
    return SeparableConv2d(in_channels, out_channels, norm="instance", bias=True, kernel=kernel)


def _down(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, 4, 2, 1, padding_mode="reflect")


class AdaptiveNorm(nn.Module):
    """Instance norm with scale and shift from a style, for every image (Huang and Belongie 2017, AdaIN, eq. 8)."""

    AXES = {"weight": ("channels",)}  # noqa: RUF012

    def __init__(self, channels: int, *, scaled: bool = False):
        """``scaled``: with a learnable scale of the output, for methods that rank channels by a scale."""
        super().__init__()
        self.channels, self.norm = channels, nn.InstanceNorm2d(channels)
        self.weight = nn.Parameter(torch.ones(int(channels))) if scaled else None

    def forward(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """N x C x H x W and two of N x C -> N x C x H x W, of that mean and standard deviation in every channel."""
        y = self.norm(x) * std[:, :, None, None] + mean[:, :, None, None]
        return y if self.weight is None else y * self.weight[:, None, None]  # type: ignore[no-any-return]


class LayerNorm(nn.Module):
    """``(x - mean) / (std + eps)`` over all of each image, then a scale and a shift a channel (MUNIT, appendix B).

    As released: the variance is unbiased, ``eps`` is added to its root, scales begin in U(0, 1). A channel whose gate is closed
    does not count in mean and variance, so that closing is the same as removing. A channel counts in full from `OPEN` on, so
    that folding a gate into the scale changes nothing; in between the share is continuous.
    """

    AXES = {"weight": ("channels",), "bias": ("channels",)}  # noqa: RUF012

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.channels, self.eps = channels, eps
        self.weight = nn.Parameter(torch.rand(int(channels)))
        self.bias = nn.Parameter(torch.zeros(int(channels)))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> the same shape."""
        shares = self._shares()
        total, pixels = shares.sum().clamp_min(torch.finfo(shares.dtype).tiny), x.shape[2] * x.shape[3]
        x = x - ((x.mean((2, 3)) * shares).sum(1) / total)[:, None, None, None]
        # Unbiased for weighted values: the degrees of freedom lost are those of as many whole channels as the shares make.
        freedom = pixels * total - shares.square().sum() / total
        variance = (x.square().sum((2, 3)) * shares).sum(1) / freedom
        std = variance.clamp_min(1e-24).sqrt()[:, None, None, None]  # the gradient of a root is infinite at 0
        return x / (std + self.eps) * self.weight[:, None, None] + self.bias[:, None, None]

    def _shares(self) -> Tensor:
        """Share of each channel in the statistics, C."""
        gate = getattr(self, "gate", None)
        return torch.ones_like(self.weight) if gate is None else (gate.factors().abs() / OPEN).clamp(max=1)


class ContentEncoder(nn.Sequential):
    """N x in x H x W -> the content code, N x trunk x H/4 x W/4."""

    def __init__(self, w: Widths, in_channels: int, blocks: int, make_conv: MakeConv, norm: Norm):
        super().__init__()

        def unit(conv: nn.Module, width: int, act: nn.Module | None) -> ConvNormAct:
            return ConvNormAct(conv, make_norm(norm, width), act)

        self.stem = unit(dense(in_channels, w.stem, 7), w.stem, nn.ReLU())
        self.down1 = unit(_down(w.stem, w.down1), w.down1, nn.ReLU())
        self.down2 = unit(_down(w.down1, w.trunk), w.trunk, nn.ReLU())
        for i in range(blocks):
            hidden = w[f"content{i}"]
            first = unit(make_conv(w.trunk, hidden, 3), hidden, nn.ReLU())
            self.add_module(f"block{i}", Residual(first, unit(make_conv(hidden, w.trunk, 3), w.trunk, None)))


class Residual(nn.Module):
    """``x + b(a(x))``, nothing after the sum."""

    def __init__(self, a: ConvNormAct, b: ConvNormAct):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        """N x trunk x H x W -> the same shape."""
        return x + self.b(self.a(x))  # type: ignore[no-any-return]


class StyleEncoder(nn.Sequential):
    """N x out x H x W -> N x style_dim. No norm: a norm would remove the means and variances that are the style."""

    def __init__(self, w: Widths, channels: int, style_dim: int):
        super().__init__()
        self.stem = ConvNormAct(dense(channels, w.style_stem, 7), None, nn.ReLU())
        for k, (start, end) in enumerate(pairwise(w[group] for group in STYLE), 1):
            self.add_module(f"down{k}", ConvNormAct(_down(start, end), None, nn.ReLU()))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(end, style_dim, 1)
        self.flatten = nn.Flatten()


class Mlp(nn.Module):
    """A style to the parameters of the decoder's adaptive norms: N x style_dim -> N x ``out_features``.

    The order is norm by norm: means, then standard deviations.
    """

    GATES = {"first": "first", "second": "second"}  # noqa: RUF012

    def __init__(self, w: Widths, style_dim: int, out_features: int):
        super().__init__()
        self.first, self.second = nn.Linear(style_dim, w.mlp1), nn.Linear(w.mlp1, w.mlp2)
        self.last = nn.Linear(w.mlp2, out_features)

    def forward(self, style: Tensor) -> Tensor:
        return self.last(self.second(self.first(style).relu()).relu())  # type: ignore[no-any-return]


class AdaptiveBlock(nn.Module):
    """A residual block with adaptive norms."""

    def __init__(self, trunk: int, hidden: int, make_conv: MakeConv, *, scaled: bool):
        super().__init__()
        self.parameters_per_image = hidden + hidden + trunk + trunk
        self.hidden, self.trunk = hidden, trunk
        self.a = ConvNormAct(make_conv(trunk, hidden, 3), AdaptiveNorm(hidden, scaled=scaled), nn.ReLU())
        self.b = ConvNormAct(make_conv(hidden, trunk, 3), AdaptiveNorm(trunk, scaled=scaled))

    def forward(self, x: Tensor, moments: Tensor) -> Tensor:
        """N x trunk x H x W and N x ``parameters_per_image`` -> N x trunk x H x W."""
        hidden, trunk = int(self.hidden), int(self.trunk)
        a_mean, a_std, b_mean, b_std = torch.split(moments, [hidden, hidden, trunk, trunk], 1)
        return x + self.b(self.a(x, a_mean, a_std), b_mean, b_std)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """N x trunk x H x W and the parameters of all adaptive norms -> N x out x 4 H x 4 W in [-1, 1]."""

    def __init__(self, w: Widths, out_channels: int, blocks: int, make_conv: MakeConv, *, scaled: bool):
        """``scaled``: True if the adaptive norms have a learnable scale."""
        super().__init__()
        for i in range(blocks):
            self.add_module(f"block{i}", AdaptiveBlock(w.trunk, w[f"decoder{i}"], make_conv, scaled=scaled))
        self.up1 = ConvNormAct(make_conv(w.trunk, w.up1, 5), LayerNorm(w.up1), nn.ReLU())
        self.up2 = ConvNormAct(make_conv(w.up1, w.up2, 5), LayerNorm(w.up2), nn.ReLU())
        self.head = dense(w.up2, out_channels, 7)

    def blocks(self) -> list[AdaptiveBlock]:
        """The residual blocks, in order."""
        return [block for block in self.children() if isinstance(block, AdaptiveBlock)]

    def forward(self, x: Tensor, moments: Tensor) -> Tensor:
        blocks = self.blocks()
        sizes = [int(block.parameters_per_image) for block in blocks]
        for block, own in zip(blocks, torch.split(moments, sizes, 1), strict=True):
            x = block(x, own)
        for up in (self.up1, self.up2):
            x = up(F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.head(x).tanh()  # type: ignore[no-any-return]
