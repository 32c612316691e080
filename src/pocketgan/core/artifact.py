"""Artifacts: safetensors files with the weights, spec and provenance of a network, complete in themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from pocketgan.core.inputs import Size, as_shape, as_size
from pocketgan.core.spec import spec_from_json, spec_of
from pocketgan.utils.files import atomic

HEADER = "pocketgan"
FORMAT = 1


@dataclass(frozen=True)
class Artifact:
    """Network loaded from an artifact, with the facts of its header."""

    model: nn.Module
    """On the CPU, in evaluation mode; ``model.spec`` is its spec."""
    size: Size
    """Image size of its costs: the side of a square, or height and width."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Origin: method, budget, teacher, seed, versions."""


def save_artifact(path: Path, model: nn.Module, *, size: Size, provenance: Mapping[str, Any] | None = None) -> None:
    """Write ``model``, which has a spec, and the image ``size`` that it is meant for to a ``.safetensors`` file, atomically."""
    header = {
        "format": FORMAT,
        "spec": spec_of(model).to_json(),
        "size": as_size(as_shape(size)),
        "provenance": dict(provenance or {}),
    }
    firsts, state = _firsts(model), model.state_dict()
    tensors = {name: state[name].detach().cpu().contiguous() for name, first in firsts.items() if name == first}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={HEADER: json.dumps(header)})


def read_header(path: Path) -> dict[str, Any] | None:
    """Header of an artifact, without the weights; None for any other safetensors file.

    Raises ``ValueError`` for a file that is absent, truncated or no safetensors file.
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
    """Load the network of an artifact. Raises ``ValueError`` for any other file."""
    header = read_header(path)
    if header is None:
        raise ValueError(f"{path} holds weights but no pocketgan header: it does not say which network they belong to")
    if header["format"] > FORMAT:
        raise ValueError(f"{path} has format {header['format']}; this version reads up to {FORMAT}: update pocketgan")
    model, state = spec_from_json(header["spec"]).build(device="meta"), load_file(path)
    shared = {name: state[first] for name, first in _firsts(model).items() if first in state}
    dtypes = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    whole = {name: tensor.to(dtypes.get(name, tensor.dtype), copy=True) for name, tensor in (state | shared).items()}
    model.load_state_dict(whole, assign=True)  # to_empty would import torch's compiler first
    return Artifact(model.eval(), as_size(as_shape(header["size"])), header["provenance"])


def _firsts(model: nn.Module) -> dict[str, str]:
    """``{tensor: its first name}``: a layer may be registered twice, alone and as part of another, and is written once."""
    names: dict[int, str] = {}
    return {name: names.setdefault(id(tensor), name) for name, tensor in model.state_dict(keep_vars=True).items()}
