"""Elastic network: one set of weights that also runs as any narrower network, on the leading channels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pocketgan.core.dims import Dim, channel_map, named_tensors, set_widths_, widths_of
from pocketgan.pruning.selection import group_requirements, prefix, resize, shrink, valid_widths


class Elastic(nn.Module):
    """``model`` at any smaller widths: narrower networks share its weights by their leading channels.

    One shell (the structure of the model without weights) is resized in place; features are captured there. Gradients reach
    exactly the channels that ran. In training mode running statistics go to scratch copies, as in-place updates through a
    view would mix widths: evaluate `extract`, or recalibrate first.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.full = widths_of(model)
        self.widths = dict(self.full)
        self._table = channel_map(model)
        self._requirements = group_requirements(model)
        shell = resize(model, {}, lambda _, tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"))
        self._shell = (shell,)  # in a tuple, so that its empty tensors are not part of this module's state

    @property
    def shell(self) -> nn.Module:
        """Structure that runs; register hooks for features here."""
        return self._shell[0]

    def resize_(self, widths: Mapping[str, int]) -> None:
        """Set the widths of the next forward passes; groups not named are full. ``ValueError`` as `valid_widths`."""
        new = valid_widths(widths, self.full, self._requirements)
        if new != self.widths:
            set_widths_(self.shell, new)
            self.widths = new

    def forward(self, *inputs: Tensor) -> Tensor:
        """Output of the network at the current widths."""
        views = {}
        for name, tensor in named_tensors(self.model):
            view = leading(tensor, self._table.get(name, {}), self.widths)
            views[name] = view.clone() if self.training and not isinstance(tensor, nn.Parameter) else view
        return functional_call(self.shell.train(self.training), views, inputs)  # type: ignore[no-any-return]

    def extract(self) -> nn.Module:
        """Independent copy of the network at the current widths."""
        return shrink(self.model, prefix(self.widths))


def leading(tensor: Tensor, axes: Mapping[int, Dim], widths: Mapping[str, int]) -> Tensor:
    """Leading channels of every group along every axis: a view, or a concatenation of views."""
    for axis, dim in axes.items():
        pieces, start = [], 0
        for group, width, repeat in dim.parts:
            pieces.append(tensor.narrow(axis, start, widths.get(group, width) * repeat))
            start += width * repeat
        tensor = pieces[0] if len(pieces) == 1 else torch.cat(pieces, axis)
    return tensor
