"""Tensors and facts in a safetensors file with a checksum of both, so that a file changed on disk is never taken for whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pocketgan.utils.files import atomic, parse_json

HEADER = "checked"
"""Entry of the file's metadata with facts and checksum, as JSON."""


class DamagedFile(ValueError):
    """A file of tensors is not what was written; the message begins with the file."""


def checksum(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256 of a text and of the names, types, shapes and values of tensors on the CPU, in hexadecimal digits.

    Of the tensors and not of the file, so that the sum can stand in the file's own header. It costs about a second a gigabyte.
    """
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors, from any device, and JSON facts with their checksum, atomically."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"facts": facts, "sha256": checksum(plain, json.dumps(facts))}
    with atomic(path) as temporary:
        save_file(plain, temporary, metadata={HEADER: json.dumps(header)})  # one entry: several would have a random order


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a file of `write_tensors`. Raises `DamagedFile` for any other, or for one that has changed since."""
    if not path.is_file():
        raise DamagedFile(f"{path} is no file")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(HEADER, "{}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = parse_json(text, "its header")
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFile(f"{path} is damaged: {error}") from None
    facts = header.get("facts") if isinstance(header, dict) else None
    if not isinstance(facts, dict) or header.get("sha256") != checksum(tensors, json.dumps(facts)):
        raise DamagedFile(f"{path} is damaged: its content does not have the checksum that was written with it")
    return tensors, facts
