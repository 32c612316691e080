"""Gates: multipliers on channels, after the norm, that can close a channel without removing it.

A gate is a child module of the layer whose output it scales, applied by a module-level hook: it is in ``state_dict``, survives
``deepcopy``, compile and export, and changes no other name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.core.dims import NORMS, Dim, axes_of, is_depthwise, written_by
from pocketgan.pruning.selection import Selection, check_selection, positions


class GateSite(NamedTuple):
    """Position for a gate."""

    module: str
    """Name of the module whose output the gate scales: the norm, or the convolution where there is none."""
    producer: str
    """Name of the layer that writes the channels."""
    dim: Dim
    """The channels."""
    pass_through: bool
    """True if the producer passes its input channels on (a depthwise layer, say): the group decides about its channels."""


class Gate(nn.Module):
    """y = x * mask with a factor in [0, 1] per channel (DMAD, section III-B).

    Placed after the norm: an instance norm would cancel a mask before it.
    """

    AXES = {"mask": ("channels",)}  # noqa: RUF012
    learned: ClassVar[bool] = False
    """True if the mask has one factor per channel of the group instead of one per position of the output."""

    def __init__(self, dim: Dim):
        """``dim``: the scaled positions."""
        super().__init__()
        self.dim, self.channels = dim, dim.units if self.learned else dim
        self.register_buffer("mask", torch.ones(self.channels))
        self.mask: Tensor

    def factors(self) -> Tensor:
        """Factor of each position."""
        return self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Scale N x C x H x W by channel."""
        return x * self.factors()[:, None, None]


def expand_to_channels(values: Tensor, dim: Dim) -> Tensor:
    """Expand one value per channel of each group (``dim.units``) to one per position: a channel may have several positions."""
    units = dim.units
    if units.parts == dim.parts:
        return values
    by_group = dict(zip(units.groups, torch.split(values, [width for _, width, _ in units.parts]), strict=True))
    return torch.cat([by_group[group].repeat_interleave(repeat) for group, _, repeat in dim.parts])


def reduce_to_groups(values: Tensor, dim: Dim) -> Tensor:
    """Mean over the positions of each channel of a single group: the inverse of `expand_to_channels`."""
    assert len(dim.units.parts) == 1, dim
    pieces = torch.split(values, [width * repeat for _, width, repeat in dim.parts])
    means = [piece.view(width, repeat).mean(1) for piece, (_, width, repeat) in zip(pieces, dim.parts, strict=True)]
    return torch.stack(means).mean(0)


def gate_sites(model: nn.Module) -> list[GateSite]:
    """All positions for gates, in module order. Layers whose channels are fixed (the head) have none."""
    sites = []
    for name, module in model.named_modules():
        declared: Mapping[str, str] = getattr(module, "GATES", {})
        for child, producer in declared.items():
            layer = module.get_submodule(producer)
            pass_through = is_depthwise(layer) or isinstance(layer, NORMS) or getattr(layer, "PASS_THROUGH", False)
            dim = written_by(layer)
            if dim is not None:
                paths = (f"{name}.{child}".strip("."), f"{name}.{producer}".strip("."))
                sites.append(GateSite(*paths, dim, pass_through))
    return sites


def can_learn(model: nn.Module, site: GateSite) -> bool:
    """True if a gate at the site can be learned: its layer decides about its channels and has a weight to fold into."""
    return not site.pass_through and getattr(model.get_submodule(site.module), "weight", None) is not None


def add_gates_(model: nn.Module, make: Callable[[GateSite], Gate] | None = None) -> dict[str, Gate]:
    """Add a gate (``make(site)``, else an open one) to every site without one, in place; returns ``{module: Gate}``."""
    gates = {}
    for site in gate_sites(model):
        module = model.get_submodule(site.module)
        if not hasattr(module, "gate"):
            module.gate = Gate(site.dim) if make is None else make(site)
            module.register_forward_hook(_apply_gate)
        gates[site.module] = module.gate
    return gates  # type: ignore[return-value]


def fold_(layer: nn.Module, factors: Tensor) -> None:
    """Multiply the output of ``layer`` by ``factors`` (C) through its weights: scale and shift, or filter and bias.

    Raises ``ValueError`` for a norm without a scale: no earlier layer can scale its output (`affine_norms`).
    """
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if weight is None:
        raise ValueError(f"{type(layer).__name__} has no scale to fold a gate into: give it one first")
    with torch.no_grad():
        if isinstance(layer, nn.ConvTranspose2d):  # weight: in x (out / groups) x height x width
            weight.unflatten(0, (int(layer.groups), -1)).mul_(factors.view(int(layer.groups), 1, -1, 1, 1))
        else:
            axis = next((axis for axis, dim in axes_of(layer).get("weight", {}).items() if dim is written_by(layer)), 0)
            weight.movedim(axis, 0).mul_(factors.view([-1, *[1] * (weight.ndim - 1)]))
        if bias is not None:
            bias.mul_(factors)


def remove_gates_(model: nn.Module) -> None:
    """Remove every gate, in place; the scaled channels are open again."""
    for module in model.modules():
        if isinstance(getattr(module, "gate", None), Gate):
            del module.gate
            for key in [key for key, hook in module._forward_hooks.items() if hook is _apply_gate]:
                del module._forward_hooks[key]


def ungated(model: nn.Module) -> nn.Module:
    """Copy without gates, for counting costs: parameters of gates are folded away in the end."""
    plain = copy.deepcopy(model)
    remove_gates_(plain)
    return plain


def close_gates_(model: nn.Module, selection: Selection) -> None:
    """Set every gate, in place: 1 for the selected channels, 0 for the others; pass-through layers follow their group.

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
