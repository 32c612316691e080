"""Published checkpoints to networks of ours, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.reading import read_state
from pocketgan.core.spec import Spec, spec_of
from pocketgan.interop import cyclegan, gan_compression
from pocketgan.interop.layout import Fit, Layout, Role, State, fit, renamed

LAYOUTS: tuple[Layout, ...] = (*cyclegan.LAYOUTS, *gan_compression.LAYOUTS)
"""Every published network that is known."""


@dataclass(frozen=True)
class Recognised:
    """A published checkpoint as a network of ours."""

    model: nn.Module
    """With the weights, on the CPU, float32, in evaluation mode; ``model.spec`` is its spec."""
    family: str
    """The code base that wrote the file."""
    role: Role
    message: str
    """One line: what was recognised, what was dropped."""


def load_checkpoint(path: str | Path) -> Recognised:
    """The network in a published checkpoint (``latest_net_G.pth`` and the like, or ``.safetensors`` with those names).

    Code base, architecture, norm, dropout and all widths are read off the tensors' names and shapes. A common prefix of
    all names (``module.`` of ``DataParallel``) and a key such as ``state_dict`` around them are seen through. Stored
    statistics of instance norms are dropped, as the published code itself does. Nothing in the file is ever run.

    Raises ``ValueError``, in one line with the file's name: no such file, empty, cut short, not a checkpoint, needing
    code, several networks, of no known family, or fitting only in part (what is missing, unknown, of another shape).
    """
    path = Path(path)
    state, key = read_state(path)
    prefix, found = _recognise(path, state)
    if found.faults:
        raise ValueError(f"{path} {_misfit(found)}")
    notes = [f"found under '{key}'"] if key else []
    if prefix:
        notes.append(f"without the prefix '{prefix}'")
    if found.stale:
        notes.append(f"dropped {len(found.stale)} stale instance-norm statistics")
    model = _filled(found, {name.removeprefix(prefix): tensor for name, tensor in state.items()})
    line = f"{_words(found)}, from {len(state)} tensors"
    return Recognised(model, found.layout.family, found.layout.role, "; ".join([line, *notes]))


def to_published(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a network of ours under their published names, ready for ``torch.save``; tensors are not copied.

    Blocks that were removed without a trace are closed up, so the file is one of a network with fewer blocks. Raises
    ``ValueError`` for a network, or a tensor in it, for which there is no published name.
    """
    spec = spec_of(model)
    modules = _layout_of(spec).modules(spec)
    named = {tensor: renamed(tensor, modules) for tensor in model.state_dict()}
    homeless = [tensor for tensor, name in named.items() if name is None]
    if homeless:
        raise ValueError(
            f"there is no published name for {_few(homeless)} of this {spec.name}: save it as an artifact of pocketgan"
        )
    return {name: value.detach() for name, value in zip(named.values(), model.state_dict().values(), strict=True) if name}


def _layout_of(spec: Spec) -> Layout:
    for layout in LAYOUTS:
        if layout.covers(spec):
            return layout
    raise ValueError(f"no published network is like this {spec.name}. There is: {_known()}")


def _recognise(path: Path, state: State) -> tuple[str, Fit]:
    """The prefix that all names share and the layout that fits best under it. Raises ``ValueError`` if none does."""
    prefix = ""
    while True:
        short = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        try:
            fits = [fit(layout, spec, short) for layout in LAYOUTS if (spec := layout.recognise(short)) is not None]
        except ValueError as error:
            raise ValueError(f"{path} cannot be taken over: {error}") from None
        if fits:
            return prefix, min(fits, key=lambda found: found.faults)
        first = {name.partition(".")[0] for name in short if "." in name} if all("." in name for name in short) else set()
        if len(first) != 1:
            raise ValueError(
                f"{path} is of no known family: it has {_few(list(state))}. There is: {_known()}; any other generator "
                "is given as file.py:factory with its weights"
            )
        prefix += f"{first.pop()}."


def _filled(found: Fit, state: State) -> nn.Module:
    model = found.spec.build(device="meta").to_empty(device="cpu")
    counters = {name: torch.tensor(0) for name in model.state_dict() if name.endswith(".num_batches_tracked")}
    model.load_state_dict(counters | {ours: state[theirs] for ours, theirs in found.ours.items()})
    return model.eval()


def _misfit(found: Fit) -> str:
    parts = (("missing", found.missing), ("unknown", found.unknown), ("of another shape", found.misshapen))
    faults = "; ".join(f"{len(names)} {kind}: {_few(names)}" for kind, names in parts if names)
    return f"looks like {_words(found)}, but does not fit. {faults}. It is incomplete, or of a changed network"


def _words(found: Fit) -> str:
    return f"{found.layout.family} {found.layout.network}, {found.layout.describe(found.spec)}"


def _known() -> str:
    return ", ".join(f"{layout.family} {layout.network}" for layout in LAYOUTS)


def _few(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(islice(names, most))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
