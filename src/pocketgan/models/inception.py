"""CAT's inception generator: the ResNet's stem, samplings and head around blocks of parallel branches.

Jin et al. 2021, "Teachers Do More Than Teach: Compressing Image-to-Image Models" (CAT), section 3.1 and figure 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS
from pocketgan.models.layers import ConvNormAct, Norm, PlainNorm, Shift, make_norm, needs_bias, norm_of_constants
from pocketgan.models.resnet import ResnetGenerator, TrunkSpec, trunk_widths


def branch_names(kernels: Sequence[int]) -> tuple[str, ...]:
    """``res1``, ``res3``, ..., ``dw1``, ``dw3``, ...: two branches a kernel size."""
    return (*(f"res{k}" for k in kernels), *(f"dw{k}" for k in kernels))


@dataclass(frozen=True, kw_only=True)
class BranchLayers:
    """Options that all branches of a network share."""

    norm: Norm
    depthwise_norm: Norm | PlainNorm
    bias: bool
    padding: Literal["zeros", "reflect"]
    normed_sum: bool
    """True if a norm follows the sum of the branches. The output of an absent branch then does not count."""
    gated: bool
    """True if gates sit on each branch, False if the channels of the sum are gated elsewhere."""
    dropout: float = 0.0

    def conv(self, in_channels: int, out_channels: int, kernel: int, **options: Any) -> nn.Conv2d:
        """A convolution that keeps the size of the image."""
        # A kernel of 1 needs no padding; reflection padding would fail on a map of one pixel.
        mode: Literal["zeros", "reflect"] = self.padding if kernel > 1 else "zeros"
        return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, padding_mode=mode, bias=self.bias, **options)


class Branch(nn.Sequential):
    """Branch with a hidden width: N x in x H x W -> N x out x H x W.

    ``res{k}``: k x k convolution, norm, activation, k x k convolution. ``dw{k}``: 1 x 1 convolution, norm, activation,
    depthwise k x k, norm, activation, 1 x 1 convolution.
    """

    def __init__(self, kind: str, in_channels: int, hidden: int, out_channels: int, layers: BranchLayers):
        super().__init__()
        is_depthwise, k = kind.startswith("dw"), int(kind.removeprefix("dw").removeprefix("res"))
        outer, norm = 1 if is_depthwise else k, make_norm(layers.norm, hidden)
        dropout = 0.0 if is_depthwise else layers.dropout
        self.first = ConvNormAct(layers.conv(in_channels, hidden, outer), norm, nn.ReLU(), dropout=dropout)
        if is_depthwise:
            conv, norm = layers.conv(hidden, hidden, k, groups=hidden), make_norm(layers.depthwise_norm, hidden)
            self.depthwise = ConvNormAct(conv, norm, nn.ReLU(), dropout=layers.dropout)
        self.last = layers.conv(hidden, out_channels, outer)
        self.GATES = {"last": "last"} if layers.gated else {}


class ParallelBranches(nn.Module):
    """The sum of parallel branches, N x in x H x W -> N x out x H x W; C x 1 x 1 once none is left.

    A branch with a hidden width of 0 is absent. Its output, the bias of its last convolution, joins the bias of a remaining
    branch or, after the last branch, becomes a `Shift`; before a norm, which would subtract it, the bias is dropped.
    """

    def __init__(self, in_channels: int, out_channels: int, hidden: Mapping[str, int], layers: BranchLayers):
        super().__init__()
        self.out_channels, self.names = out_channels, tuple(hidden)
        self.normed_sum, self.gated = layers.normed_sum, layers.gated
        self.BRANCHES: dict[str, tuple[str, ...]] = {}
        for name, width in hidden.items():
            setattr(self, f"{name}_width", width)
            self.BRANCHES[name] = (f"{name}_width",)
            self.add_module(name, Branch(name, in_channels, width, out_channels, layers) if width else None)
        has_shift = not layers.normed_sum and not any(hidden.values())
        self.shift = Shift(out_channels, gated=self.gated) if has_shift else None

    def forward(self, x: Tensor) -> Tensor:
        terms: list[Tensor] = [branch(x) for branch in self._branches(present=True)]
        terms += [constant[:, None, None] for constant in self._constants()]
        terms += [] if self.shift is None else [self.shift()]
        return reduce(torch.add, terms) if terms else x.new_zeros(int(self.out_channels), 1, 1)

    def _branches(self, *, present: bool) -> list[Branch]:
        """Branches whose hidden width is above 0, or those of width 0 whose layers still exist."""
        branches = [self._modules[name] for name in self.names if bool(getattr(self, f"{name}_width")) == present]
        return [branch for branch in branches if isinstance(branch, Branch)]

    def _constants(self) -> list[Tensor]:
        """Outputs of branches of width 0 whose layers still exist."""
        biases = [] if self.normed_sum else [branch.last.bias for branch in self._branches(present=False)]
        return [bias for bias in biases if bias is not None]

    @torch.no_grad()
    def scale_(self, scale: Tensor, shift: Tensor) -> None:
        """Multiply the sum by ``scale`` and add ``shift`` (C each), in place; requires a present branch."""
        for index, branch in enumerate(self._branches(present=True)):
            last = branch.last
            bias = torch.zeros_like(scale) if last.bias is None else last.bias * scale
            last.weight.mul_(scale[:, None, None, None])
            last.bias = nn.Parameter(bias + shift if index == 0 else bias, last.weight.requires_grad)

    def remove_branches_(self) -> None:
        """Drop the layers of branches of width 0 and keep their constants."""
        constants, present = self._constants(), self._branches(present=True)
        if constants:
            total = torch.stack(constants).sum(0).detach()
            if present:
                assert present[0].last.bias is not None
                present[0].last.bias.data.add_(total)
            else:
                self.shift = Shift(self.out_channels, total, gated=self.gated)
        for name in self.names:
            if not getattr(self, f"{name}_width"):
                self._modules[name] = None


@ARCHITECTURES.register("inception")
@dataclass(frozen=True, kw_only=True)
class InceptionSpec(TrunkSpec):
    """Stem, two downsamplings, inception blocks on one trunk, two upsamplings, head (CAT, section 3.1).

    Groups: ``stem``, ``down1``, ``trunk``, ``block0_res1`` ... (the hidden width of each branch of each block; 0 removes
    the branch, and a block without branches is the identity), ``up1``, ``up2``.
    """

    kernels: tuple[int, ...] = (1, 3, 5)
    """Kernel sizes of the branches: one ``res`` and one ``dw`` branch each."""
    norm: Norm = "instance_affine"

    name: ClassVar[str] = "inception"

    def __post_init__(self) -> None:
        bad = [k for k in self.kernels if k < 1 or k % 2 == 0]
        if bad or not self.kernels or len(set(self.kernels)) < len(self.kernels):
            raise ValueError(f"inception kernels={self.kernels}: use different odd sizes, such as (1, 3, 5)")
        super().__post_init__()

    def block_groups(self) -> tuple[str, ...]:
        return tuple(f"block{i}_{name}" for i in range(self.blocks) for name in branch_names(self.kernels))

    def module(self) -> nn.Module:
        layers = BranchLayers(
            norm=self.norm,
            depthwise_norm=self.norm,
            bias=needs_bias(self.norm),
            padding="reflect",
            normed_sum=True,
            gated=False,
            dropout=self.dropout,
        )

        def block(w: Widths, name: str) -> nn.Module:
            return InceptionBlock(w.trunk, {kind: w[f"{name}_{kind}"] for kind in branch_names(self.kernels)}, layers)

        return ResnetGenerator(self, block)


class InceptionBlock(nn.Module):
    """``x + post(sum of the branches)``; without branches the identity, or ``x`` plus the constant of a folded norm."""

    BRANCHES = {"post": ("hidden",)}  # noqa: RUF012

    def __init__(self, trunk: int, hidden: dict[str, int], layers: BranchLayers):
        super().__init__()
        self.trunk, self.hidden = trunk, sum(hidden.values())  # a concatenation: 0 once every branch is absent
        self.branches = ParallelBranches(trunk, trunk, hidden, layers)
        self.post = make_norm(layers.norm, trunk) if self.hidden else None
        self.GATES = {"post": "branches"} if self.hidden else {}
        self.shift = Shift(trunk) if not self.hidden and layers.norm != "instance" else None

    def forward(self, x: Tensor) -> Tensor:
        """N x trunk x H x W -> the same shape."""
        if self.hidden and self.post is not None:
            return x + self.post(self.branches(x))  # type: ignore[no-any-return]
        residue = self._residue()
        return x if residue is None else x + residue

    def _residue(self) -> Tensor | None:
        """Output of the norm without branches, trunk x 1 x 1; None where that is 0."""
        if self.post is not None and self.post.affine:
            weight = self.post.weight
            assert isinstance(weight, Tensor)
            return norm_of_constants(self.post, torch.zeros_like(weight))[:, None, None]
        return None if self.shift is None else self.shift()

    @torch.no_grad()
    def fold_norm_(self) -> None:
        """Fold a norm with running statistics into the branches' last convolutions, in place."""
        if not isinstance(self.post, nn.BatchNorm2d) or not self.hidden:
            return
        mean, variance = self.post.running_mean, self.post.running_var
        assert mean is not None
        assert variance is not None
        scale = self.post.weight / (variance + self.post.eps).sqrt()
        self.branches.scale_(scale, self.post.bias - mean * scale)
        self.post = nn.Identity()

    def remove_branches_(self) -> None:
        """Drop the norm and keep its constant output, once no branch is left."""
        if self.hidden:
            return
        if self.post is not None and (residue := self._residue()) is not None:
            self.shift = Shift(self.trunk, residue.detach().flatten())
        self.post, self.GATES = None, {}


@MODELS.register("inception")
def inception(
    ngf: int = 64,
    blocks: int = 9,
    norm: Norm = "instance_affine",
    kernels: tuple[int, ...] = (1, 3, 5),
    factor: int = 6,
    in_channels: int = 3,
    out_channels: int = 3,
    dropout: float = 0.0,
) -> InceptionSpec:
    """CAT's teacher: ``factor`` (channels_reduction_factor) divides the trunk's width for each of the six branches."""
    hidden = {f"block{i}_{name}": max(1, 4 * ngf // factor) for i in range(blocks) for name in branch_names(kernels)}
    return InceptionSpec(
        widths=trunk_widths(ngf) | hidden,
        blocks=blocks,
        kernels=tuple(kernels),
        norm=norm,
        in_channels=in_channels,
        out_channels=out_channels,
        dropout=dropout,
    )
