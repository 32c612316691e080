"""Files for the tests of data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, Image.Image], str]:
    """Function that saves an image under a path relative to the test's folder and returns the full path."""

    def save(name: str, image: Image.Image) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        return str(path)

    return save
