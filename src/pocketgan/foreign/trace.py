"""Which channels of a network that nobody described must agree, read off Torch-Pruning's dependency graph.

The graph (Fang et al. 2023, "DepGraph: Towards Any Structural Pruning") says for every channel that a layer makes where else
it occurs. Here those statements become named widths: channels that always occur together, in the same order, are a group.
What cannot be said so stays as it is, with the reason. That the result is true is not taken on trust (`foreign.laws`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

from pocketgan.core.dims import Dim, Part
from pocketgan.foreign.graph import IMAGE, MAKES_IMAGE, Axis, Graph, sides_of
from pocketgan.foreign.grouping import ChannelUnionFind, GroupNamer
from pocketgan.utils.errors import unknown


@dataclass(frozen=True)
class Traced:
    """Named widths of a foreign network, as plain data."""

    dims: dict[str, dict[str, Dim]]
    """``{module: {attribute: what sizes it}}``."""
    axes: dict[str, dict[str, tuple[str | None, ...]]]
    """``{module: {tensor: the attribute that sizes each axis}}`` for bare parameters."""
    gate_sites: dict[str, str]
    """``{module after which a gate sits: the layer it gates}``."""
    kept: dict[str, str]
    """``{layer: why its channels all stay}``."""

    def inside(self, child: str) -> Traced:
        """The same for the network whose child of that name was traced; what stays keeps the name that its author knows."""

        def path(name: str) -> str:
            return f"{child}.{name}".rstrip(".")

        return Traced(
            {path(name): own for name, own in self.dims.items()},
            {path(name): own for name, own in self.axes.items()},
            {path(after): path(layer) for after, layer in self.gate_sites.items()},
            self.kept,
        )


def trace(model: nn.Module, example: Tensor, *, keep: Sequence[str] = ()) -> Traced:
    """The groups of ``model``, which generates ``example`` (N x C x H x W); ``keep`` names layers (or patterns) to leave whole.

    Raises ``ValueError`` for a name in ``keep`` that no layer has.
    """
    graph = Graph(model, example)
    slots = ChannelUnionFind(graph)
    for statement in graph.couplings():
        slots.take(statement)
    for name in _kept_layers(graph, keep):
        slots.fix((name, "out"), "kept as asked")
    for axes, units in graph.units():
        slots.bundle(axes, units)
    names = GroupNamer(graph, slots)
    composed = names.settled()
    return Traced(*_attributes(graph, composed), _seats(graph, composed), _kept(graph, slots, composed))


def _kept_layers(graph: Graph, keep: Sequence[str]) -> Iterator[str]:
    layers = [name for name, side in graph.axes if side == "out" and name != IMAGE]
    for pattern in keep:
        found = [name for name in layers if fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")]
        if not found:
            raise unknown("layer", pattern, layers)
        yield from found


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


def _kept(graph: Graph, slots: ChannelUnionFind, composed: Mapping[Axis, Dim]) -> dict[str, str]:
    """The layers that make channels of which none can go, and why; but for those that generate the image."""
    whole = [(name, "out") for name in graph.axes_made() if (name, "out") not in composed]
    reasons = {axis[0]: slots.reason(axis) for axis in whole}
    return {name: reason for name, reason in reasons.items() if reason != MAKES_IMAGE}


def _seats(graph: Graph, composed: Mapping[Axis, Dim]) -> dict[str, str]:
    """Where gates go: after the norm that a layer alone feeds and that it alone reads, else after the layer.

    Every other norm, every depthwise layer and every layer of someone's own with a number a channel carries a gate: what it
    adds to a closed channel is closed, too.
    """
    after = {producer: norm for norm, producer in graph.followed.items()}
    gate_sites: dict[str, str] = {}
    for name, side in composed:
        if name in graph.bare:
            if owner := graph.closes(name):
                gate_sites[owner] = owner
        elif side != "out" or isinstance(graph.modules[name], nn.PReLU):
            continue
        elif graph.is_norm(name):
            gate_sites.setdefault(name, graph.followed.get(name, name))
        elif name not in after:
            gate_sites[name] = name
    return gate_sites
