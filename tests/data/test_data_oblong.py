"""Data sets of images that are not square."""

from pathlib import Path

import numpy as np
import pytest
from made import noise
from PIL import Image

from pocketgan.data import DataConfig, check, open_data
from pocketgan.data.shapes import drawing, generating, scene


def folder(path: Path, *sizes: tuple[int, int]) -> Path:
    """A flat folder of images of those widths and heights."""
    path.mkdir()
    for index, size in enumerate(sizes):
        noise(index, size).save(path / f"{index}.png")
    return path


def test_images_have_the_shape_in_both_splits(tmp_path: Path) -> None:
    path = folder(tmp_path / "photos", (64, 40), (50, 50))
    config = DataConfig(path=str(path), size=32, load_size=36, aspect=1.3333, flip=True)
    train = open_data(config, "inputs", "train")
    assert train.load(0, np.random.default_rng(0))["input"].shape == (24, 32, 3)
    assert train.load(1, None)["input"].shape == (24, 32, 3)
    assert "scaled to 36x27, cropped to 32x24, mirrored" in train.describe()


def test_a_kept_proportion_that_is_another_is_a_problem_of_that_file(tmp_path: Path) -> None:
    path = folder(tmp_path / "photos", (64, 32), (64, 48), (128, 64))
    report = check(DataConfig(path=str(path), size=32, aspect=2, preprocess="scale_width"))
    (problem,) = report.problems
    assert problem.path == str(path / "1.png")
    assert problem.reason.startswith("is 64x48, at width 32 24 high and not 16 (size=32, aspect=2): use aspect=1.333, or")


def test_what_is_smaller_in_height_alone_is_told(tmp_path: Path) -> None:
    path = folder(tmp_path / "photos", (64, 20), (40, 40))
    report = check(DataConfig(path=str(path), size=32, aspect=1.3333))
    assert any(note == "1 of 2 images are smaller than the crop: enlarged" for note in report.notes)
    assert report.ok


def test_a_folder_of_single_oblong_images_is_no_folder_of_pairs(tmp_path: Path) -> None:
    """Twice as wide as high is two squares where squares are seen, and one image where such images are."""

    def kind(path: Path, aspect: float) -> str:
        return open_data(DataConfig(path=str(path), size=32, aspect=aspect), "inputs", "train").source.kind

    streets, pairs = folder(tmp_path / "streets", (64, 32), (128, 64)), folder(tmp_path / "pairs", (128, 32))
    assert kind(streets, 1) == kind(pairs, 2) == "side A of aligned A|B files"
    assert kind(streets, 2) == "single images"


@pytest.mark.parametrize(("aspect", "shape"), [(2.0, (16, 32)), (0.5, (64, 32))])
def test_built_in_drawings_are_squares_squeezed(aspect: float, shape: tuple[int, int]) -> None:
    data = open_data(DataConfig(path="shapes", size=32, aspect=aspect), "paired", "test")
    drawn, side = scene(np.random.default_rng((0, 1, 5))), max(shape)
    for role, square in (("input", drawing(drawn, side)), ("target", generating(drawn, side))):
        expected = np.asarray(Image.fromarray(square).resize(shape[::-1], Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(data.load(5, None)[role], expected)
