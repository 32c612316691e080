"""Importance: one score per channel of each group, comparable across groups (mean about 1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.dims import FIXED, Dim, is_depthwise, widths_of
from pocketgan.core.hooks import Hook, evaluation_mode, forward_hooks
from pocketgan.core.inputs import ModelInputs, run
from pocketgan.utils.registry import Registry

Scores = dict[str, Tensor]
"""``{group: float64 score of each channel}``."""

IMPORTANCES: Registry[Any] = Registry("importance")
"""``(model, images) -> Scores`` by name."""

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@IMPORTANCES.register("contribution")
def contribution(model: nn.Module, images: Iterable[ModelInputs]) -> Scores:
    """Share of a channel in the outputs of the next layers, measured on ``images`` (model inputs).

    For output o and input channel c of a layer, share = E[x_c^2] |W_oc|^2 / sum over c of the same: the part of the energy of
    the output that comes from the channel. A score is the mean share over the outputs, times the number of input channels of
    the layer, averaged over the layers that read the group. It does not depend on scale: neither a rescaling of a filter before
    a norm, nor one moved from a layer into the next, changes it (filter norms under instance norm change with both).

    Query and key of attention, which no layer reads, have a share in their product: E[q_c^2] E[var k_c], as the part that all
    positions of a key have in common does not change the softmax.
    """
    energies, qk_energies = _measured_energies(model, images)
    shares: dict[str, list[Tensor]] = {}
    for layer, dim in _reading_layers(model):
        if layer not in energies:
            continue
        energy = energies[layer] * _weight_energy(layer)
        channels = sum(part.width for part in dim.parts)  # a layer may read several positions of a channel
        share = (energy / energy.sum(1, keepdim=True).clamp_min(1e-300)).mean(0) * channels
        for group, piece in _split(share, dim):
            shares.setdefault(group, []).append(piece)
    for query, key, dim in _query_key_pairs(model):
        energy = qk_energies[query] * qk_energies[key]
        for group, piece in _split(energy / energy.sum().clamp_min(1e-300) * int(dim), dim):
            shares.setdefault(group, []).append(piece)
    return _mean_scores(model, shares)


@IMPORTANCES.register("l1")
def l1(model: nn.Module, images: Iterable[ModelInputs]) -> Scores:
    """L1 norm of the filters that produce a channel (published: GAN Compression, section 3.2), mean 1 per layer.

    It depends on scale: under instance norm the scale of a filter means nothing. Kept for comparison.
    """
    del images
    norms: dict[str, list[Tensor]] = {}
    for module in model.modules():
        dim = getattr(module, "out_channels", None)
        if isinstance(module, _LAYERS) and isinstance(dim, Dim) and not is_depthwise(module):
            axis = 1 if isinstance(module, nn.ConvTranspose2d) else 0
            norm = module.weight.detach().double().abs().transpose(0, axis).flatten(1).sum(1)
            for group, piece in _split(norm / norm.mean().clamp_min(1e-300), dim):
                norms.setdefault(group, []).append(piece)
    return _mean_scores(model, norms)


def _mean_scores(model: nn.Module, scores: dict[str, list[Tensor]]) -> Scores:
    """Mean over the layers, for every group in the order of the model; 1 for a group that no layer scores."""
    return {
        group: torch.stack(scores.get(group, [torch.ones(width).double()])).mean(0)
        for group, width in widths_of(model).items()
        if width
    }


def _reading_layers(model: nn.Module) -> Iterator[tuple[nn.Module, Dim]]:
    """Layers that mix the channels of named groups, with their input width."""
    for module in model.modules():
        dim = getattr(module, "in_channels", getattr(module, "in_features", None))
        if isinstance(module, _LAYERS) and isinstance(dim, Dim) and not is_depthwise(module):
            yield module, dim


def _query_key_pairs(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module, Dim]]:
    """Layers whose outputs are multiplied channel by channel, query and key, as declared in ``QK_PAIRS``, and their width."""
    for module in model.modules():
        for query, key in getattr(module, "QK_PAIRS", {}).items():
            dim = module.get_submodule(query).out_channels
            if isinstance(dim, Dim):
                yield module.get_submodule(query), module.get_submodule(key), dim


def _weight_energy(layer: nn.Module) -> Tensor:
    """Squared norm of each (output, input) kernel: out x in, float64."""
    weight = layer.weight.detach().double().cpu()  # type: ignore[operator]
    weight = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return weight.square().flatten(2).sum(2) if weight.ndim > 2 else weight.square()


def _split(values: Tensor, dim: Dim) -> Iterator[tuple[str, Tensor]]:
    """Values along a composed width, split by group: one value per channel."""
    start = 0
    for group, width, repeat in dim.parts:
        if group != FIXED:
            yield group, values[start : start + width * repeat].reshape(width, repeat).sum(1)
        start += width * repeat


def _measured_energies(
    model: nn.Module, images: Iterable[ModelInputs]
) -> tuple[dict[nn.Module, Tensor], dict[nn.Module, Tensor]]:
    """Mean squares by channel, ``{layer: float64}``: of the inputs of reading layers, of the outputs of queries and keys."""
    inputs_energy: dict[nn.Module, list[Tensor]] = defaultdict(list)
    outputs_energy: dict[nn.Module, list[Tensor]] = defaultdict(list)
    pairs = [pair for *pair, _ in _query_key_pairs(model)]
    keys = {key for _, key in pairs}

    def record_inputs(layer: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        x = inputs[0].double()
        channels = x.ndim - 1 if isinstance(layer, nn.Linear) else 1
        inputs_energy[layer].append(x.square().mean([axis for axis in range(x.ndim) if axis != channels]).cpu())

    def record_outputs(layer: nn.Module, inputs: object, output: Tensor) -> None:
        y = output.double().flatten(2)
        y = y - y.mean(2, keepdim=True) if layer in keys else y
        outputs_energy[layer].append(y.square().mean((0, 2)).cpu())

    hooks: list[tuple[nn.Module, Hook]] = [(layer, record_inputs) for layer, _ in _reading_layers(model)]
    hooks += [(layer, record_outputs) for pair in pairs for layer in pair]
    with evaluation_mode(model), forward_hooks(hooks), torch.inference_mode():
        for image in images:
            run(model, image)
    inputs_mean, outputs_mean = (
        {layer: torch.stack(found).mean(0) for layer, found in energies.items()} for energies in (inputs_energy, outputs_energy)
    )
    return inputs_mean, outputs_mean
