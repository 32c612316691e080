"""Tensors of files by their names: read from safetensors, compared with a network's, and checked before use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pocketgan.utils.registry import listed, shape_text

State = Mapping[str, Tensor]
"""``{name: tensor}``, as ``state_dict()`` gives it."""

Faults = Mapping[str, Sequence[str]]
"""``{kind of fault: names}`` of tensors that do not fit a network: missing, unknown, of another shape."""

WEIGHTS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of weights that are read; all but float32 are converted."""


def check_file(path: Path) -> None:
    """Raise ``ValueError`` unless ``path`` is a file with content."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name the file in it, for example {path / 'latest_net_G.pth'}")
    if not path.is_file():
        raise ValueError(f"{path} is a pipe or device, not a file" if path.exists() else f"there is no file {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes): fetch or save it again")


def read_metadata(path: Path) -> dict[str, str]:
    """Texts in the header of a safetensors file. Raises ``ValueError`` for a file that is absent, cut short or another one."""
    check_file(path)
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, on the CPU. Raises ``ValueError`` as `read_metadata` does."""
    check_file(path)
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError, TypeError) as error:  # the last two for types that torch does not have
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None


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


def faults_text(faults: Faults) -> str:
    """``2 missing: a, b; 1 unknown: c``."""
    return "; ".join(f"{len(names)} {kind}: {listed(names)}" for kind, names in faults.items())


def is_count(name: str) -> bool:
    """True for the number of batches that a norm has seen, which is younger than some files and without effect."""
    return name.endswith("num_batches_tracked")


def check_tensors(path: Path, state: State, expected: State | None = None) -> None:
    """Raise ``ValueError`` for weights of ``path`` that cannot be used: not dense, no `WEIGHTS`, empty or not finite.

    Integers are allowed where ``expected``, the tensors of the network, has the same; without it for counts of batches.
    """
    for name, tensor in state.items():
        wanted = torch.float32 if expected is None else expected[name].dtype
        if expected is None and is_count(name):
            wanted = torch.int64
        allowed = WEIGHTS if wanted.is_floating_point else (wanted,)
        if tensor.dtype not in allowed or tensor.layout != torch.strided or tensor.is_meta:
            kind = f"{'valueless' if tensor.is_meta else tensor.layout} {tensor.dtype}".replace("torch.", "")
            needed = "dense floating-point weights are read" if wanted.is_floating_point else f"{wanted} fits there"
            raise ValueError(f"{path} has {listed([name])} as {kind}: only {needed.replace('torch.', '')}")
        if not tensor.numel() and expected is None:
            raise ValueError(f"{path} has {listed([name])} as {shape_text(tensor.shape)}: it holds no number")
        if not tensor.to(wanted).isfinite().all():
            raise ValueError(
                f"{path} has numbers in {listed([name])} that are not finite: its training diverged; take an older one"
            )
