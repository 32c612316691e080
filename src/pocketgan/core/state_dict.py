"""State dicts of foreign files, read without running code from them."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pocketgan.core.artifact import read_header
from pocketgan.utils.registry import listed, shape_text, unknown

State = Mapping[str, Tensor]
"""``{name: tensor}``, as ``state_dict()`` gives it."""

DEPTH = 3
"""Nesting of dicts down to which state dicts are looked for in a training checkpoint."""

NUMPY: list[Any] = [
    *((np.float64(0).__reduce__()[0], f"numpy.{home}.multiarray.scalar") for home in ("core", "_core")),  # numpy 1 and 2
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int64")),
]
"""Objects that a pickle may hold beside tensors: numpy scalars, as training code keeps its scores beside the weights."""


Faults = Mapping[str, Sequence[str]]
"""``{kind of fault: names}`` of tensors that do not fit a network: missing, unknown, of another shape."""


def faults_of(state: State, expected: State) -> Faults:
    """Differences of ``state`` from ``expected``, the tensors of a network; counts of batches may be missing."""
    faults = {
        "missing": [name for name in expected if name not in state and not is_count(name)],
        "unknown": [name for name in state if name not in expected],
        "of another shape": [
            f"{name} is {shape_text(state[name].shape)} instead of {shape_text(tensor.shape)}"
            for name, tensor in expected.items()
            if name in state and state[name].shape != tensor.shape
        ],
    }
    return {kind: names for kind, names in faults.items() if names}


def is_count(name: str) -> bool:
    """True for the number of batches that a norm has seen, which is younger than some files and without effect."""
    return name.endswith("num_batches_tracked")


def faults_text(faults: Faults) -> str:
    """``2 missing: a, b; 1 unknown: c``."""
    return "; ".join(f"{len(names)} {kind}: {listed(names)}" for kind, names in faults.items())


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
        keys = ", ".join(f"'{key}'" for key in found)
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
    _check_file(path)
    data = _load(path)
    found = _state_dicts(data)
    if not found:
        raise ValueError(f"{path} holds {_content(data)}, not a state dict: names to tensors only, as net.state_dict() is")
    return found, data


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name the file in it, for example {path / 'latest_net_G.pth'}")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes): fetch or save it again")


def check_tensors(path: Path, state: State) -> None:
    """Raise ``ValueError`` for weights that are not dense, not floating-point or not finite; counts of batches may be."""
    for name, tensor in state.items():
        if is_count(name):
            continue
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            kind = f"{tensor.layout} {tensor.dtype}".replace("torch.", "")
            raise ValueError(f"{path} has {name} as {kind}: only dense floating-point weights are read")
        if not tensor.isfinite().all():
            raise ValueError(f"{path} has numbers in {name} that are not finite: its training diverged; take an older one")


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        if read_header(path) is not None:
            raise ValueError(f"{path} is an artifact of pocketgan, not a published checkpoint: use pocketgan.load")
        return load_file(path)
    with path.open("rb") as file:
        start = file.read(4)
    if not start.startswith((b"PK\x03\x04", b"\x80")):  # a zip archive (since PyTorch 1.6), a bare pickle (before)
        raise ValueError(f"{path} is not a checkpoint: no torch.save file begins with {start!r}")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(NUMPY):
            warnings.simplefilter("ignore")  # on archives that are refused below
            return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises nearly everything here, KeyError and EOFError among them
        raise ValueError(f"{path} {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Cause of an error of ``torch.load``, in words that follow the file's name."""
    text = str(error)
    code = re.search(r"GLOBAL ([\w.]+)", text)
    if code or "TorchScript" in text:
        what = code[1] if code else "TorchScript"
        return (
            f"is more than weights ({what}): loading it would run code from the file, which pocketgan never does; where "
            "you trust it, load it yourself and save the weights alone by torch.save(net.state_dict(), FILE)"
        )
    if isinstance(error, pickle.UnpicklingError | KeyError):
        return "is not a checkpoint: it is no pickle that torch.save writes"
    return f"is cut short or damaged: fetch or save it again ({text.split('.')[0] or type(error).__name__})"


def _state_dicts(data: Any, key: str = "", depth: int = DEPTH) -> dict[str, State]:
    """``{dotted key: state dict}`` of all networks inside nested dicts, without the states of optimizers."""
    if not isinstance(data, Mapping) or depth < 0:
        return {}
    if any(str(name).endswith("weight") for name in data) and all(isinstance(v, Tensor) for v in data.values()):
        return {key: {str(name): tensor for name, tensor in data.items()}}
    return {
        path: state
        for name, value in data.items()
        for path, state in _state_dicts(value, f"{key}.{name}".lstrip("."), depth - 1).items()
    }


def _content(data: Any) -> str:
    """Short description of loaded data."""
    if not isinstance(data, Mapping):
        return f"one {type(data).__name__}"
    return f"a dict of {', '.join(map(str, list(data)[:6]))}" if data else "an empty dict"
