"""Stand-ins for steps of a run that take seconds and are tested where they are the subject."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from torch import nn

from pocketgan.deploy import Verification


@contextmanager
def quick_exports() -> Iterator[None]:
    """ONNX files that hold their size only; real ones are made by `tests/deploy`, by law 7, and of one student."""

    def to_onnx(generator: nn.Module, size: tuple[int, int]) -> bytes:
        return "onnx {}x{}".format(*size).encode()

    def verify_onnx(data: bytes, generator: nn.Module, **options: object) -> Verification:
        return Verification({(1, *map(int, data.decode().split()[1].split("x"))): 0.0}, 1e-4)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pocketgan.deploy.formats.to_onnx", to_onnx)
        patch.setattr("pocketgan.deploy.formats.verify_onnx", verify_onnx)
        yield


@contextmanager
def quick_plots() -> Iterator[None]:
    """Empty plots in every report; real ones are drawn by `tests/report` and in the runs that a whole session shares."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pocketgan.report.figures.svg", lambda draw, inches, name: f'<svg id="{name}"></svg>')
        yield


@contextmanager
def quick_loading() -> Iterator[None]:
    """No loader process, also where a command has no flag for their number; `tests/data` has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pocketgan.data.loader._workers", lambda data, workers: 0)
        yield
