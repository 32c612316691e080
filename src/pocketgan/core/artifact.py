"""Artifacts: safetensors files with the weights, spec and provenance of a network, complete in themselves."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from pocketgan.core.inputs import MAX_SIDE, Size, as_shape, as_size
from pocketgan.core.spec import spec_from_json, spec_of
from pocketgan.core.tensor_file import checksum
from pocketgan.core.tensors import State, check_tensors, faults_of, faults_text, read_metadata, read_safetensors
from pocketgan.utils.files import atomic, parse_json
from pocketgan.utils.registry import listed, printable

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
    header["sha256"] = _checksum(json.loads(json.dumps(header)), tensors)
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={HEADER: json.dumps(header)})


def read_header(path: Path) -> dict[str, Any] | None:
    """Header of an artifact, without the weights; None for any other safetensors file.

    Raises ``ValueError`` for a file that is absent, truncated or no safetensors file, and for a header that is not whole.
    """
    text = read_metadata(path).get(HEADER)
    if text is None:
        return None
    header = parse_json(text, f"the header of {path}")
    if not isinstance(header, dict) or type(header.get("format")) is not int or header["format"] < 1:
        raise ValueError(f"{path} has a damaged header: it does not state its format")
    if header["format"] > FORMAT:
        raise ValueError(f"{path} has format {header['format']}; this version reads up to {FORMAT}: update pocketgan")
    size = header.get("size")
    sides = size if isinstance(size, list) and len(size) == 2 else [size]
    if not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides):
        raise ValueError(f"{path} has a damaged header: size={size!r}, but images have 1 to {MAX_SIDE:,} pixels a side")
    for key in ("spec", "provenance"):
        if not isinstance(header.get(key), dict):
            raise ValueError(f"{path} has a damaged header: {key} is no object")
    return header


def load_artifact(path: Path) -> Artifact:
    """Load the network of an artifact.

    Raises ``ValueError``, with the file's name, for any other file, one that was damaged since it was written, and one whose
    tensors are not exactly those of its network, dense and finite.
    """
    header = read_header(path)
    if header is None:
        raise ValueError(f"{path} holds weights but no pocketgan header: it does not say which network they belong to")
    state = read_safetensors(path)
    if "sha256" in header and header["sha256"] != _checksum(header, state):
        raise ValueError(
            f"{path} is damaged: header and tensors do not have the checksum that was written with them; take it from where "
            "it came from, or make it again"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on networks that are refused below
            model = spec_from_json(header["spec"]).build(device="meta")
    except Exception as error:  # of any kind, as the header may state anything
        other = f"its header describes no network ({type(error).__name__}: {listed([str(error)])})"
        raise ValueError(f"{path}: {printable(str(error)) if isinstance(error, ValueError) else other}") from None
    firsts, tensors = _firsts(model), model.state_dict()
    expected = {name: tensors[name] for name, first in firsts.items() if name == first}
    if faults := faults_of(state, expected):
        raise ValueError(f"{path} does not hold the tensors of its network. {faults_text(faults)}")
    check_tensors(path, state, expected)
    whole = {name: torch.zeros((), dtype=torch.int64) for name in expected} | {
        name: tensor.to(expected[name].dtype, copy=True) for name, tensor in state.items()
    }
    model.load_state_dict({name: whole[first] for name, first in firsts.items()}, assign=True)  # to_empty imports a compiler
    return Artifact(model.eval(), as_size(as_shape(header["size"])), header["provenance"])


def _checksum(header: Mapping[str, Any], tensors: State) -> str:
    """Checksum of a header as JSON has it, without its own checksum, and of the tensors."""
    return checksum(tensors, json.dumps({key: value for key, value in header.items() if key != "sha256"}, sort_keys=True))


def _firsts(model: nn.Module) -> dict[str, str]:
    """``{tensor: its first name}``: a layer may be registered twice, alone and as part of another, and is written once."""
    names: dict[int, str] = {}
    return {name: names.setdefault(id(tensor), name) for name, tensor in model.state_dict(keep_vars=True).items()}
