"""Named widths of a network without declarations, from Torch-Pruning's dependency graph.

The graph (Fang et al. 2023, "DepGraph: Towards Any Structural Pruning") states for every channel that a layer makes where else
it occurs. Channels that always occur together, in the same order, become a group. Layers for which that is impossible stay
as they are, with the reason. The result is not trusted: `foreign.laws` checks it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate, takewhile

from torch import Tensor, nn

from pocketgan.core.dims import FIXED, NORMS, Dim, Part
from pocketgan.foreign.graph import IMAGE, MAKES_IMAGE, Axis, Coupling, Graph, Stop, sides_of
from pocketgan.utils.registry import unknown


@dataclass(frozen=True)
class Traced:
    """Named widths of a foreign network, as plain data."""

    dims: dict[str, dict[str, Dim]]
    """``{module: {attribute: its named width}}``."""
    axes: dict[str, dict[str, tuple[str | None, ...]]]
    """``{module: {tensor: the attribute that sizes each axis}}`` for bare parameters."""
    gate_sites: dict[str, str]
    """``{module after which a gate sits: the layer it gates}``."""
    kept: dict[str, str]
    """``{layer: reason why its channels all stay}``."""

    def with_prefix(self, child: str) -> Traced:
        """The same for a network with the traced one as that child; ``kept`` has the names that the author knows."""

        def path(name: str) -> str:
            return f"{child}.{name}".rstrip(".")

        return Traced(
            {path(name): dims for name, dims in self.dims.items()},
            {path(name): axes for name, axes in self.axes.items()},
            {path(after): path(layer) for after, layer in self.gate_sites.items()},
            self.kept,
        )


def trace(model: nn.Module, example: Tensor, *, keep: Sequence[str] = ()) -> Traced:
    """The groups of ``model``, traced on ``example`` (N x C x H x W); ``keep`` has layers (or patterns) that stay as they are.

    Raises ``ValueError`` for a name in ``keep`` that no layer has.
    """
    graph = Graph(model, example)
    channels = ChannelUnionFind(graph.axes)
    for statement in graph.couplings():
        channels.add(statement)
    for name in _kept_layers(graph, keep):
        channels.fix((name, "out"), "kept as asked")
    for axes, units in graph.units():
        channels.join_runs(axes, units)
    dims = GroupNamer(graph, channels).compose()
    fixed = {name: channels.reason((name, "out")) for name in graph.producers() if (name, "out") not in dims}
    kept = {name: reason for name, reason in fixed.items() if reason != MAKES_IMAGE}
    return Traced(*_attributes(graph, dims), _gate_sites(graph, dims), kept)


def _kept_layers(graph: Graph, keep: Sequence[str]) -> Iterator[str]:
    layers = [name for name, side in graph.axes if side == "out" and name != IMAGE]
    for pattern in keep:
        matches = [name for name in layers if fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")]
        if not matches:
            raise unknown("layer", pattern, layers)
        yield from matches


def _attributes(
    graph: Graph, composed: Mapping[Axis, Dim]
) -> tuple[dict[str, dict[str, Dim]], dict[str, dict[str, tuple[str | None, ...]]]]:
    """Named widths of each module's attributes, and the attributes that size the axes of bare parameters."""
    dims: dict[str, dict[str, Dim]] = {}
    axes: dict[str, dict[str, tuple[str | None, ...]]] = {}
    for (name, side), dim in composed.items():
        if name in graph.bare:
            owner, tensor, axis = graph.bare[name]
            own = getattr(graph.model.get_submodule(owner), "AXES", {})
            attribute = (own[tensor][axis] if tensor in own else None) or f"{tensor}_channels"
            rank = graph.model.get_parameter(name).ndim
            axes.setdefault(owner, {})[tensor] = tuple(attribute if k == axis else None for k in range(rank))
            dims.setdefault(owner, {})[attribute] = dim
            continue
        module = graph.modules[name]
        named = dims.setdefault(name, {})
        named |= dict.fromkeys(sides_of(module)[side], dim)
        groups = "num_groups" if isinstance(module, nn.GroupNorm) else "groups"
        if side == "out" and int(getattr(module, groups, 1)) > 1:
            named[groups] = Dim(Part(group, width, 1) for group, width, _ in dim.parts)
    return dims, axes


