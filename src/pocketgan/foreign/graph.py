"""Torch-Pruning's dependency graph of a foreign network, with the few things that it does not know of generators."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.core.dims import AXES, NORMS, declared_axes, stock_kind
from pocketgan.foreign.amend import Shapes, amend_

Axis = tuple[str, str]
"""A layer (or bare parameter) and its side: ``in`` or ``out``; norms and the like have ``out`` alone."""

IMAGE, NET, OUTPUT = "<image>", "net", "<output>"
MAKES_IMAGE = "its channels are the image's"


class Run(NamedTuple):
    """Channel ``roots[i]`` of ``axis`` is channel ``places[i]`` of ``other``."""

    axis: Axis
    other: Axis
    roots: list[int]
    places: list[int]


class Stop(NamedTuple):
    """All channels of ``axis`` stay, for this reason."""

    axis: Axis
    reason: str


class Graph:
    """What is coupled with what in ``model`` when it generates ``example`` (N x C x H x W).

    Between a layer before it, which makes the image, and one behind it, which reads the image, the model has no loose end.
    """

    def __init__(self, model: nn.Module, example: Tensor):
        self.model = model = _differentiable(model)
        self.modules = {name: module for name, module in model.named_modules() if sides_of(module)}
        self.bare = _bare_parameters(model, self.modules)
        whole = _between(model, example)
        self._names = {module: name.removeprefix(f"{NET}.") for name, module in whole.named_modules()}
        self._parameters = {id(parameter): name for name, parameter in model.named_parameters()}
        self._order: list[str] = []
        self._reads: dict[str, list[Any]] = {}
        self._maps: dict[str, tuple[int, ...]] = {}
        self.graph = self._built(whole, example)
        ends = {(IMAGE, "out"): example.shape[1], (OUTPUT, "in"): whole.get_submodule(OUTPUT).in_channels}
        self.axes: dict[Axis, int] = {axis: int(size) for axis, size in ends.items()}  # type: ignore[arg-type]
        """How many channels each axis has, from input to output."""
        for name in self._order:
            module = self.modules[name]
            self.axes |= {(name, side): int(getattr(module, own[0])) for side, own in sides_of(module).items()}
        self.axes |= {(name, "out"): model.get_parameter(name).shape[axis] for name, (_, _, axis) in self.bare.items()}
        self.followed = {norm: producer for norm in self._reads if (producer := self._producer(norm)) is not None}
        """``{norm: the layer that it alone reads and that feeds nothing else}``, seen through crops."""

    def _built(self, whole: nn.Module, example: Tensor) -> Any:
        """The graph. Who runs when, and what norms read, is written down on the way."""
        from torch_pruning.dependency import DependencyGraph

        graph, shapes = DependencyGraph(), Shapes()
        handles = []
        for owner in {owner for owner, *_ in self.bare.values()}:
            handles.append(self.model.get_submodule(owner).register_forward_hook(self._gave(owner)))
        for name, module in self.modules.items():
            handles.append(module.register_forward_hook(self._ran(name)))
            if isinstance(module, NORMS):
                handles.append(module.register_forward_pre_hook(self._read(name)))
        try:
            with warnings.catch_warnings(), torch.enable_grad(), shapes:
                warnings.simplefilter("ignore")
                graph.build_dependency(
                    whole,
                    (example,),
                    unwrapped_parameters=[(self.model.get_parameter(name), axis) for name, (*_, axis) in self.bare.items()],
                    customized_pruners=_declared_pruners(self.modules.values()),
                    verbose=False,
                )
        finally:
            for handle in handles:
                handle.remove()
        self._opaque = amend_(graph, shapes)
        return graph

    def _ran(self, name: str) -> Any:
        def ran(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
            if name not in self._order:
                self._order.append(name)
            return output.clone() if output._is_view() else None  # what is written into a view would hide who made it

        return ran

    def _gave(self, owner: str) -> Any:
        def gave(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not any(True for _ in module.children()):
                self._maps[owner] = tuple(output.shape)

        return gave

    def _read(self, name: str) -> Any:
        def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._reads.setdefault(name, []).append(inputs[0].grad_fn)

        return read

    def _producer(self, norm: str) -> str | None:
        nodes = {node.grad_fn: node for node in self.graph.module2node.values()}
        node = nodes.get(self._reads[norm][0]) if len(self._reads[norm]) == 1 else None
        while node is not None and len(set(node.outputs)) == 1:
            name = self._names.get(node.module)
            if name in self.modules:
                return name if not isinstance(node.module, (*NORMS, nn.PReLU)) else None
            crop = type(node.module).__name__ == "_SliceOp" and node.module.dim in (2, 3)
            node = node.inputs[0] if crop and len(node.inputs) == 1 else None
        return None

    def makes(self, name: str) -> bool:
        """Whether a layer makes channels anew out of all that it reads."""
        module = self.modules.get(name)
        return module is not None and len(sides_of(module)) == 2 and int(getattr(module, "groups", 1)) == 1

    def _regroups(self, name: str) -> bool:
        """Whether a convolution in groups makes other channels than it reads."""
        module = self.modules.get(name)
        groups = int(getattr(module, "groups", 1))
        return groups > 1 and len(sides_of(module)) == 2 and groups != int(module.out_channels)  # type: ignore[union-attr, arg-type]

    def axes_made(self) -> Iterator[str]:
        """The layers that make channels, in the order in which they run."""
        yield from (name for name in self._order if self.makes(name) or self._regroups(name))

    def closes(self, name: str) -> str | None:
        """The layer behind which channels can be closed that a bare parameter may have revived: its own, of maps."""
        owner, _, axis = self.bare[name]
        maps = self._maps.get(owner, ())
        channels = self.model.get_parameter(name).shape[axis]
        return owner if owner and len(maps) == 4 and maps[1] == channels else None

    def is_norm(self, name: str) -> bool:
        """Whether that layer is a norm."""
        return isinstance(self.modules.get(name), NORMS)

    def declared(self, owner: str, tensor: str, axis: int) -> str | None:
        """The attribute that a module's own ``AXES`` name for that axis of a bare parameter."""
        axes = getattr(self.model.get_submodule(owner), "AXES", {})
        return axes[tensor][axis] if tensor in axes else None

    def couplings(self) -> Iterator[Run | Stop]:
        """Every statement of the graph."""
        yield Stop((IMAGE, "out"), "its channels meet the image's")
        yield Stop((OUTPUT, "in"), MAKES_IMAGE)
        seen: set[str] = set()
        for name in [IMAGE, *self._order]:
            if name != IMAGE and ((not self._regroups(name) and not self.makes(name)) or name in seen):
                continue
            yield from self._from(name, seen)

    def _from(self, name: str, seen: set[str]) -> Iterator[Run | Stop]:
        axis: Axis = (name, "out")
        width = self.axes[axis]
        layer = next(module for module, own in self._names.items() if own == name)
        if layer not in self.graph.module2node:
            yield Stop(axis, "what it makes does not reach the image")
            return
        pruner = self.graph.get_pruner_of_module(layer)
        for item in self.graph.get_pruning_group(layer, pruner.prune_out_channels, list(range(width))).items:
            target, (places, roots) = item.dep.target.module, (list(item.idxs), list(item.root_idxs))
            other = self._axis(item)
            if target in self._opaque:
                yield Stop(axis, "its channels are dealt out anew by a view (heads, or a channel shuffle)")
            if other is None:
                if isinstance(target, nn.Parameter):
                    yield Stop(
                        axis, f"its channels meet the bare parameter '{self._parameters.get(id(target))}': declare its AXES"
                    )
                elif isinstance(target, nn.Module) and target in self._names and not _of_one_number(target):
                    kind = type(target).__name__
                    yield Stop(axis, f"its channels reach '{self._names[target]}', a {kind}, whose channels go together")
                continue
            size = self.axes[other]
            if size == 1 < width:
                continue  # one number for all channels: broadcast
            if width == 1 < size:
                continue
            yield Run(axis, other, roots, places)
            if other[1] == "out" and self.makes(other[0]) and len(set(places)) == size:
                seen.add(other[0])

    def _axis(self, item: Any) -> Axis | None:
        """What an item of a pruning group is about; None where it is no axis of a layer that we know."""
        target = item.dep.target.module
        if isinstance(target, nn.Parameter):
            name = self._parameters.get(id(target))
            return (name, "out") if name in self.bare else None
        if self._names.get(target) == OUTPUT:
            return (OUTPUT, "in") if not self.graph.is_out_channel_pruning_fn(item.dep.handler) else None
        found = self._names.get(target)
        if found == IMAGE:
            return IMAGE, "out"
        if found is None or found not in self.modules:
            return None
        out = self.graph.is_out_channel_pruning_fn(item.dep.handler) or len(sides_of(target)) == 1
        return found, "out" if out else "in"

    def units(self) -> Iterator[tuple[list[Axis], int]]:
        """Axes whose channels go together in so many equal runs: those of group norms and of grouped convolutions."""
        for name in self._order:
            module = self.modules[name]
            if isinstance(module, nn.GroupNorm):
                yield [(name, "out")], int(module.num_groups)
            elif int(getattr(module, "groups", 1)) > 1:
                yield [(name, "in"), (name, "out")], int(module.groups)


