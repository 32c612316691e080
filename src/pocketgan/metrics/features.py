"""Feature extractors: pictures in, one row of features a picture out."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from pocketgan.core.pictures import check_images, resize, to_8bit
from pocketgan.metrics.statistics import F64, feature_rows

DEFAULT_SIZE = 224  # of ImageNet networks, where the file leaves height and width open


class Extractor(Protocol):
    """What distances are measured on. Its ``name`` is part of the name of every number measured on it."""

    @property
    def name(self) -> str:
        """Short, and different for different weights."""
        ...

    @property
    def dim(self) -> int:
        """D, the number of features of a picture."""
        ...

    def __call__(self, images: Tensor) -> F64:
        """Features N x D of pictures N x 3 x H x W in [-1, 1]."""
        ...


STANDARD = ("clean", "legacy")
"""Names that only the standard Inception features bear: distances on them are FID and KID."""


def distance_name(kind: Literal["frechet", "kernel"], extractor: Extractor, reals: str = "test") -> str:
    """The name of a distance to the real pictures ``reals``: ``FID[clean,test]``, ``kernel[mobilenet-1a2b3c4d]``.

    FID and KID are Inception's, and say always which protocol and which real pictures, as numbers of different ones do not
    compare. On other features only pictures other than those of the test split are named.
    """
    if extractor.name in STANDARD:
        return f"{'FID' if kind == 'frechet' else 'KID'}[{extractor.name},{reals}]"
    return f"{kind}[{extractor.name}]" if reals == "test" else f"{kind}[{extractor.name},{reals}]"


class OnnxFeatures:
    """Any ONNX file with one input N x 3 x H x W (RGB in [0, 1]) and one output N x D as an extractor.

    Called with pictures N x 3 x H x W in [-1, 1], which are rounded to 8 bit first, as a saved file would be, then
    resized (``resize``) to the size that the file states, or 224 x 224 where it leaves it open. Runs on the CPU, so
    that the numbers are the same everywhere.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open ``path``; ``threads`` is for ONNX Runtime (default: all cores).

        Raises ``FileNotFoundError`` for no such file, ``ValueError`` for a file that is no model or has other inputs or
        outputs.
        """
        self.path = Path(path)
        content = _content(self.path)
        self.name = f"{self.path.stem}-{hashlib.sha256(content).hexdigest()[:8]}"
        self._session = _open(self.path, threads)
        self._input, self._batch, self.size = _input(self.path, self._session)
        self._output = _output(self.path, self._session)
        self.dim = self._run(torch.zeros(1, 3, *self.size)).shape[1]

    def __call__(self, images: Tensor) -> F64:
        """Features N x D in float64; ``ValueError`` for pictures that are not N x 3 x H x W in [-1, 1]."""
        if check_images(images).shape[1] != 3:
            raise ValueError(f"features need RGB pictures; found {images.shape[1]} channel(s)")
        if len(images) == 0:
            return np.empty((0, self.dim))
        return self._run(resize(to_8bit(images).cpu(), self.size))

    def _run(self, images: Tensor) -> F64:
        """Run in parts of the file's own batch size, if it states one; the last part is filled with black."""
        batch = self._batch or len(images)
        parts = []
        for part in torch.split(images, batch):
            filled = torch.cat([part, part.new_zeros(batch - len(part), *part.shape[1:])])
            output = np.asarray(self._session.run([self._output], {self._input: filled.numpy()})[0])
            if output.ndim != 2 or len(output) != batch:
                raise ValueError(f"{self.path}: its output must be N x D; found {output.shape} for {batch} picture(s)")
            parts.append(output[: len(part)])
        return feature_rows(np.concatenate(parts))


def _content(path: Path) -> bytes:
    if path.is_file():
        return path.read_bytes()
    beside = [file.name for file in path.parent.glob("*.onnx")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else f"; .onnx files there: {', '.join(sorted(beside)) or 'none'}"
    raise FileNotFoundError(f"no feature extractor {path}{hint}")


def _open(path: Path, threads: int | None) -> Any:
    import onnxruntime  # heavy, and only who measures on features needs it

    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, found {threads}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"{path} is no ONNX model that ONNX Runtime can open ({reason})") from error


def _input(path: Path, session: Any) -> tuple[str, int | None, tuple[int, int]]:
    """Name, fixed batch size (None: any) and picture size of the one input."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs)
        raise ValueError(f"{path} must have one input, the pictures; it has {len(inputs)}: {names}")
    shape, kind = inputs[0].shape, inputs[0].type
    if kind != "tensor(float)" or len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        raise ValueError(f"{path}: its input must be float N x 3 x H x W; found {kind} of shape {shape}")
    batch, _, height, width = (extent if isinstance(extent, int) else None for extent in shape)
    return inputs[0].name, batch, (height or DEFAULT_SIZE, width or DEFAULT_SIZE)


def _output(path: Path, session: Any) -> str:
    outputs = session.get_outputs()
    if len(outputs) != 1 or outputs[0].type != "tensor(float)":
        found = ", ".join(f"{one.name} {one.type}" for one in outputs)
        raise ValueError(f"{path} must have one float output N x D, the features; it has: {found}")
    return str(outputs[0].name)
