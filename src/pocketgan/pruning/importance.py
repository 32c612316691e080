"""How much each channel matters, one score a channel and group, comparable across groups (mean about 1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.dims import FIXED, Dim, is_depthwise, widths_of
from pocketgan.core.inputs import ModelInputs, run
from pocketgan.core.registry import Registry

Scores = dict[str, Tensor]
"""``{group: float64 score of each channel}``."""

IMPORTANCES: Registry[Any] = Registry("importance")
"""``(model, images) -> Scores`` by name."""

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@IMPORTANCES.register("contribution")
def contribution(model: nn.Module, images: Iterable[ModelInputs]) -> Scores:
    """The share of a channel in what the next layers compute, measured on ``images`` (what the model reads, each).

    For output o and input channel c of a layer, share = E[x_c^2] |W_oc|^2 / sum over c of the same: the part of the
    output's energy that the channel brings. A score is the mean share over the outputs, times the number of channels the
    layer reads, averaged over the layers that read the group. It is gauge-free: neither a rescaling of a filter before a
    norm, nor one moved from a layer into the next, changes it (filter norms under instance norm change with both).

    Query and key of attention, which no layer reads, have a share in each other's products: E[q_c^2] E[var k_c], as what all
    places of a key have in common is nothing to the softmax.
    """
    energies: dict[str, list[Tensor]] = {}
    made: dict[str, list[Tensor]] = {}
    was_training = model.training
    with _recorded(model.eval(), energies), _matched(model, made), torch.inference_mode():
        for image in images:
            run(model, image)
    model.train(was_training)
    shares: dict[str, list[Tensor]] = {}
    for name, layer, dim in _readers(model):
        if name not in energies:
            continue
        energy = torch.stack(energies[name]).mean(0)
        brought = energy * _weight_energy(layer)
        channels = sum(part.width for part in dim.parts)  # a layer may read several numbers of each
        share = (brought / brought.sum(1, keepdim=True).clamp_min(1e-300)).mean(0) * channels
        for group, piece in _split(share, dim):
            shares.setdefault(group, []).append(piece)
    for query, key, dim in _query_key_pairs(model):
        brought = torch.stack(made[query]).mean(0) * torch.stack(made[key]).mean(0)
        for group, piece in _split(brought / brought.sum().clamp_min(1e-300) * int(dim), dim):
            shares.setdefault(group, []).append(piece)
    return {group: torch.stack(pieces).mean(0) for group, pieces in _all_groups(model, shares).items()}


@IMPORTANCES.register("l1")
def l1(model: nn.Module, images: Iterable[ModelInputs]) -> Scores:
    """The published score: L1 norm of the filters that make a channel (GAN Compression, section 3.2), mean 1 a layer.

    Not gauge-free: under instance norm the scale of a filter means nothing. Here for comparison.
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
    return {group: torch.stack(pieces).mean(0) for group, pieces in _all_groups(model, norms).items()}


def _all_groups(model: nn.Module, found: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
    """Every group in the model's order; one that no layer speaks for counts as average."""
    return {group: found.get(group, [torch.ones(width).double()]) for group, width in widths_of(model).items() if width}


def _readers(model: nn.Module) -> Iterator[tuple[str, nn.Module, Dim]]:
    """The layers that mix the channels of named groups, with what they read."""
    for name, module in model.named_modules():
        dim = getattr(module, "in_channels", getattr(module, "in_features", None))
        if isinstance(module, _LAYERS) and isinstance(dim, Dim) and not is_depthwise(module):
            yield name, module, dim


def _query_key_pairs(model: nn.Module) -> Iterator[tuple[str, str, Dim]]:
    """The layers whose outputs meet channel by channel, query and key, as modules say (``QK_PAIRS``), and their width."""
    for name, module in model.named_modules():
        for query, key in getattr(module, "QK_PAIRS", {}).items():
            dim = module.get_submodule(query).out_channels
            if isinstance(dim, Dim):
                yield f"{name}.{query}".lstrip("."), f"{name}.{key}".lstrip("."), dim


def _weight_energy(layer: nn.Module) -> Tensor:
    """Squared norm of each (output, input) kernel: out x in, float64."""
    weight = layer.weight.detach().double().cpu()  # type: ignore[operator]
    weight = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return weight.square().flatten(2).sum(2) if weight.ndim > 2 else weight.square()


def _split(values: Tensor, dim: Dim) -> Iterator[tuple[str, Tensor]]:
    """The values along a composed width, cut into its groups: one number a channel."""
    start = 0
    for group, width, each in dim.parts:
        if group != FIXED:
            yield group, values[start : start + width * each].reshape(width, each).sum(1)
        start += width * each


@contextmanager
def _recorded(model: nn.Module, energies: dict[str, list[Tensor]]) -> Iterator[None]:
    def hook(name: str) -> Any:
        def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].double()
            channels = x.ndim - 1 if isinstance(layer, nn.Linear) else 1
            axes = [axis for axis in range(x.ndim) if axis != channels]
            energies.setdefault(name, []).append(x.square().mean(axes).cpu())

        return record

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer, _ in _readers(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _matched(model: nn.Module, made: dict[str, list[Tensor]]) -> Iterator[None]:
    def hook(name: str, *, centered: bool) -> Any:
        def record(layer: nn.Module, inputs: object, output: Tensor) -> None:
            y = output.double().flatten(2)
            y = y - y.mean(2, keepdim=True) if centered else y
            made.setdefault(name, []).append(y.square().mean((0, 2)).cpu())

        return record

    places = [(name, name == key) for query, key, _ in _query_key_pairs(model) for name in (query, key)]
    handles = [model.get_submodule(name).register_forward_hook(hook(name, centered=centered)) for name, centered in places]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