def sides_of(module: nn.Module) -> Mapping[str, tuple[str, ...]]:
    """``{side: the attributes that say how many channels it has there}`` of a stock layer, or of one with ``AXES`` of its own.

    None for a layer of someone's own that does not state both sides; a PReLU of one number has no channels.
    """
    if _of_one_number(module):
        return {}
    named = dict.fromkeys(name for attributes in declared_axes(module).values() for name in attributes if name is not None)
    reads = tuple(name for name in named if name.startswith("in_"))
    writes = tuple(name for name in named if not name.startswith("in_"))
    if reads and writes:
        return {"in": reads, "out": writes}
    return {"out": writes} if writes and stock_kind(module) is not None else {}


def _of_one_number(module: nn.Module) -> bool:
    """Whether it is a PReLU that treats all channels alike."""
    return isinstance(module, nn.PReLU) and module.num_parameters == 1


def _differentiable(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose own constants are parameters, too: the graph is seen by differentiation."""
    copied = copy.deepcopy(model).eval().requires_grad_(True)
    for module in copied.modules():
        if not _standard(module):
            stock = stock_kind(module)
            for name, buffer in list(module.named_buffers(recurse=False)):
                if buffer.is_floating_point() and (stock is None or name not in AXES[stock]):
                    delattr(module, name)
                    module.register_parameter(name, nn.Parameter(buffer))
    return copied


def _between(model: nn.Module, example: Tensor) -> nn.Module:
    """The model between two layers that make the image and read the image."""
    with torch.no_grad():
        output = model(example)
    channels, out_channels = example.shape[1], output.shape[1]
    return nn.Sequential(
        OrderedDict({IMAGE: nn.Conv2d(channels, channels, 1), NET: model, OUTPUT: nn.Conv2d(out_channels, out_channels, 1)})
    )


def _bare_parameters(model: nn.Module, layers: Mapping[str, nn.Module]) -> dict[str, tuple[str, str, int]]:
    """``{parameter: (its module, its name there, its axis)}`` of those in no known layer that have one axis of channels."""
    found = {}
    for name, parameter in model.named_parameters():
        owner, _, tensor = name.rpartition(".")
        long = [axis for axis, length in enumerate(parameter.shape) if length > 1]
        if owner not in layers and not _standard(model.get_submodule(owner)) and len(long) == 1:
            found[name] = (owner, tensor, long[0])
    return found


def _standard(module: nn.Module) -> bool:
    """Whether the layer is one of torch's own: what its parameters mean is not for us to guess."""
    return type(module).__module__.startswith("torch.nn.modules")


def _declared_pruners(layers: Any) -> dict[type[nn.Module], Any]:
    """How the graph treats layers whose author declared their axes."""
    from torch_pruning.pruner.function import BasePruningFunc

    class Declared(BasePruningFunc):  # type: ignore[misc]
        def prune_out_channels(self, layer: nn.Module, idxs: Any) -> nn.Module:
            return layer

        def prune_in_channels(self, layer: nn.Module, idxs: Any) -> nn.Module:
            return layer

        def get_out_channels(self, layer: nn.Module) -> int:
            return int(getattr(layer, sides_of(layer)["out"][0]))

        def get_in_channels(self, layer: nn.Module) -> int:
            return int(getattr(layer, sides_of(layer)["in"][0]))

    return {type(layer): Declared() for layer in layers if stock_kind(layer) is None}
