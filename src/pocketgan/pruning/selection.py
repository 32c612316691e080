"""Which channels of each group live, and the network in which only those are left."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim, Needs, channel_map, conditions, dims_of, exists, named_tensors, set_widths_, widths_of
from pocketgan.core.spec import Spec
from pocketgan.utils.errors import unknown

Selection = Mapping[str, Tensor]
"""``{group: kept channel indices}``, int64, in the order that they shall have; a group not named keeps all of its own."""


def prefix(widths: Mapping[str, int]) -> dict[str, Tensor]:
    """The selection of the leading channels at those widths."""
    return {group: torch.arange(width) for group, width in widths.items()}


def compose(first: Selection, second: Selection) -> dict[str, Tensor]:
    """The one selection that does what ``second`` after ``first`` does."""
    return {
        group: first[group][second[group]] if group in first and group in second else {**first, **second}[group]
        for group in {**first, **second}
    }


def readers(model: nn.Module) -> dict[str, frozenset[Needs]]:
    """``{group: for each tensor that it sizes, what that tensor needs to exist}``."""
    needs = conditions(model)
    found: dict[str, set[Needs]] = {}
    for tensor, axes in channel_map(model).items():
        for group in {group for dim in axes.values() for group in dim.groups}:
            found.setdefault(group, set()).add(needs[tensor.rpartition(".")[0]])
    return {group: frozenset(branches) for group, branches in found.items()}


def drop_dead_groups(widths: Mapping[str, int], readers: Mapping[str, frozenset[Needs]]) -> dict[str, int]:
    """``widths`` (of all groups) with 0 for every group that only absent branches use."""
    complete = dict(widths)
    for group, branches in readers.items():
        if complete[group] and not any(exists(needs, complete) for needs in branches):
            complete[group] = 0
    return complete


def without_dead_groups(model: nn.Module, widths: Mapping[str, int]) -> dict[str, int]:
    """All widths of the model with ``widths`` applied; a group that only absent branches use becomes 0.

    Raises ``ValueError`` as `check_widths` does.
    """
    whole, users = widths_of(model), readers(model)
    check_widths(widths, whole, users)
    return drop_dead_groups({**whole, **{group: int(width) for group, width in widths.items()}}, users)


def check_widths(widths: Mapping[str, int], whole: Mapping[str, int], readers: Mapping[str, frozenset[Needs]]) -> None:
    """Raise ``ValueError`` for an unknown group, a width that is not 0..whole, or a group that may not be empty.

    Empty may be what takes its branch with it, and what only absent branches use.
    """
    complete = {**whole, **widths}
    removable = {group for branches in readers.values() for needs in branches for groups in needs for group in groups}
    for group, width in widths.items():
        if group not in whole:
            raise unknown("group", group, whole)
        if not 0 <= width <= whole[group]:
            raise ValueError(f"width {group}={int(width)}: allowed are 0..{whole[group]}")
        if width == 0 < whole[group] and group not in removable:
            for needs in readers.get(group, ()):
                if exists(needs, complete):
                    raise ValueError(f"group '{group}' may not be empty; keep at least one of its {whole[group]} channels")


def check_selection(model: nn.Module, selection: Selection) -> None:
    """Raise ``ValueError`` for an unknown group, or for indices that are no int64, out of range or repeated."""
    whole = widths_of(model)
    for group, kept in selection.items():
        if group not in whole:
            raise unknown("group", group, whole)
        if kept.dtype != torch.int64 or kept.ndim != 1:
            raise ValueError(
                f"selection of '{group}' is {kept.ndim}-dimensional {kept.dtype}, wanted a list of int64 indices; "
                "of a mask, pass mask.nonzero().flatten()"
            )
        if len(kept) and not 0 <= int(kept.min()) <= int(kept.max()) < whole[group]:
            raise ValueError(f"selection of '{group}' has indices outside 0..{whole[group] - 1}")
        if len(set(kept.tolist())) != len(kept):
            raise ValueError(f"selection of '{group}' names a channel twice")


def positions(dim: Dim, selection: Selection) -> Tensor | None:
    """Where the kept channels lie along an axis of size ``dim``; None when all of them stay in place."""
    if not any(group in selection for group in dim.groups):
        return None
    found, start = [], 0
    for group, width, each in dim.parts:
        kept = selection.get(group, torch.arange(width))
        found.append((start + kept[:, None] * each + torch.arange(each)).flatten())
        start += width * each
    return torch.cat(found)


def narrow(tensor: Tensor, axes: Mapping[int, Dim], selection: Selection) -> Tensor:
    """A copy of ``tensor`` with the kept channels only."""
    for axis, dim in axes.items():
        index = positions(dim, selection)
        if index is not None:
            tensor = tensor.index_select(axis, index.to(tensor.device))
    return tensor.clone()


def resize(model: nn.Module, widths: Mapping[str, int], fill: Callable[[str, Tensor], Tensor]) -> nn.Module:
    """A copy of ``model`` at other widths: every `Dim` renumbered, every tensor made by ``fill(name, old)``.

    The one primitive behind `shrink` and the elastic shell. Branches whose width has become 0 are removed.
    """
    memo: dict[int, object] = {}
    for name, tensor in named_tensors(model):
        new = fill(name, tensor.detach())
        memo[id(tensor)] = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
    for module in model.modules():  # each holds a dozen empty dictionaries of hooks: most of the time of a deepcopy
        memo |= {id(value): OrderedDict() for value in vars(module).values() if type(value) is OrderedDict and not value}
    spec = getattr(model, "spec", None)
    if isinstance(spec, Spec):
        memo[id(spec)] = spec.resized({group: width for group, width in widths.items() if group in spec.widths})
    small = copy.deepcopy(model, memo)
    set_widths_(small, widths)
    for module in list(small.modules()):
        if any(dim == 0 for dim in dims_of(module).values()) and hasattr(module, "remove_branches_"):
            module.remove_branches_()  # type: ignore[operator]
    return small


def shrink(model: nn.Module, selection: Selection) -> nn.Module:
    """The same architecture with only the selected channels of each group, and their weights; ``model`` is left alone.

    Raises ``ValueError`` as `check_selection`, `settled` and `channel_map` do.
    """
    check_selection(model, selection)
    widths = without_dead_groups(model, {group: len(kept) for group, kept in selection.items()})
    whole = widths_of(model)
    emptied = {group: torch.arange(0) for group, width in widths.items() if width == 0 and whole[group] > 0}
    table, complete = channel_map(model), {**selection, **emptied}
    return resize(model, widths, lambda name, tensor: narrow(tensor, table.get(name, {}), complete))
