"""CAT's inception generator: the ResNet's shell around blocks of parallel branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.branches import Branches, Style, branch_names
from pocketgan.models.layers import Norm, Shift, evaluated, make_norm, needs_bias
from pocketgan.models.resnet import ResnetGenerator, thirds


@ARCHITECTURES.register("inception")
@dataclass(frozen=True, kw_only=True)
class InceptionSpec(Spec):
    """Stem, two downsamplings, inception blocks on one trunk, two upsamplings, head (CAT, section 3.1).

    Groups: ``stem``, ``down1``, ``trunk``, ``block0_res1`` ... (the hidden width of each branch of each block; 0 removes
    the branch, and a block without branches is the identity), ``up1``, ``up2``.
    """

    blocks: int = 9
    kernels: tuple[int, ...] = (1, 3, 5)
    """Of the branches: one ``res`` and one ``dw`` branch each."""
    in_channels: int = 3
    out_channels: int = 3
    norm: Norm = "instance_affine"
    dropout: float = 0.0
    """Rate of the dropout inside each branch."""

    name: ClassVar[str] = "inception"

    def __post_init__(self) -> None:
        bad = [k for k in self.kernels if k < 1 or k % 2 == 0]
        if bad or not self.kernels or len(set(self.kernels)) < len(self.kernels):
            raise ValueError(f"inception kernels={self.kernels}: different odd sizes, such as (1, 3, 5)")
        super().__post_init__()

    def groups(self) -> tuple[str, ...]:
        """From input to output."""
        return ("stem", "down1", "trunk", *self._hidden(), "up1", "up2")

    def optional(self) -> frozenset[str]:
        """Any branch may be absent."""
        return frozenset(self._hidden())

    def _hidden(self) -> tuple[str, ...]:
        return tuple(f"block{i}_{name}" for i in range(self.blocks) for name in branch_names(self.kernels))

    @property
    def taps(self) -> tuple[str, ...]:
        """As in the ResNet: CAT's four, after the last downsampling and after each third of the blocks."""
        return thirds(self.blocks)

    def module(self) -> nn.Module:
        """The network."""
        style = Style(
            norm=lambda channels: make_norm(self.norm, channels),
            depthwise_norm=lambda channels: make_norm(self.norm, channels),
            act=nn.ReLU,
            bias=needs_bias(self.norm),
            padding="reflect",
            open_ended=False,
            dropout=self.dropout,
        )

        def block(w: Widths, name: str) -> nn.Module:
            return InceptionBlock(w.trunk, {kind: w[f"{name}_{kind}"] for kind in branch_names(self.kernels)}, style)

        return ResnetGenerator(self, block)


class InceptionBlock(nn.Module):
    """``x + post(sum of the branches)``; the identity without branches, or what a folded norm left of them: a constant."""

    BRANCHES = {"post": ("hidden",)}  # noqa: RUF012

    def __init__(self, trunk: int, hidden: dict[str, int], style: Style):
        super().__init__()
        self.trunk, self.hidden = trunk, sum(hidden.values())  # a concatenation: 0 once every branch is gone
        self.branches = Branches(trunk, trunk, hidden, style)
        self.post = style.norm(trunk) if self.hidden else None
        self.GATES = {"post": "branches"} if self.hidden else {}
        affine = getattr(style.norm(1), "affine", False)
        self.shift = Shift(trunk) if not self.hidden and affine else None

    def forward(self, x: Tensor) -> Tensor:
        """N x trunk x H x W -> the same shape."""
        if self.hidden:
            assert self.post is not None
            return x + self.post(self.branches(x))  # type: ignore[no-any-return]
        residue = self._residue()
        return x if residue is None else x + residue

    def _residue(self) -> Tensor | None:
        """What the block adds without branches, trunk x 1 x 1; None where that is nothing."""
        if self.post is not None and self.post.affine:
            weight = self.post.weight
            assert isinstance(weight, Tensor)
            return evaluated(self.post, torch.zeros_like(weight))[:, None, None]
        return None if self.shift is None else self.shift()

    @torch.no_grad()
    def fold_norm_(self) -> None:
        """Let the branches' last convolutions do what a norm with running statistics does after their sum, in place."""
        if not isinstance(self.post, nn.BatchNorm2d) or not self.hidden:
            return
        mean, variance = self.post.running_mean, self.post.running_var
        assert mean is not None
        assert variance is not None
        scale = self.post.weight / (variance + self.post.eps).sqrt()
        self.branches.scale_(scale, self.post.bias - mean * scale)
        self.post = nn.Identity()

    def remove_branches_(self) -> None:
        """Once no branch is left: keep what the norm made of nothing, drop the norm."""
        if self.hidden:
            return
        if self.post is not None and (residue := self._residue()) is not None:
            self.shift = Shift(self.trunk)
            self.shift.value = residue.detach().flatten()
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
    widths = {"stem": ngf, "down1": 2 * ngf, "trunk": 4 * ngf, "up1": 2 * ngf, "up2": ngf}
    hidden = {f"block{i}_{name}": max(1, 4 * ngf // factor) for i in range(blocks) for name in branch_names(kernels)}
    return InceptionSpec(
        widths=widths | hidden,
        blocks=blocks,
        kernels=tuple(kernels),
        norm=norm,
        in_channels=in_channels,
        out_channels=out_channels,
        dropout=dropout,
    )
