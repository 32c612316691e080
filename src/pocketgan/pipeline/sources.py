"""From what a user names (an artifact, a published checkpoint) to a network."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pocketgan.core.artifact import load_artifact, read_header
from pocketgan.core.shape import Shape, Size, as_shape, said, shape_of
from pocketgan.core.spec import Spec, spec_from_json, spec_of
from pocketgan.interop import load_checkpoint
from pocketgan.interop.adopt import adopt, load_weights
from pocketgan.interop.factory import Reference, give, load_factory, made, name_of, parse_reference
from pocketgan.interop.foreign import ForeignSpec, Pictures
from pocketgan.models.spectral import folded

PUBLISHED = 256
"""Side of the images that nearly all published checkpoints were trained on."""


@dataclass(frozen=True)
class Source:
    """A network from a file."""

    model: nn.Module
    """On the CPU, in evaluation mode."""
    size: Size | None
    """What its costs are stated for: the side of a square, or height and width; None where the file does not say."""
    message: str
    """What was recognised, in one line."""
    provenance: dict[str, Any]

    def images(self, size: int | None = None, aspect: float | None = None) -> tuple[int, float]:
        """Width, and width over height, to work at: each as asked for, else as the file says, else squares of 256."""
        height, width = as_shape(self.size or PUBLISHED)
        return size or width, width / height if aspect is None else aspect


def load(path: str | Path) -> Source:
    """The network in an artifact of ours or in a published checkpoint.

    Raises ``ValueError``, saying what it found, for any other file.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    if file.suffix == ".safetensors" and read_header(file) is not None:
        artifact = load_artifact(file)
        message = f"{artifact.model.spec.name} for {said(as_shape(artifact.size))}"  # type: ignore[union-attr]
        return Source(artifact.model, artifact.size, message, dict(artifact.provenance))
    recognised = load_checkpoint(file)
    return Source(recognised.model, None, recognised.message, {})


def as_source(model: str | Path | nn.Module) -> Source:
    """The network that is meant: one in memory, its spectral norm folded, else what `load` finds."""
    if isinstance(model, nn.Module):
        return Source(folded(copy.deepcopy(model).cpu().eval()), None, f"{spec_of(model).name}, given in memory", {})
    return load(model)


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
