"""Parallel branches whose results are added: the block of CAT's inception generators.

Jin et al. 2021, "Teachers Do More Than Teach: Compressing Image-to-Image Models" (CAT), section 3.1 and figure 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pocketgan.models.layers import Shift, Unit

MakeNorm = Callable[[int], nn.Module]


def branch_names(kernels: Sequence[int]) -> tuple[str, ...]:
    """``res1``, ``res3``, ..., ``dw1``, ``dw3``, ...: two branches a kernel size."""
    return (*(f"res{k}" for k in kernels), *(f"dw{k}" for k in kernels))


class Branch(nn.Module):
    """One way from in to out over a hidden width.

    ``res{k}``: k x k convolution, norm, activation, k x k convolution. ``dw{k}``: 1 x 1 convolution, norm, activation,
    depthwise k x k, norm, activation, 1 x 1 convolution.
    """

    def __init__(self, kind: str, reads: int, hidden: int, writes: int, style: Style):
        super().__init__()
        depthwise, k = kind.startswith("dw"), int(kind.removeprefix("dw").removeprefix("res"))
        outer = 1 if depthwise else k
        self.first = Unit(
            style.conv(reads, hidden, outer), style.norm(hidden), style.act(), dropout=0.0 if depthwise else style.dropout
        )
        self.depthwise = None
        if depthwise:
            conv = style.conv(hidden, hidden, k, groups=hidden)
            self.depthwise = Unit(conv, style.depthwise_norm(hidden), style.act(), dropout=style.dropout)
        self.last = style.conv(hidden, writes, outer)
        self.GATES = {"last": "last"} if style.gate_sites else {}

    def forward(self, x: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H x W."""
        x = self.first(x)
        if self.depthwise is not None:
            x = self.depthwise(x)
        return self.last(x)  # type: ignore[no-any-return]


class Style:
    """What the branches of a network have in common."""

    def __init__(
        self,
        *,
        norm: MakeNorm,
        depthwise_norm: MakeNorm,
        act: Callable[[], nn.Module],
        bias: bool,
        padding: Literal["zeros", "reflect"],
        open_ended: bool,
        gate_sites: bool = True,
        dropout: float = 0.0,
    ):
        """``open_ended``: no norm follows the sum, so that what an absent branch adds counts, and gates sit on each branch;
        unless ``seats`` is off: then the channels of the sum are gated elsewhere."""
        self.norm, self.depthwise_norm, self.act, self.bias = norm, depthwise_norm, act, bias
        self.padding, self.open_ended, self.gate_sites, self.dropout = padding, open_ended, open_ended and gate_sites, dropout

    def conv(self, reads: int, writes: int, kernel: int, **more: Any) -> nn.Conv2d:
        """A convolution that keeps the size of the image."""
        # A pad of 0 pixels needs no mode, and a map of one pixel has nothing to be reflected.
        mode: Literal["zeros", "reflect"] = self.padding if kernel > 1 else "zeros"
        return nn.Conv2d(reads, writes, kernel, padding=kernel // 2, padding_mode=mode, bias=self.bias, **more)


class Branches(nn.Module):
    """The sum of parallel branches, N x in x H x W -> N x out x H x W; C x 1 x 1 once none is left.

    A branch whose hidden width is 0 is gone. What is left of it is the bias of its last convolution: that joins the bias of
    one that stays, or, after the last of them, stays by itself; before a norm that takes it away again it is let go.
    """

    def __init__(self, reads: int, writes: int, hidden: Mapping[str, int], style: Style):
        super().__init__()
        self.out_channels, self.names = writes, tuple(hidden)
        self.open_ended, self.gate_sites = style.open_ended, style.gate_sites
        self.BRANCHES: dict[str, tuple[str, ...]] = {}
        for name, width in hidden.items():
            setattr(self, f"{name}_width", width)
            self.BRANCHES[name] = (f"{name}_width",)
            self.add_module(name, Branch(name, reads, width, writes, style) if width else None)
        self.shift = Shift(writes, seat=self.gate_sites) if style.open_ended and self.empty else None

    @property
    def empty(self) -> bool:
        """Whether no branch is left."""
        return not any(getattr(self, f"{name}_width") for name in self.names)

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        parts: list[Tensor] = [branch(x) for branch in self._there()]
        parts += [constant[:, None, None] for constant in self._constants()]
        if self.shift is not None:
            parts.append(self.shift())
        if not parts:
            return x.new_zeros(int(self.out_channels), 1, 1)
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _constants(self) -> list[Tensor]:
        """The biases that branches leave whose layers are there still, although their width is 0."""
        if not self.open_ended:
            return []
        gone = [self._modules[name] for name in self.names if not getattr(self, f"{name}_width")]
        left = [branch.last.bias for branch in gone if isinstance(branch, Branch)]
        return [bias for bias in left if bias is not None]

    def _there(self) -> list[Branch]:
        branches = [self._modules[name] for name in self.names if getattr(self, f"{name}_width")]
        return [branch for branch in branches if isinstance(branch, Branch)]

    @torch.no_grad()
    def scale_(self, scale: Tensor, shift: Tensor) -> None:
        """Multiply the sum by ``scale`` and add ``shift`` (C each), in place; there is a branch at least."""
        for index, branch in enumerate(self._there()):
            last = branch.last
            bias = torch.zeros_like(scale) if last.bias is None else last.bias * scale
            last.weight.mul_(scale[:, None, None, None])
            last.bias = nn.Parameter(bias + shift if index == 0 else bias, last.weight.requires_grad)

    def remove_branches_(self) -> None:
        """Drop the layers of empty branches and keep their constants."""
        constants = self._constants()
        stay = self._there()
        if constants:
            total = torch.stack(constants).sum(0).detach()
            if stay:
                assert stay[0].last.bias is not None
                stay[0].last.bias.data.add_(total)
            else:
                self.shift = Shift(self.out_channels, seat=self.gate_sites)
                self.shift.value = total
        for name in self.names:
            if not getattr(self, f"{name}_width"):
                self._modules[name] = None
