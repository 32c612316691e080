"""Runs of recipes without their plots and ONNX exports, which have their own tests."""

from collections.abc import Iterator

import pytest

from quick import quick_exports, quick_plots


@pytest.fixture(autouse=True)
def quick_runs() -> Iterator[None]:
    """Skip the plots of reports, and replace ONNX files by placeholders."""
    with quick_plots(), quick_exports():
        yield
