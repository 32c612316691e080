"""What torch counts in a forward without values: how often each layer works, and all multiplications."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pocketgan.core.dims import NORMS, channel_map, named_tensors, own_tensors, set_widths_

Shapes = Sequence[tuple[int, ...]]


def counted_at(model: nn.Module, shapes: Shapes, widths: Mapping[str, int]) -> int:
    """The MACs that torch counts in a forward at other widths."""
    table = channel_map(model)
    empty = {
        id(tensor): _meta(tensor, {axis: int(dim.resized(widths)) for axis, dim in table.get(name, {}).items()})
        for name, tensor in named_tensors(model)
    }
    shell = copy.deepcopy(model, empty)
    set_widths_(shell, widths)
    with _counting() as counted:
        shell(*_empty(shell, shapes))
    return int(counted.flops // 2)


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
    with torch.inference_mode(False), torch.no_grad(), _Counted() as counted:  # type: ignore[no-untyped-call]
        yield counted


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts as ``FlopCounterMode`` does, by torch's own formulas, but does not follow which module runs: that takes time."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


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
