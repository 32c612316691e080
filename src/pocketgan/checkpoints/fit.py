"""The tensors of a file held against those of the network that was recognized in it, name by name and shape by shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pocketgan.checkpoints import spectral
from pocketgan.checkpoints.layout import STATISTICS, Layout, Modules, may_lack, renamed, sides
from pocketgan.core.reading import State
from pocketgan.core.spec import Spec, spec_of


@dataclass(frozen=True)
class Fit:
    """How the tensors of a file and those of the recognized network go together."""

    layout: Layout
    network: nn.Module
    """The one that was recognized, without tensors."""
    state: State
    """What the network is filled from."""
    ours: dict[str, str]
    """``{our tensor: theirs}`` for the tensors that fit; those that theirs does without are 0."""
    missing: list[str]
    """Names that the network needs and the file lacks."""
    unknown: list[str]
    """Names in the file that the network does not have."""
    misshapen: list[str]
    """``name is 64x32x3x3 instead of 64x16x3x3``."""
    notes: list[str]
    """What was dropped or taken in another form, in words."""

    @property
    def spec(self) -> Spec:
        """That of the network."""
        return spec_of(self.network)

    @property
    def faults(self) -> int:
        """How many tensors do not fit."""
        return len(self.missing) + len(self.unknown) + len(self.misshapen)

    def model(self) -> nn.Module:
        """The network, now with these weights: on the CPU, float32, in evaluation mode."""
        model = self.network.to_empty(device="cpu")
        model.load_state_dict({name: self._value(name, own) for name, own in model.state_dict().items()})
        return model.eval()

    def _value(self, name: str, own: Tensor) -> Tensor:
        if name not in self.ours:
            return torch.zeros_like(own)
        stored = self.state[self.ours[name]]
        return stored if stored.shape == own.shape else stored[: len(own)]  # statistics of a wider network


def fit(layout: Layout, spec: Spec, state: State) -> Fit:
    """Compare the tensors of ``state`` with the network that ``spec`` describes."""
    notes: list[str] = []
    if spectral.is_spectral(state) and not layout.spectral:
        state = spectral.folded(state)
        notes.append("spectral norm folded into the weights")
    model, modules = spec.build(device="meta"), layout.modules(spec)
    if stale := _stale(model, modules, state):
        notes.append(f"dropped {len(stale)} stale instance-norm statistics")
    if unused_layers := [name for layer in layout.unused_layers(spec) for name in state if name.startswith(f"{layer}.")]:
        notes.append(f"dropped {len(unused_layers)} tensors of layers that never run")
    seen = {*stale, *unused_layers}
    missing, misshapen, ours, cut, unbiased = [], [], {}, 0, 0
    for tensor, own in model.state_dict().items():
        theirs = renamed(tensor, modules)
        if theirs is None:
            assert tensor.endswith("shift.value"), f"{layout.network}: {tensor} has no published name"
            continue  # what an absent branch left: in the published networks nothing
        seen.add(theirs)
        stored = state.get(theirs)
        if stored is None:
            if may_lack(tensor, spec, state, modules):
                unbiased += 1
            elif not tensor.endswith(".num_batches_tracked"):  # younger than some files, and without effect here
                missing.append(theirs)
        elif stored.shape == own.shape:
            ours[tensor] = theirs
        elif layout.cuts and tensor.endswith(STATISTICS) and stored.ndim == 1 and len(stored) > len(own):
            ours[tensor], cut = theirs, cut + 1
        else:
            misshapen.append(f"{theirs} is {sides(stored.shape)} instead of {sides(own.shape)}")
    if cut:
        notes.append(f"of {cut} running statistics the leading ones taken, as they are a supernet's")
    if unbiased:
        notes.append("batch norms without statistics taken as instance norms, which for one image at a time they are")
    return Fit(layout, model, state, ours, missing, [name for name in state if name not in seen], misshapen, notes)


def _stale(model: nn.Module, modules: Modules, state: State) -> list[str]:
    """Running statistics of norms that use none: stored by old PyTorch versions, without effect."""
    return [
        name
        for ours, theirs in modules.items()
        if isinstance(norm := _module(model, ours), nn.InstanceNorm2d) and norm.running_mean is None
        for leaf in STATISTICS
        if (name := f"{theirs}.{leaf}") in state
    ]


def _module(model: nn.Module, path: str) -> nn.Module | None:
    for name in path.split("."):
        child = getattr(model, name, None)
        if not isinstance(child, nn.Module):
            return None
        model = child
    return model
