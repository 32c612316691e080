"""Torch-Pruning's dependency graph of a foreign network, as statements about its channels."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.core.dims import AXES, NORMS, declared_axes, stock_kind
from pocketgan.core.hooks import forward_hooks
from pocketgan.foreign.amend import OutputShapes, amend_

Axis = tuple[str, str]
"""A layer (or bare parameter) and its side: ``in`` or ``out``; norms and the like have only ``out``."""

IMAGE, NET, OUTPUT = "<image>", "net", "<output>"
MAKES_IMAGE = "its channels are the image's"


class Coupling(NamedTuple):
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
    """Couplings between the channels of ``model``, traced on ``example`` (N x C x H x W).

    The model is put between a layer that makes the image and a layer that reads the output, so that it has no loose end.
    """

    def __init__(self, model: nn.Module, example: Tensor):
        self.model = model = _differentiable(model)
        self.modules = {name: module for name, module in model.named_modules() if sides_of(module)}
        self.bare = _bare_parameters(model, self.modules)
        """``{bare parameter: (its module, its name there, its axis of channels)}``."""
        closed = _between_layers(model, example)
        self._names = {module: name.removeprefix(f"{NET}.") for name, module in closed.named_modules()}
        self._parameters = {id(parameter): name for name, parameter in model.named_parameters()}
        self._order: list[str] = []
        self._norm_inputs: dict[str, list[Any]] = {}
        self._output_shapes: dict[str, tuple[int, ...]] = {}
        self.graph = self._build(closed, example)
        ends = {(IMAGE, "out"): example.shape[1], (OUTPUT, "in"): closed.get_submodule(OUTPUT).in_channels}
        self.axes: dict[Axis, int] = {axis: int(size) for axis, size in ends.items()}  # type: ignore[arg-type]
        """Number of channels of each axis, from input to output."""
        for name in self._order:
            module = self.modules[name]
            self.axes |= {(name, side): int(getattr(module, names[0])) for side, names in sides_of(module).items()}
        self.axes |= {(name, "out"): model.get_parameter(name).shape[axis] for name, (_, _, axis) in self.bare.items()}
        self.followed = {norm: producer for norm in self._norm_inputs if (producer := self._producer(norm)) is not None}
        """``{norm: the layer whose output it reads, alone and nothing else}``, seen through crops."""

    def _build(self, closed: nn.Module, example: Tensor) -> Any:
        """The graph; hooks record the order of layers and the inputs of norms."""
        from torch_pruning.dependency import DependencyGraph

        graph, shapes, modules = DependencyGraph(), OutputShapes(), self.modules.items()
        owners = {owner for owner, *_ in self.bare.values()}
        outputs = [(self.model.get_submodule(owner), partial(self._record_shape, owner)) for owner in owners]
        runs = [(module, partial(self._record_run, name)) for name, module in modules]
        norms = [(module, partial(self._record_input, name)) for name, module in modules if isinstance(module, NORMS)]
        with forward_hooks([*outputs, *runs]), forward_hooks(norms, before=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.enable_grad(), shapes:
                graph.build_dependency(
                    closed,
                    (example,),
                    unwrapped_parameters=[(self.model.get_parameter(name), axis) for name, (*_, axis) in self.bare.items()],
                    customized_pruners=_declared_pruners(self.modules.values()),
                    verbose=False,
                )
        self._opaque = amend_(graph, shapes.shapes)
        return graph

    def _record_run(self, name: str, module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        if name not in self._order:
            self._order.append(name)
        return output.clone() if output._is_view() else None  # writes into a view would hide the layer that made it

    def _record_shape(self, owner: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not any(True for _ in module.children()):
            self._output_shapes[owner] = tuple(output.shape)

    def _record_input(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._norm_inputs.setdefault(name, []).append(inputs[0].grad_fn)

    def _producer(self, norm: str) -> str | None:
        nodes = {node.grad_fn: node for node in self.graph.module2node.values()}
        node = nodes.get(self._norm_inputs[norm][0]) if len(self._norm_inputs[norm]) == 1 else None
        while node is not None and len(set(node.outputs)) == 1:
            name = self._names.get(node.module)
            if name in self.modules:
                return name if not isinstance(node.module, (*NORMS, nn.PReLU)) else None
            crop = type(node.module).__name__ == "_SliceOp" and node.module.dim in (2, 3)
            node = node.inputs[0] if crop and len(node.inputs) == 1 else None
        return None

    def makes_channels(self, name: str, *, in_groups: bool = False) -> bool:
        """True if each output channel of a layer depends on all its input channels, or on those of its group."""
        module = self.modules.get(name)
        if module is None or len(sides_of(module)) != 2:
            return False
        return _groups(module) == 1 or (in_groups and _groups(module) != module.out_channels)

    def producers(self) -> Iterator[str]:
        """The layers that make channels, in the order in which they run."""
        yield from (name for name in self._order if self.makes_channels(name, in_groups=True))

    def gate_after(self, name: str) -> str | None:
        """The module of a bare parameter if a gate must follow, as the parameter may revive closed channels of a map."""
        owner, _, axis = self.bare[name]
        shape = self._output_shapes.get(owner, ())
        channels = self.model.get_parameter(name).shape[axis]
        return owner if owner and len(shape) == 4 and shape[1] == channels else None

    def couplings(self) -> Iterator[Coupling | Stop]:
        """Every statement of the graph."""
        yield Stop((IMAGE, "out"), "its channels meet the image's")
        yield Stop((OUTPUT, "in"), MAKES_IMAGE)
        covered: set[str] = set()
        for name in [IMAGE, *self.producers()]:
            if name not in covered:
                yield from self._couplings_of(name, covered)

    def _couplings_of(self, name: str, covered: set[str]) -> Iterator[Coupling | Stop]:
        axis: Axis = (name, "out")
        width = self.axes[axis]
        layer = next(module for module, path in self._names.items() if path == name)
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
                    parameter = self._parameters.get(id(target))
                    yield Stop(axis, f"its channels meet the bare parameter '{parameter}': declare its AXES")
                elif isinstance(target, nn.Module) and target in self._names and not _has_one_slope(target):
                    kind = type(target).__name__
                    yield Stop(axis, f"its channels reach '{self._names[target]}', a {kind}, whose channels go together")
                continue
            size = self.axes[other]
            if 1 in (width, size) and width != size:
                continue  # broadcast
            yield Coupling(axis, other, roots, places)
            if other[1] == "out" and self.makes_channels(other[0]) and len(set(places)) == size:
                covered.add(other[0])

    def _axis(self, item: Any) -> Axis | None:
        """The axis of an item of a pruning group; None if it is no axis of a known layer."""
        target = item.dep.target.module
        if isinstance(target, nn.Parameter):
            name = self._parameters.get(id(target))
            return (name, "out") if name in self.bare else None
        name, out = self._names.get(target), self.graph.is_out_channel_pruning_fn(item.dep.handler)
        if name == OUTPUT:
            return None if out else (OUTPUT, "in")
        if name == IMAGE:
            return IMAGE, "out"
        if name is None or name not in self.modules:
            return None
        return name, "out" if out or len(sides_of(target)) == 1 else "in"

    def units(self) -> Iterator[tuple[list[Axis], int]]:
        """Axes with the number of equal runs of channels that go together: of group norms and of grouped convolutions."""
        for name in self._order:
            module = self.modules[name]
            if isinstance(module, nn.GroupNorm):
                yield [(name, "out")], int(module.num_groups)
            elif _groups(module) > 1:
                yield [(name, "in"), (name, "out")], _groups(module)


def _groups(module: nn.Module) -> int:
    return int(getattr(module, "groups", 1))


def sides_of(module: nn.Module) -> Mapping[str, tuple[str, ...]]:
    """``{side: the attributes with its number of channels}`` of a stock layer, or of a layer with ``AXES`` of its own.

    Empty for a custom layer that does not state both sides, and for a PReLU of one number, which has no channels.
    """
    if _has_one_slope(module):
        return {}
    names = dict.fromkeys(name for attributes in declared_axes(module).values() for name in attributes if name is not None)
    reads = tuple(name for name in names if name.startswith("in_"))
    writes = tuple(name for name in names if not name.startswith("in_"))
    if reads and writes:
        return {"in": reads, "out": writes}
    return {"out": writes} if writes and stock_kind(module) is not None else {}


def _has_one_slope(module: nn.Module) -> bool:
    """True for a PReLU with one number for all channels."""
    return isinstance(module, nn.PReLU) and module.num_parameters == 1


def _differentiable(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose own constants are parameters, too: the graph follows gradients."""
    copied = copy.deepcopy(model).eval().requires_grad_(True)
    for module in copied.modules():
        if not _is_torch_layer(module):
            stock = stock_kind(module)
            for name, buffer in list(module.named_buffers(recurse=False)):
                if buffer.is_floating_point() and (stock is None or name not in AXES[stock]):
                    delattr(module, name)
                    module.register_parameter(name, nn.Parameter(buffer))
    return copied


