"""Published checkpoints to artifacts of ours, artifacts to published names, a supernet and a configuration to one network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.core.artifact import read_header, save_artifact
from pocketgan.core.inputs import shape_of, size_text
from pocketgan.core.spec import spec_of
from pocketgan.foreign.factory import parse_reference
from pocketgan.models.layers import folded
from pocketgan.models.munit import assembled
from pocketgan.pipeline.common import versions
from pocketgan.pipeline.config import ForeignConfig
from pocketgan.pipeline.load_generator import PUBLISHED, LoadedGenerator, load
from pocketgan.pruning.selection import prefix, shrink
from pocketgan.search.published import parse_configuration
from pocketgan.utils.files import atomic

ARTIFACT, CHECKPOINT = ".safetensors", ".pth"


@dataclass(frozen=True)
class Converted:
    """File that a conversion has written."""

    path: Path
    bytes: int
    message: str
    """Kind of the network that was read, and of the file that was written."""


def convert(
    file: str | Path,
    out: Path,
    *,
    foreign: ForeignConfig | None = None,
    config: str | None = None,
    network: str | None = None,
    content: str | Path | None = None,
    upsamplings: int | None = None,
    size: int | None = None,
    aspect: float | None = None,
    replace: bool = False,
) -> Converted:
    """Write the network in ``file`` as an artifact of ours (``.safetensors``) or under its published names (``.pth``).

    Args:
        file: a published checkpoint, an artifact of ours, or ``file.py:factory@WEIGHTS``.
        out: the file to write; its ending chooses.
        foreign: facts of a factory's generator, kept in the artifact.
        config: a published configuration, ``24_16_...``: of the network, a supernet, the leading channels at those widths.
        network: key of one network in a file with several.
        content: MUNIT generator of the input domain; its content encoder replaces that of ``file``.
        upsamplings: 5 or 6, of a generator from label maps, whose names do not say.
        size: width of the images that an artifact is meant for; by default what the file says, else 256.
        aspect: width over height; by default what the file says, else 1.
        replace: overwrite a file at ``out``.

    Raises:
        ValueError: ``out`` exists or has another ending, the file or the configuration is not understood, or there are no
            published names for the network.
    """
    if out.suffix not in (ARTIFACT, CHECKPOINT):
        raise ValueError(f"{out} ends in '{out.suffix}': write {ARTIFACT} for an artifact, {CHECKPOINT} for published names")
    if out.exists() and not replace:
        raise ValueError(f"{out} exists already: give another file, or --replace")
    if parse_reference(str(file)) is not None:
        if any(given is not None for given in (config, content, upsamplings)):
            raise ValueError(f"config, content and upsamplings are for published checkpoints, {file} is none: leave them out")
        source = load(
            file, dataclasses.replace(foreign or ForeignConfig(), network=network), shape_of(size or PUBLISHED, aspect or 1.0)
        )
    else:
        source = _read(Path(file), network, upsamplings, keep=out.suffix == CHECKPOINT and config is None)
    model, message = source.model, source.message
    if content is not None:
        model = assembled(_read(Path(content), None, None, keep=False).model, model)
        message += f"; with the content encoder of {content}"
    if config is not None:
        model = folded(model)
        model = shrink(model, prefix(parse_configuration(config, model)))  # leading channels (GAN Compression, section 3.2)
        tracks = any(getattr(module, "running_mean", None) is not None for module in model.modules())
        message += f"; cut to {config}" + (", with the supernet's running statistics" if tracks else "")
    if out.suffix == CHECKPOINT:
        try:
            state = to_published(model)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        with atomic(out) as temporary:
            torch.save(state, temporary)
        return Converted(out, out.stat().st_size, f"{message}; written under the published names")
    meant = source.shape(size, aspect)
    named = source.file.name if source.file is not None else str(file)
    provenance = source.provenance | {"converted": {"file": named, "recognized": message}, "versions": versions()}
    save_artifact(out, model, size=meant, provenance=provenance)
    return Converted(out, out.stat().st_size, f"{message}; written as an artifact for {size_text(meant)}")


def _read(file: Path, network: str | None, upsamplings: int | None, *, keep: bool) -> LoadedGenerator:
    """Network of a file; ``keep`` its spectral norm, else folded into the weights."""
    if file.suffix == ARTIFACT and file.is_file() and read_header(file) is not None:
        if network is not None or upsamplings is not None:
            raise ValueError(f"{file} is an artifact of pocketgan, which needs neither --network nor --upsamplings")
        return load(file)
    recognized = load_checkpoint(file, network=network, upsamplings=upsamplings)
    provenance: dict[str, Any] = {"family": recognized.family, "role": recognized.role}
    model = recognized.model if keep else recognized.for_export()
    kept = spec_of(model) == spec_of(recognized.model)
    message = recognized.message if kept else f"{recognized.message}; spectral norm folded into the weights"
    return LoadedGenerator(model, None, message, provenance, file)
