"""From what a user names (an artifact, a published checkpoint, a factory) to a network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from pocketgan.checkpoints import load_checkpoint
from pocketgan.core.artifact import load_artifact, read_header
from pocketgan.core.inputs import latent_inputs
from pocketgan.core.shape import Shape, Size, as_shape, said
from pocketgan.core.spec import Spec, spec_of
from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig
from pocketgan.data.guess import guess_task
from pocketgan.foreign.factory import (
    NotGiven,
    Reference,
    free_name,
    give,
    load_factory,
    made,
    name_of,
    parse_reference,
    unwrapped,
)
from pocketgan.foreign.spec import ForeignSpec, PixelFormat, copied
from pocketgan.foreign.wrap import load_weights, wrap_foreign
from pocketgan.models.spectral import folded
from pocketgan.pipeline.config import ForeignConfig

PUBLISHED = 256
"""Side of the images that nearly all published checkpoints were trained on."""


@dataclass(frozen=True)
class LoadedGenerator:
    """A network from a file."""

    model: nn.Module
    """On the CPU, in evaluation mode."""
    size: Size | None
    """What its costs are stated for: the side of a square, or height and width; None where the file does not say."""
    message: str
    """What was recognized, in one line."""
    provenance: dict[str, Any]
    file: Path | None = None
    """Where its weights lie; None for a network in memory."""

    def images(self, size: int | None = None, aspect: float | None = None) -> tuple[int, float]:
        """Width, and width over height, to work at: each as asked for, else as the file says, else squares of 256.

        A network that generates one size alone works at that.
        """
        height, width = spec_of(self.model).output_shape or as_shape(self.size or PUBLISHED)
        return size or width, width / height if aspect is None else aspect

    def task(self, data: DataConfig) -> TaskName:
        """What the generator is made for, if it reads numbers that are drawn; else what the data are."""
        drawn = latent_inputs(self.model)
        if not drawn:
            return guess_task(data, alone="inputs")
        return "unconditional" if "input" in drawn else "multimodal"


def load(path: str | Path, foreign: ForeignConfig | None = None, shape: Shape | None = None) -> LoadedGenerator:
    """The network in an artifact of ours, in a published checkpoint, or of a ``file.py:factory@WEIGHTS``.

    What is ``foreign`` is looked at for images of height and width ``shape``, by default 256. Raises ``ValueError``, saying
    what it found, for anything else, and for a foreign generator that cannot be cut.
    """
    reference = parse_reference(str(path))
    if reference is not None:
        return _made(reference, foreign, shape or as_shape(PUBLISHED))
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    if foreign is not None and foreign != ForeignConfig():
        raise ValueError(f"keep, range and bgr are for a generator given as file.py:factory; {file} says itself what it is")
    if file.suffix == ".safetensors" and read_header(file) is not None:
        return _artifact(file)
    recognized = load_checkpoint(file)
    return LoadedGenerator(recognized.for_export(), None, recognized.message, {}, file)


def as_generator(
    model: str | Path | nn.Module, foreign: ForeignConfig | None = None, shape: Shape | None = None
) -> LoadedGenerator:
    """The network that is meant: one in memory, its spectral norm folded, else what `load` finds."""
    if not isinstance(model, nn.Module):
        return load(model, foreign, shape)
    if isinstance(getattr(model, "spec", None), Spec):
        return LoadedGenerator(folded(copy.deepcopy(model).cpu().eval()), None, f"{spec_of(model).name}, given in memory", {})
    model = unwrapped(model)
    kind = type(model)
    name, original = free_name(f"{kind.__module__}:{kind.__qualname__}"), copied(model)
    give(name, partial(copy.deepcopy, original))
    return _adopted(original, name, foreign, shape or as_shape(PUBLISHED), "given in memory", None)


def load_cut(file: Path, factory: Callable[[], nn.Module]) -> LoadedGenerator:
    """An artifact that was cut from what ``factory`` makes. Raises ``ValueError`` for one that needs no factory."""
    header = read_header(file)
    if header is None or header["spec"].get("architecture") != ForeignSpec.name:
        raise ValueError(f"{file} is no artifact that was cut from a generator of a factory: give it alone")
    give(header["spec"]["factory"], factory)
    return _artifact(file)


def _artifact(file: Path) -> LoadedGenerator:
    try:
        artifact = load_artifact(file)
    except NotGiven as error:
        raise ValueError(f"{file} {error}") from None
    message = f"{artifact.model.spec.name} for {said(as_shape(artifact.size))}"  # type: ignore[union-attr]
    return LoadedGenerator(artifact.model, artifact.size, message, dict(artifact.provenance), file)


def _made(reference: Reference, foreign: ForeignConfig | None, shape: Shape) -> LoadedGenerator:
    """What the factory makes: filled from its own weights, or cut as an artifact says."""
    name, factory = name_of(reference.factory), load_factory(reference.factory)
    file = Path(reference.weights) if reference.weights else None
    header = read_header(file) if file is not None and file.suffix == ".safetensors" else None
    if header is not None:
        assert file is not None
        return load_cut(file, factory)
    give(name, factory)
    model = made(factory, name)
    if file is not None:
        load_weights(model, file)
    return _adopted(model, name, foreign, shape, f"weights {file.name}" if file else "weights as the factory leaves them", file)


def _adopted(
    model: nn.Module, name: str, foreign: ForeignConfig | None, shape: Shape, weights: str, file: Path | None
) -> LoadedGenerator:
    foreign = foreign or ForeignConfig()
    images = PixelFormat.of(foreign.range, foreign.bgr)
    try:
        model = wrap_foreign(model, factory=name, shape=shape, images=images, keep=foreign.keep)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    spec = spec_of(model)
    assert isinstance(spec, ForeignSpec)
    facts = [f"{len(spec.widths)} groups of channels, stride {spec.stride}", weights]
    if not images.ours:
        facts.append(f"images {foreign.range}{' BGR' if foreign.bgr else ''}")
    return LoadedGenerator(model, None, f"generator of {name}: {', '.join(facts)}; cutting it obeys the laws", {}, file)


def discriminator_beside(teacher: Path) -> Path | None:
    """The teacher's discriminator by its name, if it lies beside: ours and the published names."""
    name = teacher.name
    if name.startswith("generator"):
        candidate = teacher.with_name(name.replace("generator", "discriminator", 1))
    elif "net_G" in name:
        candidate = teacher.with_name(name.replace("net_G", "net_D", 1))
    else:
        return None
    return candidate if candidate.is_file() else None


def reverse_of(teacher: Path) -> Path:
    """The generator of the other direction by its name: ``generator_A`` and ``generator_B``, ``net_G_A`` and ``net_G_B``.

    Raises ``ValueError`` where there is none beside ``teacher``.
    """
    for ours, other in (("G_A", "G_B"), ("G_B", "G_A"), ("generator_A", "generator_B"), ("generator_B", "generator_A")):
        candidate = teacher.with_name(teacher.name.replace(ours, other, 1))
        if candidate != teacher and candidate.is_file():
            return candidate
    raise ValueError(
        f"there is no generator of the other direction beside {teacher} (generator_A and generator_B, or *_net_G_A)"
    )