def _between_layers(model: nn.Module, example: Tensor) -> nn.Module:
    """The model between a convolution that makes the image and a convolution that reads the output."""
    with torch.no_grad():
        output = model(example)
    first, last = (nn.Conv2d(tensor.shape[1], tensor.shape[1], 1) for tensor in (example, output))
    return nn.Sequential(OrderedDict({IMAGE: first, NET: model, OUTPUT: last}))


def _bare_parameters(model: nn.Module, layers: Mapping[str, nn.Module]) -> dict[str, tuple[str, str, int]]:
    """``{parameter: (its module, its name there, its axis)}`` of parameters in no known layer with one axis of channels."""
    bare = {}
    for name, parameter in model.named_parameters():
        owner, _, tensor = name.rpartition(".")
        long = [axis for axis, length in enumerate(parameter.shape) if length > 1]
        if owner not in layers and not _is_torch_layer(model.get_submodule(owner)) and len(long) == 1:
            bare[name] = (owner, tensor, long[0])
    return bare


def _is_torch_layer(module: nn.Module) -> bool:
    """True for torch's own layers, whose parameters have a meaning that must not be guessed."""
    return type(module).__module__.startswith("torch.nn.modules")


def _declared_pruners(layers: Iterable[nn.Module]) -> dict[type[nn.Module], Any]:
    """Pruners for layers whose author declared their axes."""
    from torch_pruning.pruner.function import BasePruningFunc

    class Declared(BasePruningFunc):  # type: ignore[misc]
        def prune_out_channels(self, layer: nn.Module, idxs: Any) -> nn.Module:
            return layer

        def prune_in_channels(self, layer: nn.Module, idxs: Any) -> nn.Module:  # a function of its own: the graph compares them
            return layer

        def get_out_channels(self, layer: nn.Module) -> int:
            return int(getattr(layer, sides_of(layer)["out"][0]))

        def get_in_channels(self, layer: nn.Module) -> int:
            return int(getattr(layer, sides_of(layer)["in"][0]))

    return {type(layer): Declared() for layer in layers if stock_kind(layer) is None}
