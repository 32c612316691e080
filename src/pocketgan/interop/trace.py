"""Which channels of a network that nobody described must agree, read off Torch-Pruning's dependency graph.

The graph (Fang et al. 2023, "DepGraph: Towards Any Structural Pruning") says for every channel that a layer makes where else
it occurs. Here those statements become named widths: channels that always occur together, in the same order, are a group.
What cannot be said so stays as it is, with the reason. That the result is true is not taken on trust (`interop.laws`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from torch import Tensor, nn

from pocketgan.core.dims import FIXED, Dim, Part
from pocketgan.core.errors import unknown
from pocketgan.interop.graph import PAINTS, Axis, Graph, Run, Stop, sides_of

Channels = np.ndarray
"""The channel classes along an axis: a number each, equal where they must be kept or cut together."""


@dataclass(frozen=True)
class Traced:
    """Named widths of a foreign network, as plain data."""

    dims: dict[str, dict[str, Dim]]
    """``{module: {attribute: what sizes it}}``."""
    axes: dict[str, dict[str, tuple[str | None, ...]]]
    """``{module: {tensor: the attribute that sizes each axis}}`` for bare parameters."""
    seats: dict[str, str]
    """``{module after which a gate sits: the layer it gates}``."""
    kept: dict[str, str]
    """``{layer: why its channels all stay}``."""


def trace(model: nn.Module, example: Tensor, *, keep: Sequence[str] = ()) -> Traced:
    """The groups of ``model``, which paints ``example`` (N x C x H x W); ``keep`` names layers (or patterns) to leave whole.

    Raises ``ValueError`` for a name in ``keep`` that no layer has.
    """
    graph = Graph(model, example)
    slots = _Slots(graph)
    for statement in graph.couplings():
        slots.take(statement)
    for name in _kept_layers(graph, keep):
        slots.fix((name, "out"), "kept as asked")
    for axes, units in graph.units():
        slots.bundle(axes, units)
    names = _Names(graph, slots)
    composed = names.settled()
    return Traced(*_attributes(graph, composed), _seats(graph, composed), _kept(graph, slots, composed))


def _kept_layers(graph: Graph, keep: Sequence[str]) -> Iterator[str]:
    layers = [name for name, side in graph.axes if side == "out"]
    for pattern in keep:
        found = [name for name in layers if fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")]
        if not found:
            raise unknown("layer", pattern, layers)
        yield from found


class _Slots:
    """A union-find over all places that channels take."""

    def __init__(self, graph: Graph):
        self.axes, self.start = graph.axes, {}
        total = 0
        for axis, size in graph.axes.items():
            self.start[axis] = total
            total += size
        self.parent = np.arange(total)
        self.fixed = np.zeros(total, dtype=bool)
        self.reasons: dict[int, str] = {}

    def find(self, place: int) -> int:
        """The class of a place."""
        root = place
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[place] != root:
            self.parent[place], place = root, self.parent[place]
        return int(root)

    def join(self, a: int, b: int) -> None:
        """Make two places one class; fixed if either was."""
        a, b = sorted((self.find(a), self.find(b)))
        self.parent[b] = a
        self.fixed[a] |= self.fixed[b]
        if b in self.reasons:
            self.reasons.setdefault(a, self.reasons.pop(b))

    def take(self, statement: Run | Stop) -> None:
        """Take over a statement of the graph."""
        if isinstance(statement, Stop):
            self.fix(*statement)
        elif statement.places and max(statement.places) >= self.axes[statement.other]:
            self.fix(statement.axis, f"its channels reach '{statement.other[0]}' in a way that the trace does not follow")
        else:
            for root, place in zip(statement.roots, statement.places, strict=True):
                self.join(self.start[statement.axis] + root, self.start[statement.other] + place)

    def fix(self, axis: Axis, reason: str) -> None:
        """Leave all channels of an axis alone."""
        for channel in range(self.axes[axis]):
            self.fix_class(self.start[axis] + channel, reason)

    def fix_class(self, place: int, reason: str) -> None:
        """Leave one class alone."""
        found = self.find(place)
        self.fixed[found] = True
        self.reasons.setdefault(found, reason)

    def bundle(self, axes: Sequence[Axis], units: int) -> None:
        """Let the channels of each of ``units`` equal runs go together, along all axes: what a group norm takes as one."""
        for unit in range(units):
            places = [
                self.start[axis] + unit * length + channel
                for axis in axes
                for length in [self.axes[axis] // units]
                for channel in range(length)
            ]
            for place in places[1:]:
                self.join(places[0], place)

    def classes(self, axis: Axis) -> list[int]:
        """The class of every channel along an axis; -1 for what is fixed."""
        own = [self.find(self.start[axis] + channel) for channel in range(self.axes[axis])]
        return [-1 if self.fixed[found] else found for found in own]

    def reason(self, axis: Axis) -> str:
        """Why the channels of an axis stay."""
        own = (self.find(self.start[axis] + channel) for channel in range(self.axes[axis]))
        return next((self.reasons[found] for found in own if found in self.reasons), "it has none that could go without others")


@dataclass
class _Names:
    """From classes of channels to named groups."""

    graph: Graph
    slots: _Slots
    groups: dict[str, list[int]] = field(default_factory=dict)

    def settled(self) -> dict[Axis, Dim]:
        """Every axis that has channels to lose, composed of groups; what cannot be composed is fixed first."""
        while True:
            lines = {axis: self.slots.classes(axis) for axis in self.graph.axes}
            self.groups = self._grouped(lines)
            composed, again = {}, False
            for axis, line in lines.items():
                parts = self._parts(line)
                if parts is None:
                    self.slots.fix(axis, f"'{axis[0]}' takes its channels in an order that no named widths can say")
                    again = True
                elif axis[1] == "out" and self.graph.makes(axis[0]):
                    again |= self._made_alike(axis, parts)
                if parts:
                    composed[axis] = Dim(parts)
            if not again:
                return {axis: dim for axis, dim in composed.items() if dim.groups}

    def _grouped(self, lines: Mapping[Axis, Sequence[int]]) -> dict[str, list[int]]:
        """Classes that occur together everywhere, named after the layer that makes them first."""
        seen: dict[int, list[int]] = {}
        for number, line in enumerate(lines.values()):
            for found in line:
                if found >= 0:
                    seen.setdefault(found, []).append(number)
        alike: dict[tuple[int, ...], list[int]] = {}
        for found, numbers in seen.items():
            alike.setdefault(tuple(numbers), []).append(found)
        by_class = {found: classes for classes in alike.values() for found in classes}
        groups: dict[str, list[int]] = {}
        taken: set[int] = set()
        for axis, line in lines.items():
            if axis[1] != "out" or not self.graph.makes(axis[0]):
                continue
            for found in line:
                if found >= 0 and found not in taken:
                    classes = [other for other in dict.fromkeys(line) if other in set(by_class[found])]
                    groups[_free(axis[0].replace(".", "_"), groups)] = classes
                    taken.update(by_class[found])
        for name, classes in list(groups.items()):
            if len(classes) == 1:  # one unit: there is nothing to choose
                self.slots.fix_class(classes[0], "its channels go all together or not at all")
                del groups[name]
        return groups

    def _parts(self, line: Sequence[int]) -> list[Part] | None:
        """A line of classes as whole groups one after the other; None where it is no such thing."""
        first = {classes[0]: name for name, classes in self.groups.items()}
        parts: list[Part] = []
        at = 0
        while at < len(line):
            found = line[at]
            if found < 0 or self.slots.fixed[found]:
                length = next(
                    (k for k, other in enumerate(line[at:]) if other >= 0 and not self.slots.fixed[other]), len(line) - at
                )
                parts.append(Part(FIXED, length, 1))
                at += length
                continue
            if found not in first:
                return None
            classes = self.groups[first[found]]
            each = next((k for k, other in enumerate(line[at:]) if other != found), len(line) - at)
            expected = [one for one in classes for _ in range(each)]
            if list(line[at : at + len(expected)]) != expected:
                return None
            parts.append(Part(first[found], len(classes), each))
            at += len(expected)
        return parts

    def _made_alike(self, axis: Axis, parts: Sequence[Part]) -> bool:
        """See to it that a layer makes channels of one group, as `torch.chunk` halves them; True if that took anything."""
        kinds = {part[:2] for part in parts}
        if len(kinds) < 2:
            return False
        if len({part[1:] for part in parts}) > 1 or any(part.group == FIXED for part in parts):
            self.slots.fix(axis, "its channels go different ways")
            return True
        one, *others = dict.fromkeys(part.group for part in parts)
        for other in others:
            for a, b in zip(self.groups[one], self.groups[other], strict=True):
                self.slots.join(a, b)
        return True


def _free(name: str, taken: Mapping[str, Any]) -> str:
    return name if name not in taken else next(f"{name}_{k}" for k in range(2, 10**6) if f"{name}_{k}" not in taken)


def _attributes(
    graph: Graph, composed: Mapping[Axis, Dim]
) -> tuple[dict[str, dict[str, Dim]], dict[str, dict[str, tuple[str | None, ...]]]]:
    """What each module's attributes become."""
    dims: dict[str, dict[str, Dim]] = {}
    axes: dict[str, dict[str, tuple[str | None, ...]]] = {}
    for (name, side), dim in composed.items():
        if name in graph.bare:
            owner, tensor, axis = graph.bare[name]
            attribute = graph.declared(owner, tensor, axis) or f"{tensor}_channels"
            shape = graph.model.get_parameter(name).shape
            axes.setdefault(owner, {})[tensor] = tuple(attribute if k == axis else None for k in range(len(shape)))
            dims.setdefault(owner, {})[attribute] = dim
            continue
        module = graph.modules[name]
        own = dims.setdefault(name, {})
        for attribute in sides_of(module)[side]:
            own[attribute] = dim
        groups = "num_groups" if isinstance(module, nn.GroupNorm) else "groups"
        if side == "out" and int(getattr(module, groups, 1)) > 1:
            own[groups] = Dim(Part(group, width, 1) for group, width, _ in dim.parts)
    return dims, axes


def _kept(graph: Graph, slots: _Slots, composed: Mapping[Axis, Dim]) -> dict[str, str]:
    """The layers that make channels of which none can go, and why; but for those that paint the picture."""
    whole = [(name, "out") for name in graph.axes_made() if (name, "out") not in composed]
    reasons = {axis[0]: slots.reason(axis) for axis in whole}
    return {name: reason for name, reason in reasons.items() if reason != PAINTS}


def _seats(graph: Graph, composed: Mapping[Axis, Dim]) -> dict[str, str]:
    """Where gates go: after the norm that a layer alone feeds and that it alone reads, else after the layer.

    Every other norm, every depthwise layer and every layer of someone's own with a number a channel carries a gate: what it
    adds to a closed channel is closed, too.
    """
    after = {producer: norm for norm, producer in graph.followed.items()}
    seats: dict[str, str] = {}
    for name, side in composed:
        if name in graph.bare:
            if owner := graph.closes(name):
                seats[owner] = owner
        elif side != "out" or isinstance(graph.modules[name], nn.PReLU):
            continue
        elif graph.is_norm(name):
            seats.setdefault(name, graph.followed.get(name, name))
        elif name not in after:
            seats[name] = name
    return seats
