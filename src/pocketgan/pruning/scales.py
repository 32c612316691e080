"""Learnable scales, one per channel and producer: the scale of the norm where there is one, else a gate."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim
from pocketgan.core.spec import spec_of
from pocketgan.pruning.gate import (
    Gate,
    GateSite,
    add_gates_,
    can_learn,
    expand_to_channels,
    fold_,
    gate_sites,
    reduce_to_groups,
    remove_gates_,
)
from pocketgan.pruning.importance import Scores


def affine_norms(model: nn.Module) -> nn.Module:
    """Return the same function with a scale of 1 and a shift of 0 on every norm, if the spec of the model says ``instance``.

    Any other model is returned unchanged. The new spec says ``instance_affine``, so learned scales are saved and exported
    like other weights.
    """
    spec = spec_of(model)
    if getattr(spec, "norm", None) != "instance":
        return model
    affine = dataclasses.replace(spec, norm="instance_affine").build(device="meta").to_empty(device="cpu")  # type: ignore[call-arg]
    old = model.state_dict()
    new = {
        name: torch.full_like(tensor, name.endswith("weight"))
        for name, tensor in affine.state_dict().items()
        if name not in old
    }
    affine.load_state_dict({**new, **old})
    return affine.train(model.training)


class ScaleGate(Gate):
    """Gate with a learned factor per channel, of any sign and size."""

    AXES = {"scale": ("channels",), "mask": ("channels",)}  # noqa: RUF012
    learned = True

    def __init__(self, dim: Dim):
        super().__init__(dim)
        self.scale = nn.Parameter(torch.ones(int(self.channels)))

    def factors(self) -> Tensor:
        return expand_to_channels(self.mask * self.scale, self.dim)


def add_scales_(model: nn.Module, *, everywhere: bool = False) -> None:
    """Give every producer without a norm scale a scale of 1, in place; with ``everywhere``, give one to every producer.

    Layers that pass channels on (depthwise layers) or have no weight to fold into follow their group.
    """

    def make_gate(site: GateSite) -> Gate:
        scaled = _has_scale(model.get_submodule(site.module)) and not everywhere
        return ScaleGate(site.dim) if can_learn(model, site) and not scaled else Gate(site.dim)

    add_gates_(model, make_gate)


def scales(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """``{group: scale of each producer}``: of its gate (one value per channel), else of its norm (one per position)."""
    return {group: [scale for scale, _ in found] for group, found in _scales_with_dims(model).items()}


def _scales_with_dims(model: nn.Module) -> dict[str, list[tuple[nn.Parameter, Dim]]]:
    found: dict[str, list[tuple[nn.Parameter, Dim]]] = {}
    for site in gate_sites(model):
        layer = model.get_submodule(site.module)
        gate = getattr(layer, "gate", None)
        if isinstance(gate, ScaleGate):
            found.setdefault(site.dim.groups[0], []).append((gate.scale, gate.channels))
        elif not site.pass_through and _has_scale(layer):
            found.setdefault(site.dim.groups[0], []).append((layer.weight, site.dim))  # type: ignore[arg-type]
    return found


def _magnitude(scale: nn.Parameter, dim: Dim) -> Tensor:
    """|scale| of each channel of the group."""
    return reduce_to_groups(scale.detach().double().cpu().abs(), dim)


def mean_scales(model: nn.Module) -> Scores:
    """``{group: mean |scale| over its producers}``: all producers of a shared channel count (GCC's rule for ResNets)."""
    return {
        group: torch.stack([_magnitude(*scale) for scale in found]).mean(0) for group, found in _scales_with_dims(model).items()
    }


def first_scales(model: nn.Module) -> Scores:
    """``{group: |scale| of its first producer}``: CAT's search set, in which a residual stream is scored at its start."""
    return {group: _magnitude(*found[0]) for group, found in _scales_with_dims(model).items()}


def check_scales(scores: Scores) -> Scores:
    """Return the scores. Raises ``ValueError`` if all scales of the network are equal: nothing has been learned."""
    values = torch.cat(list(scores.values()))
    if bool((values == values[0]).all()):
        raise ValueError(f"all {len(values)} scales are {float(values[0]):g} and rank no channel: train them first")
    return scores


def fold_scales_away_(model: nn.Module) -> None:
    """Fold the scales of gates into the layers below them, and remove the gates."""
    for site in gate_sites(model):
        layer = model.get_submodule(site.module)
        gate = getattr(layer, "gate", None)
        if isinstance(gate, ScaleGate):
            fold_(layer, expand_to_channels(gate.scale.detach(), gate.dim))
    remove_gates_(model)


def _has_scale(layer: nn.Module) -> bool:
    """True if the layer is a norm with a scale."""
    weight = getattr(layer, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim == 1
