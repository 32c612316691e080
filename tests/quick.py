"""Stand-ins for what takes seconds in a run and is tested where it is the subject."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from torch import nn

from pocketgan.core.shape import Size, as_shape
from pocketgan.export import Exported, Verification


@contextmanager
def quick_exports() -> Iterator[None]:
    """For ONNX a file that tells its size: a real one is made of one student, and by `tests/export` and the law."""

    def export(generator: nn.Module, path: Path, *, size: Size) -> Exported:
        height, width = as_shape(size)
        length = Path(path).write_text(f"onnx {height}x{width}")
        return Exported(Path(path), "onnx", length, Verification({(1, height, width): 0.0}, 1e-4))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pocketgan.pipeline.compress.export_onnx", export)
        yield


@contextmanager
def quick_plots() -> Iterator[None]:
    """For each plot of a page an empty one: `tests/report` draws them, and so do runs that a whole session shares."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pocketgan.report.figures.svg", lambda draw, inches, name: f'<svg id="{name}"></svg>')
        yield
