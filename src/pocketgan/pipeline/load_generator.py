"""Generators from artifacts, published checkpoints and factories."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from pocketgan.checkpoints import load_checkpoint
from pocketgan.core.artifact import load_artifact, read_header
from pocketgan.core.inputs import Shape, Size, as_shape, latent_inputs, shape_of, size_text
from pocketgan.core.spec import Spec, spec_of
from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig
from pocketgan.data.images import guess_task
from pocketgan.foreign.factory import (
    Reference,
    call_factory,
    factory_name,
    load_factory,
    parse_reference,
    register_factory,
    unused_name,
    unwrap,
)
from pocketgan.foreign.spec import ForeignSpec, PixelFormat, copy_model
from pocketgan.foreign.wrap import load_weights, wrap_foreign
from pocketgan.models.layers import folded
from pocketgan.pipeline.config import ForeignConfig

PUBLISHED = 256
"""Width of the images of nearly all published checkpoints."""


@dataclass(frozen=True)
class LoadedGenerator:
    """Generator, and what its file says of it."""

    model: nn.Module
    """On the CPU, in evaluation mode."""
    size: Size | None
    """Image size of its stated costs: the side of a square, or height and width; None where the file has none."""
    message: str
    """Kind of network and file, in one line."""
    provenance: dict[str, Any]
    file: Path | None = None
    """File of the weights; None for a network in memory."""

    def images(self, size: int | None = None, aspect: float | None = None) -> tuple[int, float]:
        """Width, and width over height: as given, else the network's fixed size, the file's, or squares of 256."""
        height, width = spec_of(self.model).output_shape or as_shape(self.size or PUBLISHED)
        return size or width, width / height if aspect is None else aspect

    def shape(self, size: int | None = None, aspect: float | None = None) -> Shape:
        """Height and width of `images`. Raises ``ValueError`` for an impossible aspect."""
        return shape_of(*self.images(size, aspect))

    def task(self, data: DataConfig) -> TaskName:
        """Task of a generator that reads latents; of another one, the task of the data."""
        latents = latent_inputs(self.model)
        if not latents:
            return guess_task(data, alone="inputs")
        return "unconditional" if "input" in latents else "multimodal"


def load(path: str | Path, foreign: ForeignConfig | None = None, shape: Shape | None = None) -> LoadedGenerator:
    """Generator of an artifact, a published checkpoint, or a ``file.py:factory@WEIGHTS``.

    A foreign generator is traced for images of height and width ``shape``, by default 256. Raises ``ValueError`` with what was
    found for anything else, and for a foreign generator that cannot be cut.
    """
    reference = parse_reference(str(path))
    if reference is not None:
        return _made(reference, foreign, shape or as_shape(PUBLISHED))
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    network = foreign.network if foreign is not None else None
    if foreign is not None and replace(foreign, network=None) != ForeignConfig():
        raise ValueError(f"keep, range and bgr are for a generator given as file.py:factory; {file} needs none of them")
    if file.suffix == ".safetensors" and read_header(file) is not None:
        if network is not None:
            raise ValueError(f"network={network}: {file} is an artifact of pocketgan, which holds one network; leave it out")
        return _artifact(file)
    recognized = load_checkpoint(file, network=network)
    return LoadedGenerator(recognized.for_export(), None, recognized.message, {}, file)


def as_generator(
    model: str | Path | nn.Module, foreign: ForeignConfig | None = None, shape: Shape | None = None
) -> LoadedGenerator:
    """Generator in memory, its spectral norm folded; else that of `load`."""
    if not isinstance(model, nn.Module):
        return load(model, foreign, shape)
    if isinstance(getattr(model, "spec", None), Spec):
        return LoadedGenerator(folded(copy.deepcopy(model).cpu().eval()), None, f"{spec_of(model).name}, given in memory", {})
    model = unwrap(model)
    kind = type(model)
    name, original = unused_name(f"{kind.__module__}:{kind.__qualname__}"), copy_model(model)
    register_factory(name, partial(copy.deepcopy, original))
    return _wrapped(original, name, foreign, shape or as_shape(PUBLISHED), "given in memory", None)


def load_cut(file: Path, factory: Callable[[], nn.Module]) -> LoadedGenerator:
    """Generator of an artifact that was cut from a ``factory``'s. Raises ``ValueError`` for one that needs no factory."""
    header = read_header(file)
    if header is None or header["spec"].get("architecture") != ForeignSpec.name:
        raise ValueError(f"{file} is no artifact that was cut from a generator of a factory: give it alone")
    register_factory(header["spec"]["factory"], factory)
    return _artifact(file)


def _artifact(file: Path) -> LoadedGenerator:
    artifact = load_artifact(file)
    message = f"{artifact.model.spec.name} for {size_text(as_shape(artifact.size))}"  # type: ignore[union-attr]
    return LoadedGenerator(artifact.model, artifact.size, message, dict(artifact.provenance), file)


def _made(reference: Reference, foreign: ForeignConfig | None, shape: Shape) -> LoadedGenerator:
    """Generator of a factory: with its own weights, or cut as an artifact says."""
    name, factory = factory_name(reference.factory), load_factory(reference.factory)
    file = Path(reference.weights) if reference.weights else None
    header = read_header(file) if file is not None and file.suffix == ".safetensors" else None
    if header is not None:
        assert file is not None
        return load_cut(file, factory)
    register_factory(name, factory)
    model = call_factory(factory, name)
    if file is not None:
        load_weights(model, file, foreign.network if foreign is not None else None)
    return _wrapped(model, name, foreign, shape, f"weights {file.name}" if file else "weights as the factory leaves them", file)


def _wrapped(
    model: nn.Module, name: str, foreign: ForeignConfig | None, shape: Shape, weights: str, file: Path | None
) -> LoadedGenerator:
    foreign = foreign or ForeignConfig()
    images = PixelFormat.parse(foreign.range, foreign.bgr)
    try:
        model = wrap_foreign(model, factory=name, shape=shape, images=images, keep=foreign.keep)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    spec = spec_of(model)
    assert isinstance(spec, ForeignSpec)
    facts = [f"{len(spec.widths)} groups of channels, stride {spec.stride}", weights]
    if images != PixelFormat():
        facts.append(f"images {foreign.range}{' BGR' if foreign.bgr else ''}")
    return LoadedGenerator(model, None, f"generator of {name}: {', '.join(facts)}; cutting it obeys the laws", {}, file)


def discriminator_beside(teacher: Path) -> Path | None:
    """Discriminator in the teacher's folder, by our names or the published ones; None where there is none."""
    names = (("generator", "discriminator"),) if teacher.name.startswith("generator") else (("net_G", "net_D"),)
    return _beside(teacher, names)


def reverse_of(teacher: Path) -> Path:
    """File of the generator of the other direction: ``generator_A`` and ``generator_B``, ``net_G_A`` and ``net_G_B``.

    Raises ``ValueError`` where there is none beside ``teacher``.
    """
    found = _beside(teacher, (("G_A", "G_B"), ("G_B", "G_A"), ("generator_A", "generator_B"), ("generator_B", "generator_A")))
    if found is None:
        raise ValueError(
            f"there is no generator of the other direction beside {teacher} (generator_A and generator_B, or *_net_G_A)"
        )
    return found


def _beside(file: Path, names: Iterable[tuple[str, str]]) -> Path | None:
    """First other file in the folder whose name has the second of two names in place of the first."""
    others = (file.with_name(file.name.replace(own, other, 1)) for own, other in names)
    return next((other for other in others if other != file and other.is_file()), None)
