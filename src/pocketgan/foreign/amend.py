"""What Torch-Pruning's graph takes for an operation on each element, or for a flattening, and is neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Mapping = Callable[[list[Any]], list[Any]]
"""From indices of channels (with the channels of the root that they come from) to others."""


class Shapes(TorchFunctionMode):
    """Writes down the shape of what every operation gives: the graph of gradients does not tell."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[Any, torch.Size] = {}
        """``{gradient function: shape}``."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call and write down."""
        given = func(*args, **(kwargs or {}))
        if isinstance(given, Tensor) and given.grad_fn is not None:
            self.of[given.grad_fn] = given.shape
        return given


def amend_(graph: Any, shapes: Shapes) -> set[Any]:
    """Correct the graph in place: a softmax ends channels, GLU and pixel shuffle regroup them, most views leave them be.

    Given are the views that deal channels out anew (heads, a channel shuffle): the graph goes up to there and no further.
    """
    from torch_pruning.dependency.index_mapping import _FlattenIndexMapping
    from torch_pruning.ops import OPTYPE

    opaque = set()
    for node in list(graph.module2node.values()):
        call = node.grad_fn
        kind = call.name() if hasattr(call, "name") else ""
        if "SoftmaxBackward" in kind:
            _cut_(node)
        elif kind.startswith("PixelShuffle"):
            stride = call._saved_upscale_factor**2
            _map_(node, _FlattenIndexMapping(stride, reverse=True), _FlattenIndexMapping(stride))
        elif kind.startswith("PixelUnshuffle"):
            stride = call._saved_downscale_factor**2
            _map_(node, _FlattenIndexMapping(stride), _FlattenIndexMapping(stride, reverse=True))
        elif kind.startswith("GluBackward"):
            _halve_(node)
        elif node.type == OPTYPE.RESHAPE and call in shapes.of and len(shapes.of[call]) > 2:
            node.type = OPTYPE.ELEMENTWISE  # so that the graph does not map them again, as if it were flattened
            _map_(node, None, None)
            for other in node.outputs:
                _map_between_(node, other, None, None)
            if not _keeps_channels(call, shapes):
                node.dependencies = []
                opaque.add(node.module)
    return opaque


def _cut_(node: Any) -> None:
    for other in (*node.inputs, *node.outputs):
        other.dependencies = [dependency for dependency in other.dependencies if dependency.target is not node]
    node.dependencies = []


def _halve_(node: Any) -> None:
    """Channel i of what a GLU gives comes of channel i and of channel i + n of what it reads."""
    read = node.grad_fn._saved_self.shape
    axis = node.grad_fn._saved_dim % 2**64
    axis = axis - 2**64 if axis >= 2**63 else axis
    if axis % len(read) != (1 if len(read) == 4 else len(read) - 1):
        return  # it halves the image
    half = read[axis] // 2

    def onto(indices: list[Any]) -> list[Any]:
        return _unique(type(index)(idx=index.idx % half, root_idx=index.root_idx) for index in indices)

    def back(indices: list[Any]) -> list[Any]:
        both = ((index, index.idx + k * half) for k in (0, 1) for index in indices)
        return _unique(type(index)(idx=place, root_idx=index.root_idx) for index, place in both)

    _map_(node, onto, back)


def _unique(indices: Iterable[Any]) -> list[Any]:
    """Each once: the graph walks on for as long as there is more."""
    return list({(index.idx, index.root_idx): index for index in indices}.values())


def _keeps_channels(call: Any, shapes: Shapes) -> bool:
    """Whether a view of N x C x ..., or of N x ... x C, only lays out the positions anew."""
    before, after = tuple(getattr(call, "_saved_self_sym_sizes", ())), tuple(shapes.of.get(call, ()))
    tokens = min(len(before), len(after)) < 4
    vector = sum(length > 1 for length in before) == sum(length > 1 for length in after) == 1
    return not before or vector or before[:2] == after[:2] or (tokens and before[-1] == after[-1])


def _map_(node: Any, onto: Mapping | None, back: Mapping | None) -> None:
    for other in node.inputs:
        _map_between_(other, node, onto, back)


def _map_between_(first: Any, second: Any, onto: Mapping | None, back: Mapping | None) -> None:
    for source, target, mapping in ((first, second, onto), (second, first, back)):
        for dependency in source.dependencies:
            if dependency.target is target:
                dependency.index_mapping[0] = mapping
