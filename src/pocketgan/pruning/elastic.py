"""The once-for-all view: a network run with the leading channels of its own weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pocketgan.core.dims import Dim, channel_map, named_tensors, set_widths_, widths_of
from pocketgan.pruning.selection import check_widths, drop_dead_groups, prefix, readers, resize, shrink


class Elastic(nn.Module):
    """``model`` as a network of any smaller widths that shares its weights by leading channels.

    One shell (the model's structure without weights) is resized in place; it is where features are captured. Gradients
    reach exactly the channels that ran. In training mode running statistics go to scratch copies: written through a view
    they would mix widths. Evaluate after recalibrating them, or on `extract`.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.full = widths_of(model)
        self.widths = dict(self.full)
        self._table = channel_map(model)
        self._readers = readers(model)
        shell = resize(model, {}, lambda _, tensor: torch.empty_like(tensor, device="meta"))
        self._shell = (shell,)  # in a tuple, so that its empty tensors are not part of this module's state

    @property
    def shell(self) -> nn.Module:
        """The structure that runs: hang hooks for features here."""
        return self._shell[0]

    def resize_(self, widths: Mapping[str, int]) -> None:
        """Choose the widths of the next forwards; groups not named are whole. ``ValueError`` as `check_widths`."""
        check_widths(widths, self.full, self._readers)
        new = drop_dead_groups({**self.full, **widths}, self._readers)
        if new != self.widths:
            set_widths_(self.shell, new)
            self.widths = new

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the network at the chosen widths gives."""
        shell = self.shell.train(self.training)
        return functional_call(shell, dict(self._views()), inputs)  # type: ignore[no-any-return]

    def extract(self) -> nn.Module:
        """The network at the chosen widths, on its own."""
        return shrink(self.model, prefix(self.widths))

    def _views(self) -> list[tuple[str, Tensor]]:
        views = []
        for name, tensor in named_tensors(self.model):
            view = leading(tensor, self._table.get(name, {}), self.widths)
            scratch = self.training and not isinstance(tensor, nn.Parameter)
            views.append((name, view.clone() if scratch else view))
        return views


def leading(tensor: Tensor, axes: Mapping[int, Dim], widths: Mapping[str, int]) -> Tensor:
    """The leading channels of every group along every axis: a view, or a concatenation of views."""
    for axis, dim in axes.items():
        pieces, start = [], 0
        for group, width, each in dim.parts:
            pieces.append(tensor.narrow(axis, start, widths.get(group, width) * each))
            start += width * each
        tensor = pieces[0] if len(pieces) == 1 else torch.cat(pieces, axis)
    return tensor
