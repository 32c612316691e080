"""ONNX Runtime on the CPU: sessions, and the runtime of that name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import Tensor, nn

from pocketgan.core.onnx_session import open_session, read_model
from pocketgan.export.onnx_format import export_onnx
from pocketgan.export.runtimes import RUNTIMES, Runner


@RUNTIMES.register("onnxruntime")
def onnxruntime_runtime(generator: nn.Module, x: Tensor, *, threads: int) -> Runner:
    """Export ``generator`` for the size of ``x`` and run the file; it is read whole and not needed afterwards."""
    height, width = x.shape[-2:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generator.onnx"
        export_onnx(generator, path, size=(height, width), verify=False)
        return onnxruntime_runner(path, x, threads=threads)


def onnxruntime_runner(path: str | Path, x: Tensor, *, threads: int) -> Runner:
    """A call that runs the ONNX file at ``path`` on ``x`` (N x C x H x W), on the CPU with ``threads`` threads.

    Raises:
        ValueError: the file is missing or no ONNX model, or has not exactly one input.
    """
    session = open_session(read_model(path), threads=threads, label=str(path))
    feed = {session.get_inputs()[0].name: x.detach().cpu().float().contiguous().numpy()}
    return lambda: session.run(None, feed)
