"""The U-Net generator of pix2pix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.layers import ConvNormAct, Norm, make_norm, needs_bias
from pocketgan.utils.registry import check_at_least


@ARCHITECTURES.register("unet")
@dataclass(frozen=True, kw_only=True)
class UnetSpec(Spec):
    """``depth`` levels of 4x4 stride-2 convolutions down and up, joined by concatenation (pix2pix, 6.1.1).

    Groups: ``down1`` ... ``down{depth}`` outer to inner and ``up{depth}`` ... ``up2`` inner to outer; the skip of level k
    is ``down{k}``. ``up{k}`` = 0 removes level k and everything inside it, so those widths must be 0 too.
    """

    depth: int = 8
    in_channels: int = 3
    out_channels: int = 3
    norm: Norm = "batch"
    dropout: float = 0.5
    """Rate of the dropout after the norm of ``up5`` ... ``up{depth - 1}``; active in training only."""

    name: ClassVar[str] = "unet"

    def __post_init__(self) -> None:
        check_at_least(self, self.name, depth=2)
        super().__post_init__()
        for level in range(2, self.depth + 1):
            inner = [g for k in range(level, self.depth + 1) for g in (f"down{k}", f"up{k}") if self.widths[g] > 0]
            if self.widths[f"up{level}"] == 0 and inner:
                raise ValueError(f"unet up{level}=0 removes level {level}, so these must be 0 too: {', '.join(inner)}")
            if self.widths[f"down{level}"] == 0 and inner:
                raise ValueError(f"unet down{level}=0 starves level {level}: a level is removed by up{level}=0")

    def groups(self) -> tuple[str, ...]:
        down = (f"down{k}" for k in range(1, self.depth + 1))
        return (*down, *(f"up{k}" for k in range(self.depth, 1, -1)))

    def optional(self) -> frozenset[str]:
        return frozenset(f"{side}{k}" for k in range(2, self.depth + 1) for side in ("down", "up"))

    @property
    def taps(self) -> tuple[str, ...]:
        """Two layers down and two up (DMAD's choice at depth 8: down 2, down 4, up 5, up 3), without those of absent levels."""
        inner = max(2, self.depth // 2)
        names = ("down2", f"down{inner}", f"up{min(inner + 1, self.depth)}", f"up{min(3, self.depth)}")
        return tuple(name for name in dict.fromkeys(names) if self.widths[name] > 0)

    def module(self) -> nn.Module:
        return UnetGenerator(self)


class UnetGenerator(nn.Module):
    """N x in x H x W in [-1, 1] -> N x out x H x W in [-1, 1]; H and W multiples of 2**depth."""

    def __init__(self, spec: UnetSpec):
        super().__init__()
        w, bias, depth = Widths(spec.widths), needs_bias(spec.norm), spec.depth
        self.depth, self.in_channels = depth, spec.in_channels
        self.BRANCHES: dict[str, tuple[str, ...]] = {}
        for k in range(1, depth + 1):
            setattr(self, f"skip{k}", w[f"down{k}"])  # absent levels keep their widths, too
        for k in range(depth, 1, -1):
            setattr(self, f"level{k}", w[f"up{k}"])
            enclosing = tuple(f"level{j}" for j in range(2, k + 1))
            self.BRANCHES |= {f"down{k}": enclosing, f"up{k}": enclosing}
        ends = (spec.in_channels, *(w[f"down{k}"] for k in range(1, self.levels() + 1)))
        for k, (start, end) in enumerate(pairwise(ends), 1):
            norm = make_norm(spec.norm, end) if 1 < k < depth else None
            # The published code applies this activation in place, so the skip connection includes it.
            self.add_module(f"down{k}", ConvNormAct(nn.Conv2d(start, end, 4, 2, 1, bias=bias), norm, nn.LeakyReLU(0.2)))
        for k in range(1, self.levels() + 1):
            width = w[f"down{k}"] + w[f"up{k + 1}"] if k < depth else w[f"down{k}"]
            if k == 1:
                self.up1 = nn.ConvTranspose2d(width, spec.out_channels, 4, 2, 1)
                continue
            conv = nn.ConvTranspose2d(width, w[f"up{k}"], 4, 2, 1, bias=bias)
            dropout = spec.dropout if 5 <= k < depth else 0.0
            self.add_module(f"up{k}", ConvNormAct(conv, make_norm(spec.norm, w[f"up{k}"]), dropout=dropout))

    @property
    def stride(self) -> int:
        """Product of the halvings of all present levels."""
        return int(2 ** self.levels())

    def levels(self) -> int:
        """Number of present levels: those outside the first level of width 0."""
        return next((k - 1 for k in range(2, self.depth + 1) if getattr(self, f"level{k}") == 0), self.depth)

    def forward(self, x: Tensor) -> Tensor:
        levels, skips = self.levels(), []
        for k in range(1, levels + 1):
            x = self.get_submodule(f"down{k}")(x)
            skips.append(x)
        for k in range(levels, 0, -1):
            joined = x if k == levels else torch.cat([skips[k - 1], x], 1)
            x = self.get_submodule(f"up{k}")(joined.relu())
        return x.tanh()

    def remove_branches_(self) -> None:
        """Drop the absent levels, whose output is empty."""
        for k in range(self.levels() + 1, self.depth + 1):
            self._modules.pop(f"down{k}", None)
            self._modules.pop(f"up{k}", None)


@MODELS.register("unet")
def unet(
    ngf: int = 64,
    depth: int = 8,
    norm: Norm = "batch",
    in_channels: int = 3,
    out_channels: int = 3,
    dropout: float = 0.5,
) -> UnetSpec:
    """The published generator: widths ngf, 2 ngf, 4 ngf, then 8 ngf; depth 8 for 256 x 256, 7 for 128 x 128."""
    down = {f"down{k}": ngf * min(2 ** (k - 1), 8) for k in range(1, depth + 1)}
    up = {f"up{k}": ngf * min(2 ** (k - 2), 8) for k in range(2, depth + 1)}
    return UnetSpec(
        widths=down | up, depth=depth, norm=norm, in_channels=in_channels, out_channels=out_channels, dropout=dropout
    )
