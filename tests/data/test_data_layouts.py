"""Folder layouts, recognized from the names of folders and files."""

import re
import shutil

import numpy as np
import pytest
from made import flat, identify
from PIL import Image

from pocketgan.data.config import DataConfig
from pocketgan.data.files import natural
from pocketgan.data.images import open_data

CONFIG = {"size": 16}


def aligned(number: int, size=(16, 16)) -> Image.Image:
    """A on the left, B on the right."""
    both = Image.new("RGB", (2 * size[0], size[1]))
    both.paste(flat("A", number, size), (0, 0))
    both.paste(flat("B", number, size), (size[0], 0))
    return both


def contents(data) -> list[dict[str, tuple[str, int]]]:
    """Side and number of every image of a data set, in order."""
    return [{role: identify(image) for role, image in data.load(i, None).items()} for i in range(len(data))]


def both(numbers, side="A", target="B"):
    return [{"input": (side, n), "target": (target, n)} for n in numbers]


def opened(path, task, split, **fields):
    return open_data(DataConfig(path=str(path), **CONFIG, **fields), task, split)


@pytest.fixture
def aligned_folder(put, tmp_path):
    for number in (1, 2, 10):
        put(f"train/{number}.png", aligned(number))
    put("val/3.png", aligned(3))
    return tmp_path


@pytest.fixture
def unaligned_folder(put, tmp_path):
    for split, first in (("train", 0), ("test", 100)):
        for number in range(3):
            put(f"{split}A/a{number}.png", flat("A", first + number))
        for number in range(2):
            put(f"{split}B/sub/b{number}.PNG", flat("B", first + 10 + number))
    return tmp_path


def test_aligned_pairs_in_natural_order(aligned_folder):
    data = opened(aligned_folder, "paired", "train")
    assert data.names == ("1", "2", "10")
    assert contents(data) == both([1, 2, 10])
    assert "3 pairs, aligned A|B, AtoB" in data.describe()


def test_direction_exchanges_input_and_target(aligned_folder):
    assert contents(opened(aligned_folder, "paired", "train", direction="BtoA")) == both([1, 2, 10], "B", "A")


def test_val_serves_where_there_is_no_test_and_test_comes_first(aligned_folder, put):
    assert contents(opened(aligned_folder, "paired", "test")) == both([3])
    put("test/4.png", aligned(4))
    assert contents(opened(aligned_folder, "paired", "test")) == both([4])


@pytest.mark.parametrize(("direction", "side"), [("AtoB", "A"), ("BtoA", "B")])
def test_inputs_are_one_side_alone(aligned_folder, unaligned_folder, direction, side):
    data = opened(aligned_folder / "train", "inputs", "train", direction=direction)
    assert contents(data) == [{"input": (side, n)} for n in (1, 2, 10)]


def test_pairs_can_be_read_unpaired(aligned_folder):
    data = opened(aligned_folder, "unpaired", "train")
    drawn = {
        (identify(got["input"]), identify(got["target"])) for i in range(9) for got in [data.load(i, np.random.default_rng(i))]
    }
    assert any(one[1] != other[1] for one, other in drawn)
    assert all((one[0], other[0]) == ("A", "B") for one, other in drawn)


def test_images_that_are_not_twice_as_wide_are_single(put, tmp_path):
    for number in range(3):
        put(f"train/{number}.png", flat("A", number, (20, 16)))
    data = opened(tmp_path, "inputs", "train")
    assert contents(data) == [{"input": ("A", n)} for n in range(3)]
    with pytest.raises(ValueError, match=r"holds single images \(20x16\), but the task is unpaired"):
        opened(tmp_path, "unpaired", "train")


@pytest.mark.parametrize(("single", "side"), [("8", "A"), ("7", None)])
def test_the_first_eight_images_decide_whether_files_are_aligned(put, tmp_path, single, side):
    for number in range(9):
        put(f"{number}.png", flat("A", 0, (16, 16) if str(number) == single else (32, 16)))
    kind = opened(tmp_path, "inputs", "train").source.kind
    assert kind == (f"side {side} of aligned A|B files" if side else "single images")


def test_aligned_can_be_stated(put, tmp_path):
    put("train/0.png", aligned(0, (20, 16)))
    put("train/1.png", aligned(1, (20, 16)))
    assert contents(opened(tmp_path, "inputs", "train", aligned=True))[1] == {"input": ("A", 1)}
    assert contents(opened(tmp_path, "paired", "train", aligned=True))[1] == both([1])[0]
    with pytest.raises(ValueError, match=r"single images \(40x16\), but the task is paired: .* or set data.aligned=true"):
        opened(tmp_path, "paired", "train")
    whole = opened(tmp_path, "inputs", "train", aligned=False, preprocess="none").load(0, None)["input"]
    assert whole.shape == (16, 40, 3)


def test_unaligned_folders(unaligned_folder):
    train, test = (opened(unaligned_folder, "unpaired", split) for split in ("train", "test"))
    assert train.names == ("a0", "a1", "a2")
    assert [got["target"] for got in contents(train)] == [("B", 10), ("B", 11), ("B", 10)]
    assert [got["input"] for got in contents(test)] == [("A", 100), ("A", 101), ("A", 102)]
    assert opened(unaligned_folder, "unpaired", "train", direction="BtoA").counts == {"input": 2, "target": 3}


def test_an_unpaired_epoch_is_the_larger_side_but_evaluation_has_each_input_once(unaligned_folder):
    assert len(opened(unaligned_folder, "unpaired", "train", direction="BtoA")) == 3
    assert len(opened(unaligned_folder, "unpaired", "test", direction="BtoA")) == 2


