"""Gates: multipliers on channels, after the norm, that can close a channel without removing it.

A gate is a child module of the layer whose output it scales, applied by a module-level hook: it lies in ``state_dict``,
survives ``deepcopy``, compile and export, and shifts no name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.core.dims import NORMS, Dim, axes_of, is_depthwise, written_by
from pocketgan.pruning.selection import Selection, check_selection, positions


class GateSite(NamedTuple):
    """Where a gate can sit."""

    module: str
    """Name of the module whose output the gate scales: the norm, or the convolution where there is none."""
    producer: str
    """Name of the layer that made the channels."""
    dim: Dim
    """The channels."""
    carrier: bool
    """The layer passes the channels of its input on (depthwise, say): it follows the group, it does not decide for it."""


class Gate(nn.Module):
    """y = x * mask, one number a channel, in [0, 1] (DMAD, section III-B, placed after the norm: there is no way round
    an instance norm, which would cancel a mask before it)."""

    AXES = {"mask": ("channels",)}  # noqa: RUF012

    def __init__(self, dim: Dim):
        """``over``: what it scales."""
        super().__init__()
        self.dim, self.channels = dim, self.gated_dim(dim)
        self.register_buffer("mask", torch.ones(self.channels))
        self.mask: Tensor

    @staticmethod
    def gated_dim(dim: Dim) -> Dim:
        """What has a number of its own in the mask: here every place, in a gate that is learnt every channel of a group."""
        return dim

    def factors(self) -> Tensor:
        """By how much each place is scaled."""
        return self.mask

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W, scaled a channel."""
        return x * self.factors()[:, None, None]


def expand_to_channels(values: Tensor, dim: Dim) -> Tensor:
    """One number a channel of each group (``over.units``) to one a place: a channel may fill several of them."""
    units = dim.units
    if units.parts == dim.parts:
        return values
    own = dict(zip(units.groups, torch.split(values, [width for _, width, _ in units.parts]), strict=True))
    return torch.cat([own[group].repeat_interleave(each) for group, _, each in dim.parts])


def reduce_to_groups(values: Tensor, dim: Dim) -> Tensor:
    """The mean over the places that each channel of the one group fills: the way back from `spread`."""
    assert len(dim.units.parts) == 1, dim
    pieces = torch.split(values, [width * each for _, width, each in dim.parts])
    means = [piece.view(width, each).mean(1) for piece, (_, width, each) in zip(pieces, dim.parts, strict=True)]
    return torch.stack(means).mean(0)


def gate_sites(model: nn.Module) -> list[GateSite]:
    """Every place for a gate, in the order of the modules. Layers whose channels are fixed (the head) have none."""
    found = []
    for name, module in model.named_modules():
        declared: Mapping[str, str] = getattr(module, "GATES", {})
        for seat, producer in declared.items():
            layer = module.get_submodule(producer)
            carries = is_depthwise(layer) or isinstance(layer, NORMS) or getattr(layer, "PASS_THROUGH", False)
            dim = written_by(layer)
            if dim is not None:
                path = (f"{name}.{seat}".strip("."), f"{name}.{producer}".strip("."))
                found.append(GateSite(*path, dim, carries))
    return found


def add_gates_(model: nn.Module, make: Callable[[GateSite], Gate] | None = None) -> dict[str, Gate]:
    """Put a gate (``make(seat)``, else an open one) on every seat that has none, in place; ``{seat module: Gate}``."""
    gates = {}
    for seat in gate_sites(model):
        module = model.get_submodule(seat.module)
        if not hasattr(module, "gate"):
            module.gate = Gate(seat.dim) if make is None else make(seat)
            module.register_forward_hook(_apply_gate)
        gates[seat.module] = module.gate
    return gates  # type: ignore[return-value]


def fold_(layer: nn.Module, factors: Tensor) -> None:
    """Multiply what ``layer`` gives by ``factors`` (C), for good: into a norm's scale and shift, or a filter and its bias.

    Raises ``ValueError`` for a norm without a scale: nothing before it can scale what leaves it (`affine_norms`).
    """
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if weight is None:
        raise ValueError(f"{type(layer).__name__} has no scale to fold a gate into: give it one first")
    with torch.no_grad():
        if isinstance(layer, nn.ConvTranspose2d):  # its filters lie by what they read: in x (out / groups) x taps
            weight.unflatten(0, (int(layer.groups), -1)).mul_(factors.view(int(layer.groups), 1, -1, 1, 1))
        else:
            axis = next((axis for axis, dim in axes_of(layer).get("weight", {}).items() if dim is written_by(layer)), 0)
            weight.movedim(axis, 0).mul_(factors.view([-1, *[1] * (weight.ndim - 1)]))
        if bias is not None:
            bias.mul_(factors)


def remove_gates_(model: nn.Module) -> None:
    """Take every gate away, in place; what they scaled is whole again."""
    for module in model.modules():
        if isinstance(getattr(module, "gate", None), Gate):
            del module.gate
            for key in [key for key, hook in module._forward_hooks.items() if hook is _apply_gate]:
                del module._forward_hooks[key]


def ungated(model: nn.Module) -> nn.Module:
    """A copy without gates: what costs are counted on, as a gate's own parameters are folded away in the end."""
    plain = copy.deepcopy(model)
    remove_gates_(plain)
    return plain


def close_gates_(model: nn.Module, selection: Selection) -> None:
    """Set every gate, in place: 1 for the selected channels, 0 for the others; carriers follow their group.

    Raises ``ValueError`` as `check_selection` does.
    """
    check_selection(model, selection)
    for gate in add_gates_(model).values():
        kept = positions(gate.channels, selection)
        gate.mask.fill_(1 if kept is None else 0)
        if kept is not None:
            gate.mask[kept] = 1


def _apply_gate(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    if isinstance(module, nn.Linear):  # channels last
        return module.gate(output[..., None, None])[..., 0, 0]  # type: ignore[operator, no-any-return]
    return module.gate(output)  # type: ignore[operator, no-any-return]
