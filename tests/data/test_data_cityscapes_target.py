"""The table that joins images with label maps, and the maps as numbers that count."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketgan.data.cityscapes import CLASSES, train_ids
from pocketgan.data.cityscapes_target import read_label_target, read_table
from pocketgan.data.decode import BadImage

STEM = "val/frankfurt/frankfurt_000000_00029"


def labels(index: int, kind: str = "trainIds") -> str:
    return f"gtFine/{STEM}{index}_gtFine_{kind}.png"


def line(index: int) -> str:
    return f"{index} {labels(index)} leftImg8bit/{STEM}{index}_leftImg8bit.png\n"


def write(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two maps: of train ids, and, where those were never made, of label ids."""
    folder = tmp_path / "origin"
    ids = np.arange(34, dtype=np.uint8).reshape(2, 17)
    write(folder / labels(1), np.where(train_ids(ids) < 0, 255, train_ids(ids)).astype(np.uint8))
    write(folder / labels(2, "labelIds"), ids)
    return folder


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "val_table.txt").write_text(text)
    return tmp_path / "val_table.txt"


def test_images_are_found_by_index_and_by_photo(tmp_path: Path, root: Path) -> None:
    found = read_table(table(tmp_path, line(1) + "\n" + line(2)), root)
    first, second = root / labels(1), root / labels(2, "labelIds")
    photo = "frankfurt_000000_00029{}_leftImg8bit"
    assert found == {"1": first, photo.format(1): first, "2": second, photo.format(2): second}


def test_both_kinds_of_maps_hold_the_same_target(root: Path) -> None:
    expected = np.array([one.train_id for one in CLASSES[1:]]).reshape(2, 17)
    for path in (root / labels(1), root / labels(2, "labelIds")):
        label_target = read_label_target(path)
        assert label_target.dtype == np.int64
        np.testing.assert_array_equal(label_target, expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "val_table.txt is empty"),
        (line(1) + "2 only.png\n", r"line 2: found '2 only\.png', must be INDEX gtFine/\.\.\._trainIds\.png leftImg8bit"),
        ("1 gtFine/a_color.png leftImg8bit/a.png", "line 1: found '1 gtFine/a_color"),
        (line(1) + line(1), "line 2: '1' stands on a line above already"),
        (line(1) + line(1).replace("1 gt", "7 gt"), "line 2: 'frankfurt_000000_000291_leftImg8bit' stands"),
        (line(3), r"line 1: neither .*origin/gtFine/val.*293_gtFine_trainIds\.png nor .*labelIds.*folder that holds gtFine"),
    ],
)
def test_tables_of_another_form_are_refused(tmp_path: Path, root: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(table(tmp_path, text), root)


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no table .*absent\.txt"):
        read_table(tmp_path / "absent.txt", tmp_path)


def test_files_that_are_no_target_are_refused(tmp_path: Path, root: Path) -> None:
    colors = write(tmp_path / "a_color.png", np.zeros((2, 3, 3), dtype=np.uint8))
    with pytest.raises(BadImage, match="has 3 channels: take the map of numbers"):
        read_label_target(colors)
    ids = write(tmp_path / "a_trainIds.png", np.full((2, 3), 33, dtype=np.uint8))
    with pytest.raises(BadImage, match=r"holds 33, but train ids are 0 to 18 or 255; .*_labelIds\.png"):
        read_label_target(ids)
    other = write(tmp_path / "a_labelIds.png", np.full((2, 3), 255, dtype=np.uint8))
    with pytest.raises(BadImage, match=r"is no map of label ids: .* -1 to 33; found values from 255"):
        read_label_target(other)
    (tmp_path / "b_trainIds.png").write_bytes(b"404")
    for path in (tmp_path / "b_trainIds.png", tmp_path / "absent.png"):
        with pytest.raises(BadImage, match="cannot be read as a label map"):
            read_label_target(path)
