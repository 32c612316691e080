"""Rows and columns of the gallery for images without an input, and in several styles."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketgan.report.gallery import Gallery, gallery
from pocketgan.report.read import read_runs

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(name, {"000_student": seed, ...})`` writes a run with random images alone."""

    def run(name: str, images: dict[str, int]) -> Path:
        folder = tmp_path / name / "images"
        folder.mkdir(parents=True)
        for file, seed in images.items():
            values = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(values).save(folder / f"{file}.png")
        return tmp_path / name

    return run


def of(*runs: Path) -> Gallery:
    return gallery(read_runs(runs))


def shown(found: Gallery) -> list[list[bool]]:
    return [[image is not None for image in row] for row in found.rows]


def test_rows_of_runs_are_matched_by_the_teachers_image_without_an_input(make: Make) -> None:
    """The teacher's image is the same for the same latents, whatever its number in each run."""
    one = make("one", {"000_teacher": 1, "000_student": 11, "001_teacher": 2, "001_student": 12})
    two = make("two", {"000_teacher": 2, "000_student": 22, "001_teacher": 3, "001_student": 23})
    found = of(one, two)
    assert found.columns == ("teacher", "one", "two")
    assert shown(found) == [[True, True, False], [True, True, True], [True, False, True]]
    assert found.left_out == 0


def test_rows_without_input_and_teacher_are_not_matched(make: Make) -> None:
    found = of(make("one", {"000_image": 1}), make("two", {"000_image": 1}))
    assert len(found.rows) == 2


def test_further_styles_have_columns_after_the_first(make: Make) -> None:
    roles = {"input": 1, "teacher": 2, "student": 3, "teacher-style2": 4, "student-style2": 5, "teacher-style3": 6}
    run = make("one", {f"000_{role}": seed for role, seed in roles.items()})
    assert of(run).columns == ("input", "teacher", "student", "teacher, style 2", "student, style 2", "teacher, style 3")
    other = make("two", {f"000_{role}": seed + 100 * role.startswith("student") for role, seed in roles.items()})
    assert of(run, other).columns == (
        *("input", "teacher", "one", "two"),
        *("teacher, style 2", "one, style 2", "two, style 2", "teacher, style 3"),
    )


@pytest.mark.parametrize("name", ["student-stylex", "teacher-style", "input-style²", "student-style99999", "-style2"])
def test_names_that_are_no_styles(make: Make, name: str) -> None:
    assert of(make("one", {"000_input": 1, f"000_{name}": 2})).columns == ("input", name)
