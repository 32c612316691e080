"""Channels that occur together, and the named groups that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pocketgan.core.dims import FIXED, Dim, Part
from pocketgan.foreign.graph import Axis, Graph, Run, Stop


class ChannelUnionFind:
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
class GroupNamer:
    """From classes of channels to named groups."""

    graph: Graph
    slots: ChannelUnionFind
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
