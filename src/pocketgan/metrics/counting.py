"""Positions of each layer and all multiplications of a forward on the meta device."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten
from torch.utils.flop_counter import flop_registry

from pocketgan.core.dims import NORMS, channel_map, named_tensors, set_widths_, widths_of

Shapes = Sequence[tuple[int, ...]]


def counts(model: nn.Module, shapes: Shapes) -> Callable[[Mapping[str, int]], int]:
    """MACs that torch counts in a forward, as a function of the widths.

    All lengths of its operands are linear in the widths: one forward for each group shows their growth, and no forward at
    other widths is needed.
    """
    whole = widths_of(model)
    base = _multiplied(model, shapes, whole)
    wider = {group: _multiplied(model, shapes, {**whole, group: width + 1}) for group, width in whole.items()}

    changed = {g: {k for k, one in enumerate(base) if other[k].lengths != one.lengths} for g, other in wider.items()}
    alone = [product.flops([]) for product in base]

    def count(widths: Mapping[str, int]) -> int:
        moved = {group: widths[group] - width for group, width in whole.items() if widths[group] != width}
        touched = set[int]().union(*(changed[group] for group in moved))
        gained = sum(base[k].flops([(more, wider[g][k]) for g, more in moved.items()]) - alone[k] for k in touched)
        return (sum(alone) + gained) // 2

    return count


class _Product(NamedTuple):
    """Operation that torch has a formula for."""

    formula: Callable[..., int]
    lengths: list[Any]
    """Flattened arguments and output, with tensors replaced by their shapes."""
    layout: Any
    """Nesting of ``lengths``."""

    def flops(self, moved: Sequence[tuple[int, _Product]]) -> int:
        """FLOPs when every integer has moved ``times`` its difference to the same one of ``other``, for all pairs."""
        row = list(self.lengths)
        for times, other in moved:
            for k, (old, new) in enumerate(zip(self.lengths, other.lengths, strict=True)):
                if type(old) is int and old != new:
                    row[k] += times * (new - old)
        args, kwargs, out = tree_unflatten(row, self.layout)
        return int(self.formula(*args, **kwargs, out_val=out))


def _multiplied(model: nn.Module, shapes: Shapes, widths: Mapping[str, int]) -> list[_Product]:
    """Products of a forward at those widths, in order."""
    table = channel_map(model)
    lengths = {name: {axis: int(dim.resized(widths)) for axis, dim in axes.items()} for name, axes in table.items()}
    shell = _on_meta(model, lengths)
    set_widths_(shell, widths)
    return _counted(shell, shapes)


def positions_in(model: nn.Module, shapes: Shapes) -> tuple[dict[str, tuple[int, int]], int]:
    """``{layer: (input positions, output positions)}``, summed over its calls, and the MACs that torch counts."""
    positions: dict[str, tuple[int, int]] = {}

    def recorder(name: str) -> Any:
        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            places = slice(1, -1) if isinstance(module, nn.Linear) else slice(2, None)
            ins, outs = positions.get(name, (0, 0))
            positions[name] = (ins + prod(inputs[0].shape[places]), outs + prod(output.shape[places]))

        return record

    shell = _on_meta(model)
    for name, module in shell.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, *NORMS)):
            module.register_forward_hook(recorder(name))
        if type(module) in (*NORMS, nn.ReLU, nn.LeakyReLU):  # torch itself takes longer for their shapes than for the rest
            module.forward = partial(_kept, module)
    return positions, sum(product.flops([]) for product in _counted(shell, shapes)) // 2


def _on_meta(model: nn.Module, lengths: Mapping[str, Mapping[int, int]] = MappingProxyType({})) -> nn.Module:
    """Copy of the network without values; ``lengths``: ``{tensor: {axis: other length}}``."""
    memo = {}
    for name, tensor in named_tensors(model):
        changed = lengths.get(name, {})
        shape = [changed.get(axis, length) for axis, length in enumerate(tensor.shape)]
        empty = torch.empty(shape, dtype=tensor.dtype, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(model, memo)


def _counted(shell: nn.Module, shapes: Shapes) -> list[_Product]:
    """Products of a forward on the meta device."""
    dtype = next((tensor.dtype for tensor in shell.parameters() if tensor.is_floating_point()), torch.float32)
    inputs = (torch.empty(shape, device="meta", dtype=dtype) for shape in shapes)
    # Under inference mode torch would not decompose operations into those that it has formulas for.
    counter = _Counter()
    with torch.inference_mode(False), torch.no_grad(), counter:
        shell(*inputs)
    return counter.products


class _Counter(TorchDispatchMode):
    """Counter with the formulas of ``FlopCounterMode``, but without its slow tracking of modules."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[_Product] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler first, which takes two seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.pointwise in func.tags and not func._schema.is_mutable:
            return _broadcast(args)  # torch itself takes longer for this than for all the rest
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            sides = tree_map_only(Tensor, lambda tensor: list(tensor.shape), (args, kwargs or {}, out))
            self.products.append(_Product(formula, *tree_flatten(sides)))
        return out


def _broadcast(args: Sequence[Any]) -> Tensor:
    """Output of an elementwise operation of those tensors, without values."""
    tensors = [value for value in args if isinstance(value, Tensor)]
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))  # type: ignore[no-untyped-call]
    return tensors[0].new_empty(shape)


def _kept(module: nn.Module, input: Tensor) -> Tensor:
    # torch refuses some norms of one position: a size that is too small must raise here, too.
    return input if prod(input.shape[2:]) > 1 else type(module).forward(module, input)
