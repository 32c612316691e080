"""CAT's generator for label maps: GauGAN's generator with blocks of parallel branches.

Jin et al. 2021, "Teachers Do More Than Teach: Compressing Image-to-Image Models" (CAT), section 3.1 and its released code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS
from pocketgan.models.inception import BranchLayers, ParallelBranches, branch_names
from pocketgan.models.layers import PlainNorm, make_norm
from pocketgan.models.spade import LabelMapSpec, Spade, SpadeGenerator, output_widths


@ARCHITECTURES.register("inception-spade")
@dataclass(frozen=True, kw_only=True)
class InceptionSpadeSpec(LabelMapSpec):
    """CAT's generator for label maps: in every block one modulation and one sum of parallel branches.

    Groups: ``trunk``, ``up0`` ... ``up3`` (outputs), and of every branch the hidden width: ``head_res1`` ... of the block,
    ``head_spade_res1`` ... of its modulation; 0 removes the branch.
    """

    kernels: tuple[int, ...] = (1, 3, 5)

    name: ClassVar[str] = "inception-spade"

    def __post_init__(self) -> None:
        super().__post_init__()
        for block in self.blocks:
            remaining = [group for group in self.hidden(f"{block}_spade") if self.widths[group]]
            if remaining and not any(self.widths[group] for group in self.hidden(block)):
                raise ValueError(f"{self.name} {block} has no branches, so these must be 0 too: {', '.join(remaining)}")

    def groups(self) -> tuple[str, ...]:
        groups = ["trunk"]
        for block in self.blocks:
            start, end = self.ends(block)
            groups += self.hidden(f"{block}_spade") + self.hidden(block)
            groups += [] if start == end else [end]
        return tuple(groups)

    def optional(self) -> frozenset[str]:
        return frozenset(group for block in self.blocks for head in (block, f"{block}_spade") for group in self.hidden(head))

    @property
    def tied_groups(self) -> Mapping[str, str]:
        """All widths follow from the trunk's (CAT, released code)."""
        return dict.fromkeys(self.blocks[3:], "trunk")

    def hidden(self, head: str) -> list[str]:
        """Groups of the branches of a block or a modulation."""
        return [f"{head}_{kind}" for kind in branch_names(self.kernels)]

    def module(self) -> nn.Module:
        return SpadeGenerator(self, lambda w, name: InceptionSpadeBlock(w, name, self), first_norm="batch")


class Shortcut(nn.Sequential):
    """Norm and 1 x 1 convolution around a block that changes the width: N x in x H x W -> N x out x H x W."""

    GATES = {"norm": "norm", "conv": "conv"}  # noqa: RUF012

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.norm, self.conv = make_norm("batch", in_channels), nn.Conv2d(in_channels, out_channels, 1, bias=False)


class InceptionSpadeBlock(nn.Module):
    """``shortcut(x) + sum of the branches of act(spade(x))`` (CAT, section 3.1); the shortcut alone without branches."""

    BRANCHES = {"spade": ("hidden",)}  # noqa: RUF012

    def __init__(self, w: Widths, name: str, spec: InceptionSpadeSpec):
        super().__init__()
        start, end = spec.ends(name)
        in_channels, out_channels = w[start], w[end]
        inner = BranchLayers(
            norm="batch", depthwise_norm="batch_plain", bias=True, padding="zeros", normed_sum=False, gated=True
        )
        modulating = replace(inner, depthwise_norm="batch", gated=False)

        def branches(head: str, in_channels: int, out_channels: int, layers: BranchLayers) -> ParallelBranches:
            hidden = {kind: w[f"{head}_{kind}"] for kind in branch_names(spec.kernels)}
            return ParallelBranches(in_channels, out_channels, hidden, layers)

        self.hidden = sum(w[group] for group in spec.hidden(name))
        self.modulating = sum(w[group] for group in spec.hidden(f"{name}_spade"))  # which only the branches use
        self.spade = None
        if self.hidden:
            modulation = branches(f"{name}_spade", spec.in_channels, in_channels + in_channels, modulating)
            self.spade = Spade(make_norm(spec.spade_norm, in_channels), in_channels, BranchedModulation(modulation))
        self.branches = branches(name, in_channels, out_channels, inner)
        self.shortcut = None if start == end else Shortcut(in_channels, out_channels)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """N x in x H x W and N x labels x H x W -> N x out x H x W."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        if self.hidden and self.spade is not None:
            x = self.spade(x, labels).relu()
        return shortcut + self.branches(x)  # type: ignore[no-any-return]

    def remove_branches_(self) -> None:
        """Drop the modulation once the block has no branches."""
        if not self.hidden:
            self.spade = None


class BranchedModulation(nn.Module):
    """Scale and shift of every pixel as the halves of one sum of parallel branches (CAT)."""

    def __init__(self, branches: ParallelBranches):
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
    spade_norm: PlainNorm = "batch_plain",
) -> InceptionSpadeSpec:
    """CAT's teacher for label maps: branches a sixth as wide as the narrower end of each block, modulations a sixth of 128."""
    widths = output_widths(ngf, upsamplings)
    names, kinds = ["trunk"] * 4 + list(widths)[1:], branch_names(kernels)
    blocks = ["head", "middle0", "middle1", *list(widths)[1:]]
    for block, (start, end) in zip(blocks, pairwise(names), strict=True):
        hidden = max(1, min(widths[start], widths[end]) // factor)
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
