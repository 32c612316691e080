"""Corrections of Torch-Pruning's dependency graph: softmax, GLU, pixel shuffle and views.

The graph takes the first three for element-wise operations and every view for a flattening.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

IndexMapping = Callable[[list[Any]], list[Any]]
"""From indices of channels (each with its channel of the root layer) to the indices on the other side of an operation."""


class OutputShapes(TorchFunctionMode):
    """Record of the output shape of every operation, which autograd's graph does not have: ``{gradient function: shape}``."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: dict[Any, torch.Size] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation and record its output shape."""
        output = func(*args, **(kwargs or {}))
        if isinstance(output, Tensor) and output.grad_fn is not None:
            self.shapes[output.grad_fn] = output.shape
        return output


def amend_(graph: Any, shapes: dict[Any, torch.Size]) -> set[Any]:
    """Correct the graph in place: a softmax ends channels, GLU and pixel shuffle regroup them, most views keep them.

    Return the views that rearrange channels (heads, a channel shuffle): the graph ends there.
    """
    from torch_pruning.dependency.index_mapping import _FlattenIndexMapping
    from torch_pruning.ops import OPTYPE

    opaque = set()
    for node in list(graph.module2node.values()):
        call = node.grad_fn
        kind = call.name() if hasattr(call, "name") else ""
        if "SoftmaxBackward" in kind:
            _disconnect_(node)
        elif kind.startswith("PixelShuffle"):
            repeat = call._saved_upscale_factor**2
            _map_inputs_(node, _FlattenIndexMapping(repeat, reverse=True), _FlattenIndexMapping(repeat))
        elif kind.startswith("PixelUnshuffle"):
            repeat = call._saved_downscale_factor**2
            _map_inputs_(node, _FlattenIndexMapping(repeat), _FlattenIndexMapping(repeat, reverse=True))
        elif kind.startswith("GluBackward"):
            _map_glu_(node)
        elif node.type == OPTYPE.RESHAPE and len(shapes.get(call, ())) > 2:
            node.type = OPTYPE.ELEMENTWISE  # so that the graph does not map the indices once more, as if flattened
            _map_inputs_(node, None, None)
            for other in node.outputs:
                _map_(node, other, None, None)
            if not _keeps_channels(call, shapes[call]):
                node.dependencies = []
                opaque.add(node.module)
    return opaque


def _disconnect_(node: Any) -> None:
    for other in (*node.inputs, *node.outputs):
        other.dependencies = [dependency for dependency in other.dependencies if dependency.target is not node]
    node.dependencies = []


def _map_glu_(node: Any) -> None:
    """Let output channel i of a GLU belong to input channels i and i + n."""
    shape = node.grad_fn._saved_self.shape
    axis = node.grad_fn._saved_dim % 2**64
    axis = axis - 2**64 if axis >= 2**63 else axis
    if axis % len(shape) != (1 if len(shape) == 4 else len(shape) - 1):
        return  # the GLU halves the image, not its channels
    half = shape[axis] // 2

    def forward(indices: list[Any]) -> list[Any]:
        return _unique(type(index)(idx=index.idx % half, root_idx=index.root_idx) for index in indices)

    def backward(indices: list[Any]) -> list[Any]:
        both = ((index, index.idx + k * half) for k in (0, 1) for index in indices)
        return _unique(type(index)(idx=place, root_idx=index.root_idx) for index, place in both)

    _map_inputs_(node, forward, backward)


def _unique(indices: Iterable[Any]) -> list[Any]:
    """The indices without duplicates, which the graph would follow again and again."""
    return list({(index.idx, index.root_idx): index for index in indices}.values())


def _keeps_channels(call: Any, after: torch.Size) -> bool:
    """True if a view of N x C x ..., or of N x ... x C, only rearranges positions."""
    before = tuple(getattr(call, "_saved_self_sym_sizes", ()))
    tokens = min(len(before), len(after)) < 4
    vector = sum(length > 1 for length in before) == sum(length > 1 for length in after) == 1
    return not before or vector or before[:2] == tuple(after[:2]) or (tokens and before[-1] == after[-1])


def _map_inputs_(node: Any, forward: IndexMapping | None, backward: IndexMapping | None) -> None:
    for other in node.inputs:
        _map_(other, node, forward, backward)


def _map_(first: Any, second: Any, forward: IndexMapping | None, backward: IndexMapping | None) -> None:
    for source, target, mapping in ((first, second, forward), (second, first, backward)):
        for dependency in source.dependencies:
            if dependency.target is target:
                dependency.index_mapping[0] = mapping
