"""Published checkpoints to networks of ours, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch import Tensor, nn

from pocketgan.checkpoints import cat, cyclegan, dmad, gan_compression, gaugan, munit, spectral
from pocketgan.checkpoints.fit import Fit, fit
from pocketgan.checkpoints.layout import Layout, Role, renamed, replaced, sides
from pocketgan.core.reading import State, read_state
from pocketgan.core.spec import Spec, spec_of
from pocketgan.models.spade import LabelledSpec
from pocketgan.models.spectral import folded

LAYOUTS: tuple[Layout, ...] = (*cyclegan.LAYOUTS, *gan_compression.LAYOUTS, *gaugan.LAYOUTS, *cat.LAYOUTS, *munit.LAYOUTS)
"""Every published network that is known."""

COUNTERS = ("total_ops", "total_params")
"""What a profiler (thop) leaves among the tensors of a network that it has measured."""


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A published checkpoint as a network of ours."""

    model: nn.Module
    """With the weights, on the CPU, float32, in evaluation mode; ``model.spec`` is its spec."""
    family: str
    """The code base that wrote the file."""
    role: Role
    message: str
    """One line: what was recognized, what was dropped."""

    def for_export(self) -> nn.Module:
        """What is cut and shipped: a generator without spectral norm; a discriminator as it is, for it goes on to learn."""
        return folded(self.model) if self.role == "generator" else self.model


def load_checkpoint(path: str | Path, *, network: str | None = None, upsamplings: int | None = None) -> LoadedCheckpoint:
    """The network in a published checkpoint (``latest_net_G.pth`` and the like, or ``.safetensors`` with those names).

    Code base, architecture, norm, dropout and all widths are read off the tensors' names and shapes. A common prefix of
    all names (``module.`` of ``DataParallel``) and a key such as ``state_dict`` around them are seen through. Stored
    statistics of instance norms are dropped, as the published code itself does. Spectral norm stays where ours has it, so that
    training can go on. Nothing in the file is ever run.

    Args:
        path: the file.
        network: the key of the one that is meant, in a file with several.
        upsamplings: of a generator from label maps, 5 or 6, which its names do not tell.

    Raises ``ValueError``, in one line with the file's name: no such file, empty, cut short, not a checkpoint, needing
    code, several networks, of no known family, or fitting only in part (what is missing, unknown, of another shape).
    """
    path = Path(path)
    state, key, beside = read_state(path, network)
    count, notes = len(state), [f"found under '{key}'"] if key else []
    state = _cleaned(path, state, notes)
    prefix, found = _recognize(path, state)
    if found.faults:
        raise ValueError(f"{path} {_misfit(found)}")
    if prefix:
        notes.append(f"without the prefix '{prefix}'")
    notes += found.notes
    family, listed = found.layout.family, dmad.stored_widths(beside, key)
    if listed is not None:
        spec, verdict = dmad.with_stored(found.spec, listed)
        family, found = dmad.FAMILY, fit(found.layout, spec, found.state)
        notes.append(verdict)
    if upsamplings is not None:
        found = fit(found.layout, _doubled(path, found.spec, upsamplings), found.state)
    line = f"{family} {_words(found)}, from {count} tensors"
    return LoadedCheckpoint(found.model(), family, found.layout.role, "; ".join([line, *notes]))


def to_published(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a network of ours under their published names, ready for ``torch.save``; tensors are not copied.

    Blocks that were removed without a trace are closed up, so the file is one of a network with fewer blocks. Layers that the
    published code makes and never runs are there as it makes them. Raises ``ValueError`` for a network, or a tensor in it, for
    which there is no published name.
    """
    spec = spec_of(model)
    layout = _layout_of(spec)
    modules, published, homeless = layout.modules(spec), {}, []
    for tensor, value in model.state_dict().items():
        name = renamed(tensor, modules)
        if name is not None:
            published[name] = value.detach()
        elif value.any():  # the constant of an absent branch; 0 is what the published networks have in its place
            homeless.append(tensor)
    if homeless:
        raise ValueError(
            f"there is no published name for {_few(homeless)} of this {spec.name}: save it as an artifact of pocketgan"
        )
    unused_layers = {
        f"{layer}.{name}": value
        for layer, made in layout.unused_layers(spec).items()
        for name, value in made.state_dict().items()
    }
    return published | unused_layers


def _layout_of(spec: Spec) -> Layout:
    for layout in LAYOUTS:
        if layout.matches(spec):
            return layout
    raise ValueError(f"no published network is like this {spec.name}. There is: {_known()}")


def _cleaned(path: Path, state: State, notes: list[str]) -> State:
    """Without what is no weight of the network. Raises ``ValueError`` for tensors that are no network's."""
    if dmad.is_search(state):
        raise ValueError(
            f"{path} holds the masks of a DMAD search (mask_weight): it is no network yet. Cut it by DMAD's prune.py and give "
            "what that writes, or search anew by pocketgan compress --method dmad"
        )
    weight = state.get("weight")
    if weight is not None and set(state) <= {"weight", "bias"} and weight.ndim == 4:
        writes, reads, *kernel = weight.shape
        raise ValueError(
            f"{path} is an adaptor, a {sides(kernel)} convolution by which the distillation of GAN Compression and CAT holds "
            f"{reads} channels of a student against {writes} of its teacher: it is of use in that training alone, and the "
            "objective features trains its own"
        )
    whole = {name: tensor for name, tensor in state.items() if name.rpartition(".")[2] not in COUNTERS}
    if len(whole) < len(state):
        notes.append(f"dropped {len(state) - len(whole)} counters of a profiler")
    modern = spectral.modern(whole)
    if len(modern) < len(whole):
        notes.append("spectral norm folded into the weights, as PyTorch before 1.1 stored it")
    return modern


def _recognize(path: Path, state: State) -> tuple[str, Fit]:
    """The prefix that all names share and the layout that fits best under it. Raises ``ValueError`` if none does."""
    prefix = ""
    while True:
        short = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        try:
            fits = [fit(layout, spec, short) for layout in LAYOUTS if (spec := layout.recognize(short)) is not None]
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


def _doubled(path: Path, spec: Spec, upsamplings: int) -> Spec:
    if not isinstance(spec, LabelledSpec):
        raise ValueError(f"upsamplings={upsamplings}: {path} is a {spec.name}, which has none; leave it away")
    if upsamplings != spec.upsamplings and {upsamplings, spec.upsamplings} != {5, 6}:
        raise ValueError(f"upsamplings={upsamplings}: by its names {path} has {'7' if spec.upsamplings == 7 else '5 or 6'}")
    return replaced(spec, upsamplings=upsamplings)


def _misfit(found: Fit) -> str:
    parts = (("missing", found.missing), ("unknown", found.unknown), ("of another shape", found.misshapen))
    faults = "; ".join(f"{len(names)} {kind}: {_few(names)}" for kind, names in parts if names)
    words = f"{found.layout.family} {_words(found)}"
    return f"looks like {words}, but does not fit. {faults}. It is incomplete, or of a changed network"


def _words(found: Fit) -> str:
    return f"{found.layout.network}, {found.layout.describe(found.spec)}"


def _known() -> str:
    return ", ".join(f"{layout.family} {layout.network}" for layout in LAYOUTS)


def _few(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(islice(names, most))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
