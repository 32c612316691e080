"""Selections of channels, and the network that contains only the selected ones."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim, Needs, channel_map, conditions, dims_of, exists, named_tensors, set_widths_, widths_of
from pocketgan.core.spec import Spec
from pocketgan.utils.registry import unknown

Selection = Mapping[str, Tensor]
"""``{group: kept channel indices}``, int64, in their new order; a group not named keeps all of its channels."""


def prefix(widths: Mapping[str, int]) -> dict[str, Tensor]:
    """Selection of the leading channels at those widths."""
    return {group: torch.arange(width) for group, width in widths.items()}


def group_requirements(model: nn.Module) -> dict[str, frozenset[Needs]]:
    """``{group: for each tensor sized by the group, the needs of that tensor}`` (the widths without which it is absent)."""
    needs = conditions(model)
    found: dict[str, set[Needs]] = {}
    for tensor, axes in channel_map(model).items():
        for group in {group for dim in axes.values() for group in dim.groups}:
            found.setdefault(group, set()).add(needs[tensor.rpartition(".")[0]])
    return {group: frozenset(branches) for group, branches in found.items()}


def drop_dead_groups(widths: Mapping[str, int], requirements: Mapping[str, frozenset[Needs]]) -> dict[str, int]:
    """``widths`` (of all groups) with 0 for every group that only absent branches use."""
    complete = dict(widths)
    for group, branches in requirements.items():
        if complete[group] and not any(exists(needs, complete) for needs in branches):
            complete[group] = 0
    return complete


def valid_widths(
    widths: Mapping[str, int], full: Mapping[str, int], requirements: Mapping[str, frozenset[Needs]]
) -> dict[str, int]:
    """All widths of a network, ``full`` with ``widths`` applied; a group that only absent branches use becomes 0.

    Raises ``ValueError`` for an unknown group, a width outside 0..full, or a group that may not be empty: one whose branch is
    not removed with it, and that not only absent branches use.
    """
    complete = {**full, **widths}
    removable = {group for branches in requirements.values() for needs in branches for groups in needs for group in groups}
    for group, width in widths.items():
        if group not in full:
            raise unknown("group", group, full)
        if not 0 <= width <= full[group]:
            raise ValueError(f"width {group}={int(width)}: allowed are 0..{full[group]}")
        used = any(exists(needs, complete) for needs in requirements.get(group, ()))
        if width == 0 < full[group] and group not in removable and used:
            raise ValueError(f"group '{group}' may not be empty; keep at least one of its {full[group]} channels")
    return drop_dead_groups(complete, requirements)


def check_selection(model: nn.Module, selection: Selection) -> None:
    """Raise ``ValueError`` for an unknown group, or for indices that are not int64, out of range or repeated."""
    full = widths_of(model)
    for group, kept in selection.items():
        if group not in full:
            raise unknown("group", group, full)
        if kept.dtype != torch.int64 or kept.ndim != 1:
            raise ValueError(
                f"selection of '{group}' is {kept.ndim}-dimensional {kept.dtype}, expected a list of int64 indices; "
                "of a mask, pass mask.nonzero().flatten()"
            )
        if len(kept) and not 0 <= int(kept.min()) <= int(kept.max()) < full[group]:
            raise ValueError(f"selection of '{group}' has indices outside 0..{full[group] - 1}")
        if len(set(kept.tolist())) != len(kept):
            raise ValueError(f"selection of '{group}' names a channel twice")


def positions(dim: Dim, selection: Selection) -> Tensor | None:
    """Indices of the kept channels along an axis of size ``dim``; None if all of them stay in place."""
    if not any(group in selection for group in dim.groups):
        return None
    pieces, start = [], 0
    for group, width, repeat in dim.parts:
        kept = selection.get(group, torch.arange(width))
        pieces.append((start + kept[:, None] * repeat + torch.arange(repeat)).flatten())
        start += width * repeat
    return torch.cat(pieces)


def narrow(tensor: Tensor, axes: Mapping[int, Dim], selection: Selection) -> Tensor:
    """Copy of ``tensor`` with the kept channels only."""
    for axis, dim in axes.items():
        index = positions(dim, selection)
        if index is not None:
            tensor = tensor.index_select(axis, index.to(tensor.device))
    return tensor.clone()


def resize(model: nn.Module, widths: Mapping[str, int], fill: Callable[[str, Tensor], Tensor]) -> nn.Module:
    """Copy of ``model`` at other widths: every `Dim` resized, every tensor made by ``fill(name, old)``.

    `shrink` and the elastic shell are built on it. Branches whose width has become 0 are removed.
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
    """Copy of ``model`` with only the selected channels of each group and their weights.

    Raises ``ValueError`` as `check_selection`, `valid_widths` and `channel_map` do.
    """
    check_selection(model, selection)
    full, kept_widths = widths_of(model), {group: len(kept) for group, kept in selection.items()}
    widths = valid_widths(kept_widths, full, group_requirements(model))
    emptied = {group: torch.arange(0) for group, width in widths.items() if width == 0 and full[group] > 0}
    table, complete = channel_map(model), {**selection, **emptied}
    return resize(model, widths, lambda name, tensor: narrow(tensor, table.get(name, {}), complete))