def _gate_sites(graph: Graph, composed: Mapping[Axis, Dim]) -> dict[str, str]:
    """``{module after which a gate sits: the layer it gates}``: after the norm that only follows that layer, else after it.

    Every other norm, every depthwise layer and every custom layer with a number per channel has a gate of its own: what the
    layer adds to a closed channel must be closed, too.
    """
    after = {producer: norm for norm, producer in graph.followed.items()}
    sites: dict[str, str] = {}
    for name, side in composed:
        if name in graph.bare:
            if owner := graph.gate_after(name):
                sites[owner] = owner
        elif side != "out" or isinstance(graph.modules[name], nn.PReLU):
            continue
        elif isinstance(graph.modules[name], NORMS):
            sites.setdefault(name, graph.followed.get(name, name))
        elif name not in after:
            sites[name] = name
    return sites


class ChannelUnionFind:
    """Union-find over the channels of all axes: channels of one class go together; a class with a reason stays."""

    def __init__(self, axes: Mapping[Axis, int]):
        self.axes = axes
        self.start = dict(zip(axes, accumulate(axes.values(), initial=0), strict=False))
        self.parent = list(range(sum(axes.values())))
        self.reasons: dict[int, str] = {}

    def find(self, place: int) -> int:
        """The class of a place."""
        while self.parent[place] != place:
            self.parent[place] = self.parent[self.parent[place]]
            place = self.parent[place]
        return place

    def join(self, a: int, b: int) -> None:
        """Make two places one class; it stays if either did."""
        a, b = sorted((self.find(a), self.find(b)))
        self.parent[b] = a
        if b in self.reasons:
            self.reasons.setdefault(a, self.reasons.pop(b))

    def add(self, statement: Coupling | Stop) -> None:
        """Apply a statement of the graph."""
        if isinstance(statement, Stop):
            self.fix(*statement)
        elif statement.places and max(statement.places) >= self.axes[statement.other]:
            self.fix(statement.axis, f"its channels reach '{statement.other[0]}' in a way that the trace does not follow")
        else:
            for root, place in zip(statement.roots, statement.places, strict=True):
                self.join(self.start[statement.axis] + root, self.start[statement.other] + place)

    def fix(self, axis: Axis, reason: str) -> None:
        """Keep all channels of an axis."""
        for channel in range(self.axes[axis]):
            self.fix_class(self.start[axis] + channel, reason)

    def fix_class(self, place: int, reason: str) -> None:
        """Keep one class."""
        self.reasons.setdefault(self.find(place), reason)

    def join_runs(self, axes: Sequence[Axis], units: int) -> None:
        """Join the channels of each of ``units`` equal runs, along all axes: the groups of a group norm."""
        lengths = {axis: self.axes[axis] // units for axis in axes}
        for unit in range(units):
            places = [self.start[axis] + unit * n + channel for axis, n in lengths.items() for channel in range(n)]
            for place in places[1:]:
                self.join(places[0], place)

    def classes(self, axis: Axis) -> list[int]:
        """The class of every channel along an axis; -1 for those that stay."""
        classes = [self.find(self.start[axis] + channel) for channel in range(self.axes[axis])]
        return [-1 if cls in self.reasons else cls for cls in classes]

    def reason(self, axis: Axis) -> str:
        """Reason why the channels of an axis stay."""
        classes = (self.find(self.start[axis] + channel) for channel in range(self.axes[axis]))
        return next((self.reasons[cls] for cls in classes if cls in self.reasons), "it has none that could go without others")


class GroupNamer:
    """Named groups for the classes of channels."""

    def __init__(self, graph: Graph, channels: ChannelUnionFind):
        self.graph, self.channels = graph, channels
        self.groups: dict[str, list[int]] = {}
        """``{group: its classes, in order}``."""

    def compose(self) -> dict[Axis, Dim]:
        """Every axis that has channels to lose, as a sequence of groups; classes that no such sequence expresses are fixed."""
        while True:
            lines = {axis: self.channels.classes(axis) for axis in self.graph.axes}
            self.groups = self._find_groups(lines)
            dims, repeat = {}, False
            for axis, line in lines.items():
                parts = self._parts(line)
                if parts is None:
                    self.channels.fix(axis, f"'{axis[0]}' takes its channels in an order that no named widths can say")
                    repeat = True
                elif axis[1] == "out" and self.graph.makes_channels(axis[0]):
                    repeat |= self._unify_outputs(axis, parts)
                if parts:
                    dims[axis] = Dim(parts)
            if not repeat:
                return {axis: dim for axis, dim in dims.items() if dim.groups}

    def _find_groups(self, lines: Mapping[Axis, Sequence[int]]) -> dict[str, list[int]]:
        """Classes that occur together everywhere, named after the layer that makes them first."""
        axes_of: dict[int, list[int]] = {}
        for number, line in enumerate(lines.values()):
            for cls in line:
                if cls >= 0:
                    axes_of.setdefault(cls, []).append(number)
        together: dict[tuple[int, ...], set[int]] = {}
        for cls, numbers in axes_of.items():
            together.setdefault(tuple(numbers), set()).add(cls)
        groups: dict[str, list[int]] = {}
        grouped: set[int] = set()
        for axis, line in lines.items():
            if axis[1] != "out" or not self.graph.makes_channels(axis[0]):
                continue
            for cls in line:
                if cls >= 0 and cls not in grouped:
                    members = together[tuple(axes_of[cls])]
                    groups[_unused(axis[0].replace(".", "_"), groups)] = [c for c in dict.fromkeys(line) if c in members]
                    grouped |= members
        for name, classes in list(groups.items()):
            if len(classes) == 1:  # one unit: there is nothing to choose
                self.channels.fix_class(classes[0], "its channels go all together or not at all")
                del groups[name]
        return groups

    def _parts(self, line: Sequence[int]) -> list[Part] | None:
        """A line of classes as whole groups one after the other; None if it is no such sequence."""
        first = {classes[0]: name for name, classes in self.groups.items()}
        parts: list[Part] = []
        at = 0
        while at < len(line):
            cls = line[at]
            if self._stays(cls):
                parts.append(Part(FIXED, len(list(takewhile(self._stays, line[at:]))), 1))
            elif cls not in first:
                return None
            else:
                classes = self.groups[first[cls]]
                repeat = len(list(takewhile(cls.__eq__, line[at:])))
                expected = [c for c in classes for _ in range(repeat)]
                if list(line[at : at + len(expected)]) != expected:
                    return None
                parts.append(Part(first[cls], len(classes), repeat))
            at += parts[-1][1] * parts[-1][2]
        return parts

    def _stays(self, cls: int) -> bool:
        return cls < 0 or cls in self.channels.reasons

    def _unify_outputs(self, axis: Axis, parts: Sequence[Part]) -> bool:
        """Let a layer make channels of one group, for example the halves of `torch.chunk`; True if anything changed."""
        if len({part[:2] for part in parts}) < 2:
            return False
        if len({part[1:] for part in parts}) > 1 or any(part.group == FIXED for part in parts):
            self.channels.fix(axis, "its channels go different ways")
            return True
        first, *others = dict.fromkeys(part.group for part in parts)
        for other in others:
            for a, b in zip(self.groups[first], self.groups[other], strict=True):
                self.channels.join(a, b)
        return True


def _unused(name: str, names: Mapping[str, object]) -> str:
    return name if name not in names else next(f"{name}_{k}" for k in range(2, 10**6) if f"{name}_{k}" not in names)
