"""The figures in the repository are those of their script."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree
from pathlib import Path
from types import ModuleType

import pytest
from manual import PAGES, ROOT
from PIL import Image

import pocketgan


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_figures", ROOT / "docs" / "make_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_drawings_are_up_to_date_and_used(script: ModuleType) -> None:
    everything = "\n".join(PAGES.values())
    for name, draw in script.DRAWN.items():
        file = ROOT / "docs" / "figures" / f"{name}.svg"
        assert file.read_text() == draw(), f"run python docs/make_figures.py: {file} is old"
        assert xml.etree.ElementTree.fromstring(draw()).tag.endswith("svg")
        assert f"figures/{name}.svg" in everything


def test_the_figure_shows_every_package(script: ModuleType) -> None:
    package = Path(pocketgan.__file__).parent
    packages = {path.stem for path in package.iterdir() if not path.name.startswith("_") and path.is_dir()}
    drawn = [name for row in script.LAYERS for name, _ in row]
    assert sorted(drawn) == sorted(packages)


def test_the_sheet_of_the_quickstart(script: ModuleType, tmp_path: Path) -> None:
    """Columns by role, rows by number."""
    (tmp_path / "student" / "images").mkdir(parents=True)
    for row in range(script.ROWS):
        for column, name in enumerate(script.COLUMNS):
            Image.new("RGB", (8, 6), (60 * column, 70 * row, 9)).save(tmp_path / "student/images" / f"{row:03d}_{name}.png")
    sheet = script.quickstart(tmp_path)
    for row in range(script.ROWS):
        for column in range(len(script.COLUMNS)):
            x = script.GAP + column * (8 * script.SCALE + script.GAP)
            y = script.HEAD + row * (6 * script.SCALE + script.GAP)
            corner = x + 8 * script.SCALE - 1, y + 6 * script.SCALE - 1
            assert sheet.getpixel((x, y)) == sheet.getpixel(corner) == (60 * column, 70 * row, 9)
            assert sheet.getpixel((corner[0] + 1, corner[1])) == (255, 255, 255)
