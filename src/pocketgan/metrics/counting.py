"""What torch counts in a forward without values: how often each layer works, and all multiplications."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten
from torch.utils.flop_counter import flop_registry

from pocketgan.core.dims import NORMS, channel_map, named_tensors, own_tensors, set_widths_, widths_of

Shapes = Sequence[tuple[int, ...]]


def counts(model: nn.Module, shapes: Shapes) -> Callable[[Mapping[str, int]], int]:
    """The MACs that torch counts in a forward, as a function of the widths.

    All sides of what it multiplies are linear in the widths: how they grow is seen in one forward for each group, and a
    forward at other widths is not needed.
    """
    whole = widths_of(model)
    base = _multiplied(model, shapes, whole)
    wider = {group: _multiplied(model, shapes, {**whole, group: width + 1}) for group, width in whole.items()}

    apart = {g: {k for k, each in enumerate(base) if other[k].given != each.given} for g, other in wider.items()}
    alone = [each.flops([]) for each in base]

    def count(widths: Mapping[str, int]) -> int:
        moved = {group: widths[group] - width for group, width in whole.items() if widths[group] != width}
        touched = set[int]().union(*(apart[group] for group in moved))
        gained = sum(base[k].flops([(more, wider[g][k]) for g, more in moved.items()]) - alone[k] for k in touched)
        return (sum(alone) + gained) // 2

    return count


class _Product(NamedTuple):
    """One operation that torch has a formula for."""

    formula: Callable[..., int]
    given: list[Any]
    """Its arguments and what it gave, tensors by their sides, in one row."""
    layout: Any
    """Their nesting."""

    def flops(self, moved: Sequence[tuple[int, _Product]]) -> int:
        """What the formula says when every integer in it has moved as often towards that of another."""
        row = list(self.given)
        for times, other in moved:
            for k, (old, new) in enumerate(zip(self.given, other.given, strict=True)):
                if type(old) is int and old != new:
                    row[k] += times * (new - old)
        args, kwargs, out = tree_unflatten(row, self.layout)
        return int(self.formula(*args, **kwargs, out_val=out))


def _multiplied(model: nn.Module, shapes: Shapes, widths: Mapping[str, int]) -> list[_Product]:
    """All products in a forward at those widths, in their order."""
    table = channel_map(model)
    empty = {
        id(tensor): _meta(tensor, {axis: int(dim.resized(widths)) for axis, dim in table.get(name, {}).items()})
        for name, tensor in named_tensors(model)
    }
    shell = copy.deepcopy(model, empty)
    set_widths_(shell, widths)
    with _counting() as counted:
        shell(*_empty(shell, shapes))
    return counted.products


def _meta(tensor: Tensor, lengths: Mapping[int, int]) -> Tensor:
    empty = torch.empty([lengths.get(k, n) for k, n in enumerate(tensor.shape)], dtype=tensor.dtype, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def positions_in(model: nn.Module, shapes: Shapes) -> tuple[dict[str, tuple[int, int]], int]:
    """``{layer: (positions it reads, positions it writes)}`` for inputs of those shapes, summed over its calls.

    And the MACs that torch counts.
    """
    positions: dict[str, tuple[int, int]] = {}
    with _recorded(model, positions), _counting() as counted:
        functional_call(model, _on_meta(model), _empty(model, shapes), tie_weights=False)
    return positions, counted.flops // 2


def _on_meta(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor of every module once, without values.

    torch's own ties would swap those of a module of two names (a network and its parts) twice, and never bring them back.
    """
    empty = {id(tensor): torch.empty_like(tensor, device="meta") for _, tensor in named_tensors(model)}
    return {
        f"{name}.{tensor}".lstrip("."): empty[id(value)]
        for name, module in model.named_modules()
        for tensor, value in own_tensors(module)
    }


@contextmanager
def _counting() -> Iterator[_Counted]:
    # Under inference mode torch would not take its operations apart into those that there are formulas for.
    with torch.inference_mode(False), torch.no_grad(), _Counted() as counted:
        yield counted


class _Counted(TorchDispatchMode):
    """Counts as ``FlopCounterMode`` does, by torch's own formulas, but does not follow which module runs: that takes time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[_Product] = []

    @property
    def flops(self) -> int:
        """Of all of them."""
        return sum(each.flops([]) for each in self.products)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.pointwise in func.tags and not func._schema.is_mutable:
            return _alike(args)  # to find this out takes torch longer than all the rest
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            sides = tree_map_only(Tensor, lambda tensor: list(tensor.shape), (args, kwargs or {}, out))
            self.products.append(_Product(formula, *tree_flatten(sides)))
        return out


def _alike(args: Sequence[Any]) -> Tensor:
    """What an operation place by place makes of those tensors, without values."""
    tensors = [value for value in args if isinstance(value, Tensor)]
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))  # type: ignore[no-untyped-call]
    return tensors[0].new_empty(shape)


def _empty(model: nn.Module, shapes: Shapes) -> tuple[Tensor, ...]:
    """Inputs of those shapes without values, of the type that the network computes in."""
    dtype = next((tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()), torch.float32)
    return tuple(torch.empty(shape, device="meta", dtype=dtype) for shape in shapes)


@contextmanager
def _recorded(model: nn.Module, positions: dict[str, tuple[int, int]]) -> Iterator[None]:
    def hook(name: str) -> Any:
        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            places = slice(1, -1) if isinstance(module, nn.Linear) else slice(2, None)
            ins, outs = positions.get(name, (0, 0))
            positions[name] = (ins + prod(inputs[0].shape[places]), outs + prod(output.shape[places]))

        return record

    leaves = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, *NORMS)
    alike = (*NORMS, nn.ReLU, nn.LeakyReLU)
    kept = [module for module in model.modules() if type(module) in alike]
    handles = [m.register_forward_hook(hook(n)) for n, m in model.named_modules() if isinstance(m, leaves)]
    for module in kept:  # they keep the shape, but to find that out takes torch longer than all the rest
        module.forward = partial(_kept, module)
    try:
        yield
    finally:
        for module in kept:
            del module.forward
        for handle in handles:
            handle.remove()


def _kept(module: nn.Module, input: Tensor) -> Tensor:
    # Of one position, torch refuses some norms: that a size is too small must not go unnoticed.
    return input if prod(input.shape[2:]) > 1 else type(module).forward(module, input)
