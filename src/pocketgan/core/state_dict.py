"""State dicts of foreign files, read without running code from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from pocketgan.core.artifact import HEADER
from pocketgan.core.tensors import State, check_file, check_tensors, read_metadata, read_safetensors
from pocketgan.core.torch_files import load_torch_file
from pocketgan.utils.registry import listed, unknown

DEPTH = 3
"""Nesting of dicts down to which state dicts are looked for in a training checkpoint."""

AVERAGED = "n_averaged"
"""Number of averaged networks, which `torch.optim.swa_utils.AveragedModel` stores beside their mean."""


class Contents(NamedTuple):
    """State dict of one network of a file."""

    state: State
    """Tensors, on the CPU."""
    key: str
    """Place in the file: ``""`` at the top, else the dotted keys."""
    beside: Mapping[str, Any]
    """Outermost dict of the file: epoch, scores, widths, other networks."""


def read_state(path: Path, network: str | None = None) -> Contents:
    """Read the only state dict of a file, or the one under the key ``network``.

    Reads ``torch.save`` files of both formats, weights only, and ``.safetensors``. Raises ``ValueError`` with the file and
    the cause: absent, empty, cut short, no checkpoint, code inside, no network or several, weights that are not dense, not
    floating-point or not finite.
    """
    found, data = read_states(path)
    if network is not None and network not in found:
        raise ValueError(f"{path}: {unknown('network', network, (key for key in found if key))}")
    if network is None and len(found) > 1:
        keys = listed([f"'{key}'" for key in found], 12)
        raise ValueError(
            f"{path} holds {len(found)} networks, under {keys}: take one out by pocketgan convert {path} --network "
            f"{next(iter(found))} --out FILE.safetensors, or save the one that you mean to its own file"
        )
    key = next(iter(found)) if network is None else network
    check_tensors(path, found[key])
    return Contents(found[key], key, data)


def read_states(path: Path) -> tuple[dict[str, State], Mapping[str, Any]]:
    """``{dotted key: tensors}`` of every network in the file, and its outermost dict.

    Raises ``ValueError`` as `read_state` does, but does not check the tensors.
    """
    check_file(path)
    data = _load(path)
    found = _state_dicts(data)
    if not found:
        raise ValueError(f"{path} holds {_content(data)}, not a state dict: names to tensors only, as net.state_dict() is")
    return found, data


def _load(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return load_torch_file(path)
    if HEADER in read_metadata(path):
        raise ValueError(f"{path} is an artifact of pocketgan, not a published checkpoint: use pocketgan.load")
    return read_safetensors(path)


def _state_dicts(data: Any) -> dict[str, State]:
    """``{dotted key: state dict}`` of all networks inside nested dicts, without the states of optimizers."""
    found: dict[str, State] = {}
    states: dict[int, State | None] = {}  # by identity, as a dict may have several names, or be inside itself
    level = [("", data)]
    for _ in range(DEPTH + 1):
        inner = []
        for key, value in level:
            if not isinstance(value, Mapping):
                continue
            if id(value) not in states:
                states[id(value)] = state = _as_state(value)
                if state is None:
                    inner += [(f"{key}.{name}".lstrip("."), held) for name, held in value.items()]
            if (state := states[id(value)]) is not None:
                found[key] = state
        level = inner
    return found


def _as_state(data: Mapping[Any, Any]) -> State | None:
    if any(str(name).endswith("weight") for name in data) and all(isinstance(value, Tensor) for value in data.values()):
        return {str(name): tensor for name, tensor in data.items() if name != AVERAGED}
    return None


def _content(data: Any) -> str:
    """Short description of loaded data."""
    if not isinstance(data, Mapping):
        return f"one {type(data).__name__}"
    return f"a dict of {listed([*map(str, data)], 6)}" if data else "an empty dict"
