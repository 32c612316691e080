"""Comparison of the tensors of a file with those of the network that was recognized in it, name by name, shape by shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.checkpoints import spectral
from pocketgan.checkpoints.layout import STATISTICS, Layout, Modules, may_lack, renamed
from pocketgan.core.spec import Spec, spec_of
from pocketgan.core.tensors import Faults, State
from pocketgan.utils.registry import shape_text


@dataclass(frozen=True)
class Match:
    """Correspondence of the tensors of a file and of the recognized network."""

    layout: Layout[Any]
    network: nn.Module
    """The recognized network, on the meta device."""
    state: State
    """Tensors that fill the network."""
    ours: dict[str, str]
    """``{our tensor: theirs}`` for the tensors that match; our tensors without a published name are 0."""
    faults: Faults
    """Tensors that do not match."""
    notes: list[str]
    """Tensors that were dropped or converted, in words."""

    @property
    def spec(self) -> Spec:
        """Spec of the network."""
        return spec_of(self.network)

    def words(self, family: str | None = None) -> str:
        """The network in words, of the layout's code base or another ``family``."""
        return f"{family or self.layout.family} {self.layout.network}, {self.layout.describe(self.spec)}"

    def model(self) -> nn.Module:
        """The network with these weights: on the CPU, float32, in evaluation mode."""
        model = self.network.to_empty(device="cpu")
        model.load_state_dict({name: self._value(name, tensor) for name, tensor in model.state_dict().items()})
        return model.eval()

    def _value(self, name: str, tensor: Tensor) -> Tensor:
        if name not in self.ours:
            return torch.zeros_like(tensor)
        stored = self.state[self.ours[name]]
        return stored if stored.shape == tensor.shape else stored[: len(tensor)]  # statistics of a wider network


def match_state(layout: Layout[Any], spec: Spec, state: State) -> Match:
    """Pair the tensors of ``state`` with those of the network of ``spec``; note what was dropped or converted."""
    notes: list[str] = []
    if spectral.is_spectral(state) and not layout.spectral:
        state = spectral.fold_spectral(state)
        notes.append("spectral norm folded into the weights")
    model, modules = spec.build(device="meta"), layout.modules(spec)
    if stale := _stale_statistics(model, modules, state):
        notes.append(f"dropped {len(stale)} stale instance-norm statistics")
    if unused := [name for layer in layout.unused_layers(spec) for name in state if name.startswith(f"{layer}.")]:
        notes.append(f"dropped {len(unused)} tensors of layers that never run")
    known = {*stale, *unused}
    missing, misshapen, ours, cropped, unbiased = [], [], {}, 0, 0
    for tensor, value in model.state_dict().items():
        theirs = renamed(tensor, modules)
        if theirs is None:
            assert tensor.endswith("shift.value"), f"{layout.network}: {tensor} has no published name"
            continue  # the constant of an absent branch, which the published networks do not have
        known.add(theirs)
        stored = state.get(theirs)
        if stored is None:
            if may_lack(tensor, spec, state, modules):
                unbiased += 1
            elif not tensor.endswith(".num_batches_tracked"):  # younger than some files, and without effect here
                missing.append(theirs)
        elif stored.shape == value.shape:
            ours[tensor] = theirs
        elif layout.wider_statistics and tensor.endswith(STATISTICS) and stored.ndim == 1 and len(stored) > len(value):
            ours[tensor], cropped = theirs, cropped + 1
        else:
            misshapen.append(f"{theirs} is {shape_text(stored.shape)} instead of {shape_text(value.shape)}")
    if cropped:
        notes.append(f"of {cropped} running statistics the leading ones taken, as they are a supernet's")
    if unbiased:
        notes.append("batch norms without statistics taken as instance norms, which for one image at a time they are")
    unknown = [name for name in state if name not in known]
    faults = {"missing": missing, "unknown": unknown, "of another shape": misshapen}
    return Match(layout, model, state, ours, {kind: names for kind, names in faults.items() if names}, notes)


def _stale_statistics(model: nn.Module, modules: Modules, state: State) -> list[str]:
    """Running statistics of norms that use none: stored by old PyTorch versions, without effect."""
    ours = dict(model.named_modules())
    return [
        name
        for path, theirs in modules.items()
        if isinstance(norm := ours.get(path), nn.InstanceNorm2d) and norm.running_mean is None
        for leaf in STATISTICS
        if (name := f"{theirs}.{leaf}") in state
    ]
