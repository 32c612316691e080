"""ONNX files in ONNX Runtime, and those that map images to an array."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketgan.utils.registry import check_at_least, listed, shape_text

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MAX_EXTENT = 16_384
"""Images of a batch and pixels of a side, at most, of a file that fixes them."""
_FATAL_ONLY = 4  # other errors are raised


def open_session(model: bytes | Path, *, threads: int | None, label: str, inputs: int = 1) -> InferenceSession:
    """CPU session for a model of ``inputs`` inputs: its bytes, or its path, beside which the file may keep its weights.

    ``threads`` None is all cores; ``label`` is the model's name in errors. Raises ``ValueError`` for a file that is no ONNX
    model, another number of inputs and fewer than 1 thread.
    """
    import onnxruntime  # heavy

    check_at_least({"threads": threads}, threads=1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Idle workers would otherwise spin on the cores that the next candidate of an interleaved measurement needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        source = model if isinstance(model, bytes) else str(model)
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        reason = listed([str(error).strip().splitlines()[-1]])
        raise ValueError(f"{label} is no ONNX model that ONNX Runtime can open ({reason})") from error
    names = [value.name for value in session.get_inputs()]
    if len(names) != inputs:
        expected = "one input, the images" if inputs == 1 else f"{inputs} inputs"
        raise ValueError(f"{label} must have {expected}; it has {len(names)}: {', '.join(names)}")
    return session


@dataclass(frozen=True)
class Role:
    """Purpose of an ONNX file, in the words of errors."""

    kind: str
    """``feature extractor``"""
    axes: str
    """Axes of the output: ``N x D``, one row an image."""
    output: str
    """Content of the output: ``features``."""


class OnnxImageModel:
    """ONNX file with one input N x 3 x H x W (RGB in [0, 1]) and one float output, one row an image, on the CPU.

    ``name`` is the file's, followed by the first digits of its SHA-256: other weights have another name. ``size`` is the
    (height, width) that the file states, None where it leaves one open.
    """

    def __init__(self, path: str | Path, role: Role, *, threads: int | None = None) -> None:
        """Open ``path``; ``threads`` is for ONNX Runtime (default: all cores).

        Raises ``FileNotFoundError`` for no such file, ``ValueError`` for a file that is no model or has other inputs or
        outputs.
        """
        self.path, self._role = Path(path), role
        content = _content(self.path, role)
        self.name = f"{self.path.stem}-{hashlib.sha256(content).hexdigest()[:8]}"
        self._session = open_session(self.path, threads=threads, label=str(path))
        self._input, self._batch, self.size = _input(self.path, self._session)
        self._output = _output(self.path, self._session, role)

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Output for N >= 1 images in [0, 1] of the file's size.

        Runs in parts of the file's own batch size, if it states one; the last part is filled with black.
        """
        batch = self._batch or len(images)
        parts = []
        for part in torch.split(images.cpu(), batch):
            filled = torch.cat([part, part.new_zeros(batch - len(part), *part.shape[1:])])
            try:
                output = np.asarray(self._session.run([self._output], {self._input: filled.numpy()})[0])
            except Exception as error:  # ONNX Runtime's errors share no public base class
                reason = listed([str(error).strip().splitlines()[-1]])
                raise ValueError(f"{self.path} fails on images of {shape_text(filled.shape[2:])} ({reason})") from None
            if output.ndim != len(self._role.axes.split(" x ")) or len(output) != batch:
                found = f"found {output.shape} for {batch} image(s)"
                raise ValueError(f"{self.path}: its output must be {self._role.axes}; {found}")
            parts.append(output[: len(part)])
        return np.concatenate(parts)


def _content(path: Path, role: Role) -> bytes:
    if path.is_file():
        return path.read_bytes()
    others = sorted(file.name for file in path.parent.glob("*.onnx"))
    near = difflib.get_close_matches(path.name, others, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else f"; .onnx files there: {', '.join(others) or 'none'}"
    raise FileNotFoundError(f"no {role.kind} {path}{hint}")


def _input(path: Path, session: Any) -> tuple[str, int | None, tuple[int | None, int | None]]:
    """Name, fixed batch size (None: any) and image size of the one input."""
    (one,) = session.get_inputs()
    if one.type != "tensor(float)" or len(one.shape) != 4 or (isinstance(one.shape[1], int) and one.shape[1] != 3):
        raise ValueError(f"{path}: its input must be float N x 3 x H x W; found {one.type} of shape {one.shape}")
    if any(isinstance(extent, int) and not 0 < extent <= MAX_EXTENT for extent in one.shape):
        raise ValueError(f"{path}: its input has shape {one.shape}; extents are 1 to {MAX_EXTENT:,}")
    batch, _, height, width = (extent if isinstance(extent, int) else None for extent in one.shape)
    return one.name, batch, (height, width)


def _output(path: Path, session: Any, role: Role) -> str:
    outputs = session.get_outputs()
    if len(outputs) != 1 or outputs[0].type != "tensor(float)":
        found = ", ".join(f"{one.name} {one.type}" for one in outputs)
        raise ValueError(f"{path} must have one float output {role.axes}, the {role.output}; it has: {found}")
    return str(outputs[0].name)
