"""One learnable scale a channel and producer: of the norm where it has one, else a gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim
from pocketgan.pruning.gate import Gate, add_gates_, expand_to_channels, fold_, gate_sites, reduce_to_groups, remove_gates_
from pocketgan.pruning.importance import Scores


class ScaleGate(Gate):
    """A gate whose factor is learnt and may be any number."""

    AXES = {"scale": ("channels",), "mask": ("channels",)}  # noqa: RUF012

    def __init__(self, dim: Dim):
        super().__init__(dim)
        self.scale = nn.Parameter(torch.ones(int(self.channels)))

    @staticmethod
    def gated_dim(dim: Dim) -> Dim:
        """Every channel of the group."""
        return dim.units

    def factors(self) -> Tensor:
        """The scales, and the mask."""
        return expand_to_channels(self.mask * self.scale, self.dim)


def add_scales_(model: nn.Module, *, everywhere: bool = False) -> None:
    """Give every producer without a norm's scale one of its own, of 1, in place; with ``everywhere``, every producer.

    What passes channels on (depthwise layers) or has nothing to be folded into follows its group.
    """
    layers = {seat.module: model.get_submodule(seat.module) for seat in gate_sites(model)}
    add_gates_(
        model,
        lambda seat: (
            Gate(seat.dim)
            if seat.carrier or not _foldable(layers[seat.module]) or (_own_scale(layers[seat.module]) and not everywhere)
            else ScaleGate(seat.dim)
        ),
    )


def scales(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """``{group: the scale of each of its producers}``: its gate's, a number a channel, else its norm's, a number a place."""
    return {group: [scale for scale, _ in own] for group, own in _scales(model).items()}


def _scales(model: nn.Module) -> dict[str, list[tuple[nn.Parameter, Dim]]]:
    """The scales, with what they are the numbers of."""
    found: dict[str, list[tuple[nn.Parameter, Dim]]] = {}
    for seat in gate_sites(model):
        layer = model.get_submodule(seat.module)
        gate = getattr(layer, "gate", None)
        if isinstance(gate, ScaleGate):
            found.setdefault(seat.dim.groups[0], []).append((gate.scale, gate.channels))
        elif not seat.carrier and _own_scale(layer):
            found.setdefault(seat.dim.groups[0], []).append((layer.weight, seat.dim))  # type: ignore[arg-type]
    return found


def _sizes(scale: nn.Parameter, dim: Dim) -> Tensor:
    """|scale| of each channel of the group."""
    return reduce_to_groups(scale.detach().double().cpu().abs(), dim)


def mean_scales(model: nn.Module) -> Scores:
    """``{group: mean |scale| over its producers}``: a shared channel is evaluated by all of them (GCC's rule for ResNets)."""
    return {group: torch.stack([_sizes(*scale) for scale in own]).mean(0) for group, own in _scales(model).items()}


def first_scales(model: nn.Module) -> Scores:
    """``{group: |scale| of its first producer}``: CAT's search set, in which a stream is evaluated where it begins."""
    return {group: _sizes(*own[0]) for group, own in _scales(model).items()}


def check_scales(found: Scores) -> Scores:
    """The scores. Raises ``ValueError`` where all scales of the network are equal: nothing has been learnt on them."""
    every = torch.cat(list(found.values()))
    if bool((every == every[0]).all()):
        raise ValueError(f"all {len(every)} scales are {float(every[0]):g}: they say nothing; train them first")
    return found


def fold_scales_away_(model: nn.Module) -> None:
    """Fold the scales of gates into the layers below them, and take the gates away."""
    for seat in gate_sites(model):
        layer = model.get_submodule(seat.module)
        gate = getattr(layer, "gate", None)
        if isinstance(gate, ScaleGate):
            fold_(layer, expand_to_channels(gate.scale.detach(), gate.dim))
    remove_gates_(model)


def _own_scale(layer: nn.Module) -> bool:
    """Whether the layer is a norm with a scale."""
    weight = getattr(layer, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim == 1


def _foldable(layer: nn.Module) -> bool:
    return isinstance(getattr(layer, "weight", None), Tensor)
