"""Conversion of published checkpoints to networks of ours, and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pocketgan.checkpoints import cat, cyclegan, dmad, gaugan, munit, spectral
from pocketgan.checkpoints.layout import Layout, Role, renamed
from pocketgan.checkpoints.match import Match, match_state
from pocketgan.core.spec import Spec, spec_of
from pocketgan.core.state_dict import read_state
from pocketgan.core.tensors import State, faults_text
from pocketgan.models.layers import folded
from pocketgan.models.spade import LabelMapSpec
from pocketgan.utils.registry import listed, shape_text

LAYOUTS: tuple[Layout[Any], ...] = (*cyclegan.LAYOUTS, *gaugan.LAYOUTS, *cat.LAYOUTS, *munit.LAYOUTS)
"""All known published networks."""

MAX_PREFIX = 8
"""Parts of the prefix that all names share, at most."""

COUNTERS = ("total_ops", "total_params")
"""Tensors that a profiler (thop) leaves in the networks that it measures."""


@dataclass(frozen=True)
class LoadedCheckpoint:
    """Published checkpoint as a network of ours."""

    model: nn.Module
    """The network with the weights, on the CPU, float32, in evaluation mode; ``model.spec`` is its spec."""
    family: str
    """The code base that wrote the file."""
    role: Role
    message: str
    """Line with the network that was recognized and the tensors that were dropped."""

    def for_export(self) -> nn.Module:
        """The network to compress and export: a generator without spectral norm; a discriminator unchanged, to train on."""
        return folded(self.model) if self.role == "generator" else self.model


def load_checkpoint(path: str | Path, *, network: str | None = None, upsamplings: int | None = None) -> LoadedCheckpoint:
    """The network in a published checkpoint (``latest_net_G.pth`` and the like, or ``.safetensors`` with those names).

    Code base, architecture, norm, dropout and all widths are read off the tensors' names and shapes. A common prefix of
    all names (``module.`` of ``DataParallel``) and a key such as ``state_dict`` around them are seen through. Stored
    statistics of instance norms are dropped, as the published code itself does. Spectral norm stays where ours has it, so that
    training can continue. Nothing in the file is ever run.

    Args:
        path: the file.
        network: its key, in a file with several networks.
        upsamplings: 5 or 6, for a generator from label maps, whose names do not tell.

    Raises ``ValueError``, in one line with the file's name: no such file, empty, cut short, not a checkpoint, needing
    code, several networks, of no known family, or matching only in part (tensors missing, unknown, of another shape).
    """
    path = Path(path)
    state, key, beside = read_state(path, network)
    count, notes = len(state), [f"found under '{key}'"] if key else []
    state = _cleaned(path, state, notes)
    prefix, match = _recognize(path, state)
    if match.faults:
        raise ValueError(
            f"{path} looks like {match.words()}, but does not fit. {faults_text(match.faults)}. It is incomplete, or of a "
            "changed network"
        )
    if prefix:
        notes.append(f"without the prefix '{prefix}'")
    notes += match.notes
    family, listed = match.layout.family, dmad.stored_widths(beside, key)
    if listed is not None:
        spec, verdict = dmad.with_stored_widths(match.spec, listed)
        family, match = dmad.FAMILY, match_state(match.layout, spec, match.state)
        notes.append(verdict)
    if upsamplings is not None:
        match = match_state(match.layout, _with_upsamplings(path, match.spec, upsamplings), match.state)
    line = f"{match.words(family)}, from {count} tensors"
    return LoadedCheckpoint(match.model(), family, match.layout.role, "; ".join([line, *notes]))


def to_published(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a network of ours under their published names, ready for ``torch.save``; tensors are not copied.

    Removed blocks that leave no constant are skipped, so the file has a network with fewer blocks. Layers that the
    published code makes and never runs have their first values. Raises ``ValueError`` for a network, or a tensor in it, for
    which there is no published name.
    """
    spec = spec_of(model)
    layout = next((layout for layout in LAYOUTS if layout.matches(spec)), None)
    if layout is None:
        raise ValueError(f"no published network is like this {spec.name}. There is: {_known()}")
    modules, published, nameless = layout.modules(spec), {}, []
    for tensor, value in model.state_dict().items():
        name = renamed(tensor, modules)
        if name is not None:
            published[name] = value.detach()
        elif value.any():  # the constant of an absent branch; 0 changes nothing, as in the published networks
            nameless.append(tensor)
    if nameless:
        raise ValueError(
            f"there is no published name for {listed(nameless)} of this {spec.name}: save it as an artifact of pocketgan"
        )
    for layer, module in layout.unused_layers(spec).items():
        published |= {f"{layer}.{name}": value for name, value in module.state_dict().items()}
    return published