def test_name_lists_choose_and_order(unaligned_folder):
    (unaligned_folder / "trainA.txt").write_text("a2.png\n\ntrainA/a0.png\n")
    assert opened(unaligned_folder, "unpaired", "train").names == ("a2", "a0")
    (unaligned_folder / "trainA.txt").write_text("a2.png\nnone.png\n")
    with pytest.raises(ValueError, match=r"trainA\.txt: 1 of 2 names are no files in .*none\.png"):
        opened(unaligned_folder, "unpaired", "train")


def test_one_side_is_enough_for_inputs(put, tmp_path):
    put("trainB/1.png", flat("B", 1))
    assert contents(opened(tmp_path, "inputs", "train", direction="BtoA")) == [{"input": ("B", 1)}]
    with pytest.raises(ValueError, match=r"trainA does not exist: this side of the data has no images"):
        opened(tmp_path, "unpaired", "train")


@pytest.mark.parametrize("pattern", ["{side}/train/{n}", "train/{side}/{n}", "{side}/{n}", "train{side}/{n}_{side}"])
def test_two_folders_are_paired_by_name(put, tmp_path, pattern):
    for number in (11, 9, 2):
        put(pattern.format(side="A", n=number) + ".png", flat("A", number))
        put(pattern.format(side="B", n=number) + ".bmp", flat("B", number))
    data = opened(tmp_path, "paired", "train")
    assert data.names == ("2", "9", "11")
    assert contents(data) == both([2, 9, 11])


def test_names_without_a_partner_are_named(put, tmp_path):
    for name in ("A/1", "A/2", "B/2", "B/3"):
        put(f"{name}.png", flat(name[0], 0))
    with pytest.raises(ValueError, match=r"2 missing: .*A/1\.png has .*/B .*, .*B/3\.png has .*\. Add or remove them"):
        opened(tmp_path, "paired", "train")
    assert opened(tmp_path, "unpaired", "train").counts == {"input": 2, "target": 2}


def test_two_images_of_one_name_cannot_be_paired(put, tmp_path):
    for name in ("A/1.png", "A/1.bmp", "B/1.png"):
        put(name, flat(name[0], 0))
    with pytest.raises(ValueError, match="have the same name"):
        opened(tmp_path, "paired", "train")
    assert opened(tmp_path, "inputs", "train").names == ("1.bmp", "1.png")


def test_pairs_of_different_size_are_named(put, tmp_path):
    put("A/1.png", flat("A", 1))
    put("B/1.png", flat("B", 1, (16, 20)))
    data = opened(tmp_path, "paired", "train")
    with pytest.raises(ValueError, match=r"A/1\.png: is 16x16 but its partner .*B/1\.png is 16x20"):
        data.load(0, None)


def test_halves_of_different_size_are_named(put, tmp_path):
    put("train/1.png", flat("A", 1, (33, 16)))
    with pytest.raises(ValueError, match=r"1\.png: is 33x16: an A\|B image of odd width has no equal halves"):
        opened(tmp_path, "paired", "train", aligned=True).load(0, None)


def test_a_flat_folder_serves_both_splits_with_a_note(put, tmp_path):
    for name in ("b/2.png", "1.png", ".hidden.png", "__MACOSX/3.png"):
        put(name, flat("A", 7))
    (tmp_path / "notes.txt").write_text("not an image")
    for split in ("train", "test"):
        assert opened(tmp_path, "inputs", split).names == ("1", "b/2")
    assert "evaluated on the training images" in opened(tmp_path, "inputs", "test").describe()
    assert "evaluated" not in opened(tmp_path, "inputs", "train").describe()


def test_evaluating_on_the_training_images_warns_once(put, tmp_path):
    put("train/1.png", aligned(1))
    with pytest.warns(UserWarning, match="has no test images: evaluated on the training images") as caught:
        data = opened(tmp_path, "paired", "test")
    assert len(caught) == 1
    assert contents(data) == both([1])


def test_limit_takes_the_first_of_each_side(aligned_folder, unaligned_folder):
    assert opened(aligned_folder / "train", "paired", "train", limit=2).names == ("1", "2")
    shutil.rmtree(aligned_folder / "train")
    shutil.rmtree(aligned_folder / "val")
    assert opened(unaligned_folder, "unpaired", "train", limit=1).counts == {"input": 1, "target": 1}


@pytest.mark.parametrize(
    ("files", "task", "message"),
    [
        ([], "inputs", "holds no images (it holds nothing)"),
        (["a.gif", "b.gif", "c.txt"], "inputs", "holds no images (it holds 2 .gif, 1 .txt)"),
        (
            [f"{n}.{e}" for e, count in (("a", 4), ("b", 3), ("c", 2), ("d", 1)) for n in range(count)],
            "inputs",
            "4 .a, 3 .b, 2 .c)",
        ),
        ([f"{n}/train/1.png" for n in range(8)] + ["testA/1.png", "valA/1.png"], "paired", "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"),
        (["trainA/1.png", "trainB/1.doc"], "unpaired", "trainB holds no images (it holds 1 .doc)"),
        (["test/1.png"], "paired", "has no train images: found the folders test"),
    ],
)
def test_missing_images_are_explained(tmp_path, files, task, message):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=re.escape(message)):
        opened(tmp_path, task, "train")


def test_a_missing_folder_and_a_file_are_explained(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist: give a folder of images, or a built-in set"):
        opened(tmp_path / "nowhere", "paired", "train")
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.zip is a file: give a folder"):
        opened(tmp_path / "a.zip", "paired", "train")


def test_natural_order():
    names = ["10", "9", "a10b2", "a10b10", "a9", "2/1", "b", "010"]
    assert sorted(names, key=natural) == ["2/1", "9", "010", "10", "a9", "a10b2", "a10b10", "b"]
