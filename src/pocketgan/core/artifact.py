"""Artifacts: one safetensors file with weights, spec and provenance; it loads with nothing else at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from pocketgan.core.shape import Size, as_shape, plain
from pocketgan.core.spec import spec_from_json, spec_of
from pocketgan.utils.files import atomic

HEADER = "pocketgan"
FORMAT = 1


@dataclass(frozen=True)
class Artifact:
    """A loaded network and what its file says of it."""

    model: nn.Module
    """On the CPU, in evaluation mode; ``model.spec`` is its spec."""
    size: Size
    """Side of the square image for which its costs are stated; height and width of one that is not square."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from: method, budget, teacher, seed, versions."""


def save_artifact(path: Path, model: nn.Module, *, size: Size, provenance: Mapping[str, Any] | None = None) -> None:
    """Write ``model`` (one of ours: it has a spec) to a ``.safetensors`` file, atomically.

    ``size``, the side or (height, width) that it is meant for, is written as one number if it is a square.
    """
    header = {
        "format": FORMAT,
        "spec": spec_of(model).to_json(),
        "size": plain(as_shape(size)),
        "provenance": dict(provenance or {}),
    }
    firsts, state = _firsts(model), model.state_dict()
    tensors = {name: state[name].detach().cpu().contiguous() for name, first in firsts.items() if name == first}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={HEADER: json.dumps(header)})


def read_header(path: Path) -> dict[str, Any] | None:
    """The header of an artifact of ours, without its weights; None for a safetensors file of somebody else.

    Raises ``ValueError`` for a file that is no safetensors file at all, or is cut short.
    """
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(HEADER)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
    return None if text is None else json.loads(text)


def load_artifact(path: Path) -> Artifact:
    """The network in an artifact of ours. Raises ``ValueError`` for any other file."""
    header = read_header(path)
    if header is None:
        raise ValueError(f"{path} holds weights but no pocketgan header: it does not say which network they belong to")
    if header["format"] > FORMAT:
        raise ValueError(f"{path} has format {header['format']}; this version reads up to {FORMAT}: update pocketgan")
    model, state = spec_from_json(header["spec"]).build(device="meta"), load_file(path)
    shared = {name: state[first] for name, first in _firsts(model).items() if first in state}
    model.to_empty(device="cpu").load_state_dict(state | shared)
    return Artifact(model.eval(), plain(as_shape(header["size"])), header["provenance"])


def _firsts(model: nn.Module) -> dict[str, str]:
    """``{tensor: its first name}``: a layer may be registered twice, by itself and as part of a whole, and is written once."""
    names: dict[int, str] = {}
    return {name: names.setdefault(id(tensor), name) for name, tensor in model.state_dict(keep_vars=True).items()}
