"""``check`` on label maps: unusable files are named, void pixels are counted."""

import numpy as np
import pytest
from made import noise, numbers
from PIL import Image

from pocketgan.data.check import check
from pocketgan.data.config import DataConfig

SIZE = (32, 32)


@pytest.fixture
def street(put, tmp_path):
    """Four classes, a quarter of one map void."""
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            put(f"{split}/images/{number}.jpg", noise(number, SIZE))
            put(f"{split}/labels/{number}.png", Image.fromarray(numbers(number, SIZE, [0, 1, 2, 3])))
    values = np.zeros(SIZE, np.uint8)
    values[:8], values[8:16] = 255, 4
    values[:, :16] = 1
    put("train/labels/2.png", Image.fromarray(values))
    return tmp_path


def checked(path, *, full=True, **fields):
    return check(DataConfig(path=str(path), size=32, classes=4, **fields), full=full)


def reasons(report, root):
    return {problem.path.removeprefix(f"{root}/"): problem.reason for problem in report.problems}


def test_a_good_folder_is_ok_and_void_is_counted(street):
    report = checked(street)
    assert (report.ok, report.task) == (True, "labels")
    assert [": 3 pairs, label maps as 4 channels" in report.splits[0], ": 2 pairs" in report.splits[1]] == [True, True]
    assert report.notes == ("1 of 5 label maps have void pixels, 5.00% of all (values 4, 255)",)
    assert checked(street, full=False).notes == ()


def test_at_most_five_void_values_are_listed(street, put):
    values = np.zeros(SIZE, np.uint8)
    values[0, :6] = range(10, 16)
    put("train/labels/2.png", Image.fromarray(values))
    assert checked(street).notes == ("1 of 5 label maps have void pixels, 0.12% of all (values 10, 11, 12, 13, 14 and 1 more)",)


def test_gray_maps_are_no_unusual_images_but_gray_photos_are(street, put):
    put("train/images/0.jpg", noise(0, SIZE).convert("L"))
    assert "1 of 5 images are grayscale: read as RGB" in checked(street).notes


def test_unusable_files_are_named(street, put):
    put("train/labels/0.png", Image.new("RGB", SIZE))
    put("train/labels/1.png", Image.new("L", (32, 30)))
    put("val/labels/0.png", Image.new("L", SIZE, 9))
    whole = (street / "val/labels/1.png").read_bytes()
    (street / "val/labels/1.png").write_bytes(whole[:-40])
    found = reasons(checked(street), street)
    assert list(found) == ["train/labels/0.png", "train/labels/1.png", "val/labels/0.png", "val/labels/1.png"]
    starts = (
        "has RGB pixels, which are colors",
        "is 32x30 but its partner",
        "has no pixel of the 4 classes; its values are 9",
        "",
    )
    assert all(reason.startswith(start) for reason, start in zip(found.values(), starts, strict=True))


def test_missing_partners_are_named(street, put):
    (street / "train/images/1.jpg").unlink()
    put("train/images/7.jpg", noise(7, SIZE))
    for split, number in (("train", 0), ("train", 1), ("val", 0), ("val", 1)):
        put(f"{split}/instances/{number}.png", Image.fromarray(numbers(number, SIZE, [0, 300], dtype=np.uint16)))
    assert reasons(checked(street), street) == {
        "train/images/7.jpg": "has no label map",
        "train/labels/1.png": "has no photo",
        "train/labels/2.png": "has no instance map",
    }


def test_instance_maps_are_read_too(street, put):
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            put(f"{split}/instances/{number}.png", Image.fromarray(numbers(number, SIZE, [0, 300], dtype=np.uint16)))
    assert checked(street).ok
    put("train/instances/0.png", Image.new("L", (16, 16)))
    whole = (street / "val/instances/1.png").read_bytes()
    (street / "val/instances/1.png").write_bytes(whole[:-30])
    found = reasons(checked(street), street)
    assert list(found) == ["train/instances/0.png", "val/instances/1.png"]
    assert found["train/instances/0.png"].startswith("is 16x16 but its label map")


def test_classes_that_are_not_stated_are_a_problem_not_an_error(street):
    report = check(str(street))
    assert "the meaning of the values of the label maps is not stated" in str(report)
    assert not report.ok
