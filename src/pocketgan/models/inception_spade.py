"""CAT's generator for label maps: GauGAN's shell around blocks of parallel branches.

Jin et al. 2021, "Teachers Do More Than Teach: Compressing Image-to-Image Models" (CAT), section 3.1 and its released code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS
from pocketgan.models.branches import Branches, Style, branch_names
from pocketgan.models.layers import make_norm
from pocketgan.models.spade import LabelledSpec, Plain, Spade, SpadeGenerator, outputs


@ARCHITECTURES.register("inception-spade")
@dataclass(frozen=True, kw_only=True)
class InceptionSpadeSpec(LabelledSpec):
    """CAT's generator for label maps: in every block one modulation and one sum of parallel branches.

    Groups: ``trunk``, ``up0`` ... ``up3`` (outputs), and of every branch the hidden width: ``head_res1`` ... of the block,
    ``head_spade_res1`` ... of its modulation; 0 removes the branch.
    """

    kernels: tuple[int, ...] = (1, 3, 5)

    name: ClassVar[str] = "inception-spade"

    def __post_init__(self) -> None:
        super().__post_init__()
        for block in self.blocks:
            left = [group for group in self._hidden(f"{block}_spade") if self.widths[group]]
            if left and not any(self.widths[group] for group in self._hidden(block)):
                raise ValueError(f"{self.name} {block} has no branches, so these must be 0 too: {', '.join(left)}")

    def groups(self) -> tuple[str, ...]:
        """From input to output."""
        found = ["trunk"]
        for block in self.blocks:
            reads, writes = self.ends(block)
            found += self._hidden(f"{block}_spade") + self._hidden(block)
            found += [] if reads == writes else [writes]
        return tuple(found)

    def optional(self) -> frozenset[str]:
        """Any branch may be absent."""
        return frozenset(group for block in self.blocks for head in (block, f"{block}_spade") for group in self._hidden(head))

    @property
    def tied_groups(self) -> Mapping[str, str]:
        """The whole schedule of widths is derived from the trunk's (CAT, released code)."""
        return dict.fromkeys(self.blocks[3:], "trunk")

    def _hidden(self, head: str) -> list[str]:
        return [f"{head}_{kind}" for kind in branch_names(self.kernels)]

    def module(self) -> nn.Module:
        """The network."""
        norms = {"norm": lambda c: make_norm("batch", c), "act": nn.ReLU, "bias": True, "padding": "zeros", "open_ended": True}
        inner = Style(**norms, depthwise_norm=lambda c: make_norm("batch_plain", c))  # type: ignore[arg-type]
        mapping = Style(**norms, depthwise_norm=lambda c: make_norm("batch", c), gate_sites=False)  # type: ignore[arg-type]

        def branches(w: Widths, head: str, reads: int, writes: int, style: Style) -> Branches:
            return Branches(reads, writes, {kind: w[f"{head}_{kind}"] for kind in branch_names(self.kernels)}, style)

        def block(w: Widths, name: str) -> nn.Module:
            reads, writes = (w[group] for group in self.ends(name))
            hidden, modulating = (sum(w[group] for group in self._hidden(head)) for head in (name, f"{name}_spade"))
            spade = None
            if hidden:
                modulation = BranchedModulation(branches(w, f"{name}_spade", self.in_channels, reads + reads, mapping))
                spade = Spade(make_norm(self.spade_norm, reads), reads, modulation)
            shortcut = None if len(set(self.ends(name))) == 1 else Shortcut(reads, writes)
            return InceptionSpadeBlock(spade, branches(w, name, reads, writes, inner), shortcut, (hidden, modulating))

        return SpadeGenerator(self, block, first_norm=lambda c: make_norm("batch", c))


class Shortcut(nn.Module):
    """Norm and 1 x 1 convolution, around a block that changes the width."""

    GATES = {"norm": "norm", "conv": "conv"}  # noqa: RUF012

    def __init__(self, reads: int, writes: int):
        super().__init__()
        self.norm, self.conv = make_norm("batch", reads), nn.Conv2d(reads, writes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H x W."""
        return self.conv(self.norm(x))  # type: ignore[no-any-return]


class InceptionSpadeBlock(nn.Module):
    """``shortcut(x) + sum of the branches of act(spade(x))`` (CAT, section 3.1); the shortcut alone without branches."""

    BRANCHES = {"spade": ("hidden",)}  # noqa: RUF012

    def __init__(self, spade: Spade | None, branches: Branches, shortcut: Shortcut | None, widths: tuple[int, int]):
        """``widths``: of all branches together, and of all in the modulation, which is of use to the former only."""
        super().__init__()
        self.hidden, self.modulating = widths
        self.spade, self.branches, self.shortcut = spade, branches, shortcut

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """N x in x H x W and N x labels x H x W -> N x out x H x W."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        if self.hidden and self.spade is not None:
            x = self.spade(x, labels).relu()
        return shortcut + self.branches(x)  # type: ignore[no-any-return]

    def remove_branches_(self) -> None:
        """What would modulate the input of branches that are not there is of no use."""
        if not self.hidden:
            self.spade = None


class BranchedModulation(nn.Module):
    """The same by parallel branches (CAT): scale and shift are the halves of one sum."""

    def __init__(self, branches: Branches):
        super().__init__()
        self.branches = branches

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """N x labels x H x W -> two of N x channels x H x W, or of channels x 1 x 1 once no branch is left."""
        gamma, beta = self.branches(labels).chunk(2, -3)
        return gamma, beta


@MODELS.register("inception-spade")
def inception_spade(
    ngf: int = 64,
    in_channels: int = 36,
    out_channels: int = 3,
    upsamplings: int = 6,
    kernels: tuple[int, ...] = (1, 3, 5),
    factor: int = 6,
    spade_norm: Plain = "batch_plain",
) -> InceptionSpadeSpec:
    """CAT's teacher for label maps: branches of a sixth of the smaller end of each block, modulations of a sixth of 128."""
    widths = outputs(ngf, upsamplings)
    names, kinds = ["trunk"] * 4 + list(widths)[1:], branch_names(kernels)
    blocks = ["head", "middle0", "middle1", *list(widths)[1:]]
    for block, (reads, writes) in zip(blocks, pairwise(names), strict=True):
        hidden = max(1, min(widths[reads], widths[writes]) // factor)
        widths |= {f"{block}_{kind}": hidden for kind in kinds}
        widths |= {f"{block}_spade_{kind}": max(1, 128 // factor) for kind in kinds}
    return InceptionSpadeSpec(
        widths=widths,
        in_channels=in_channels,
        out_channels=out_channels,
        upsamplings=upsamplings,
        kernels=tuple(kernels),
        spade_norm=spade_norm,
    )