def _cleaned(path: Path, state: State, notes: list[str]) -> State:
    """The state without tensors that are no weights. Raises ``ValueError`` for tensors that are not those of a network."""
    if dmad.is_search(state):
        raise ValueError(
            f"{path} holds the masks of a DMAD search (mask_weight): it is no network yet. Cut it by DMAD's prune.py and give "
            "what that writes, or search anew by pocketgan compress --method dmad"
        )
    weight = state.get("weight")
    if weight is not None and set(state) <= {"weight", "bias"} and weight.ndim == 4:
        writes, reads, *kernel = weight.shape
        raise ValueError(
            f"{path} is an adaptor, a {shape_text(kernel)} convolution by which the distillation of GAN Compression and CAT "
            f"holds {reads} channels of a student against {writes} of its teacher: it is of use in that training alone, and "
            "the objective features trains its own"
        )
    weights = {name: tensor for name, tensor in state.items() if name.rpartition(".")[2] not in COUNTERS}
    if len(weights) < len(state):
        notes.append(f"dropped {len(state) - len(weights)} counters of a profiler")
    cleaned = spectral.drop_legacy_spectral(weights)
    if len(cleaned) < len(weights):
        notes.append("spectral norm folded into the weights, as PyTorch before 1.1 stored it")
    return cleaned


def _recognize(path: Path, state: State) -> tuple[str, Match]:
    """The prefix that all names share and the best match without it. Raises ``ValueError`` if no layout matches."""
    prefix = ""
    while True:
        short = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        try:
            specs = {layout: layout.recognize(short) for layout in LAYOUTS}
            matches = [match_state(layout, spec, short) for layout, spec in specs.items() if spec is not None]
        except Exception as error:  # of any kind, as names and shapes may be anything
            raise ValueError(f"{path} cannot be taken over: {error or type(error).__name__}") from None
        if matches:
            return prefix, min(matches, key=lambda match: sum(map(len, match.faults.values())))
        first = {name.partition(".")[0] for name in short if "." in name} if all("." in name for name in short) else set()
        if len(first) != 1 or prefix.count(".") >= MAX_PREFIX:
            raise ValueError(
                f"{path} is of no known family: it has {listed(list(state))}. There is: {_known()}; any other generator "
                "is given as file.py:factory with its weights"
            )
        prefix += f"{first.pop()}."


def _with_upsamplings(path: Path, spec: Spec, upsamplings: int) -> Spec:
    if not isinstance(spec, LabelMapSpec):
        raise ValueError(f"upsamplings={upsamplings}: {path} is a {spec.name}, which has none; leave it away")
    if upsamplings != spec.upsamplings and {upsamplings, spec.upsamplings} != {5, 6}:
        raise ValueError(f"upsamplings={upsamplings}: by its names {path} has {'7' if spec.upsamplings == 7 else '5 or 6'}")
    return dataclasses.replace(spec, upsamplings=upsamplings)


def _known() -> str:
    return ", ".join(f"{layout.family} {layout.network}" for layout in LAYOUTS)
