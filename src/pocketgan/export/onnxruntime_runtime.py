"""ONNX Runtime on the CPU: sessions, and the runtime of that name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import nn

from pocketgan.core.inputs import ModelInputs, as_tuple
from pocketgan.core.shape import Shape
from pocketgan.core.spec import spec_of
from pocketgan.export.onnx_format import export_onnx
from pocketgan.export.runtimes import RUNTIMES, Runner
from pocketgan.utils.onnx_session import open_session, read_model


@RUNTIMES.register("onnxruntime")
def onnxruntime_runtime(generator: nn.Module, given: ModelInputs, *, threads: int) -> Runner:
    """Export ``generator`` for the size of what is ``given`` and run the file; it is read whole and not needed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generator.onnx"
        export_onnx(generator, path, size=_size(generator, given), verify=False)
        return onnxruntime_runner(path, given, threads=threads)


def onnxruntime_runner(path: str | Path, given: ModelInputs, *, threads: int) -> Runner:
    """A call that runs the ONNX file at ``path`` on what is ``given``, in its order, on the CPU with ``threads`` threads.

    Raises:
        ValueError: the file is missing or no ONNX model, or reads another number of tensors.
    """
    inputs = as_tuple(given)
    session = open_session(read_model(path), threads=threads, label=str(path), inputs=len(inputs))
    names = [value.name for value in session.get_inputs()]
    feed = {name: x.detach().cpu().float().contiguous().numpy() for name, x in zip(names, inputs, strict=True)}
    return lambda: session.run(None, feed)


def _size(generator: nn.Module, given: ModelInputs) -> Shape:
    """Of the image that is given; where there is none, of the images that it always generates."""
    for x in as_tuple(given):
        if x.ndim == 4:
            return x.shape[2], x.shape[3]
    generated = spec_of(generator).output_shape
    assert generated is not None, "a generator reads an image or generates images of one size"
    return generated
