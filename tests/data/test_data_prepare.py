"""Cityscapes prepared: images, train ids and tables, against the dataset's own facts."""

import numpy as np
import pytest
from made import noise, numbers
from PIL import Image

from pocketgan.data import DataConfig, open_data
from pocketgan.data.cityscapes import CLASSES, train_ids
from pocketgan.data.prepare import prepare_cityscapes

SIZE = (512, 256)
NAMES = {"train": ["ulm/ulm_000001_000019", "aachen/aachen_000002_000019"], "val": ["lindau/lindau_000000_000019"]}


def ids_of(name: str) -> np.ndarray:
    return numbers(len(name), SIZE, [0, 3, 7, 23, 26, 33], coarse=64)


@pytest.fixture
def prepared(put, tmp_path):
    """Three images; the name tells what is on them."""
    for split, names in NAMES.items():
        for name in names:
            put(f"origin/leftImg8bit/{split}/{name}_leftImg8bit.png", noise(len(name), SIZE, smooth=64))
            put(f"origin/gtFine/{split}/{name}_gtFine_labelIds.png", Image.fromarray(ids_of(name)))
            put(f"origin/gtFine/{split}/{name}_gtFine_color.png", Image.new("RGBA", SIZE))
    counts = prepare_cityscapes(tmp_path / "origin", tmp_path / "out")
    assert counts == {"train": 2, "val": 1}
    return tmp_path / "out"


def test_the_tables_number_the_pairs_in_the_order_of_their_paths(prepared):
    lines = (prepared / "train_table.txt").read_text().splitlines()
    assert lines == [
        f"{number} gtFine/train/{name}_gtFine_trainIds.png leftImg8bit/train/{name}_leftImg8bit.png"
        for number, name in enumerate(sorted(NAMES["train"]))
    ]
    assert (prepared / "val_table.txt").read_text().count("\n") == 1
    for line in lines:
        _, label_target, photo = line.split()
        assert (prepared / label_target).is_file()
        assert (prepared.parent / "origin" / photo).is_file()


def test_train_ids_are_written_at_full_size(prepared):
    for split, names in NAMES.items():
        for name in names:
            with Image.open(prepared / f"gtFine/{split}/{name}_gtFine_trainIds.png") as image:
                assert image.mode == "L"
                written = np.asarray(image)
            expected = train_ids(ids_of(name))
            assert np.array_equal(written, np.where(expected < 0, 255, expected))


def test_photo_left_colors_right_at_256_in_the_finest_jpeg(prepared):
    colors = {one.id: one.color for one in CLASSES}
    for number, name in enumerate(sorted(NAMES["train"])):
        with Image.open(prepared / f"train/{number}.jpg") as image:
            assert {table[0] for table in image.quantization.values()} == {1}  # quality 100: nothing is divided
            assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # 4:4:4
            sheet = np.asarray(image).astype(int)
        assert sheet.shape == (256, 512, 3)
        photo = np.asarray(noise(len(name), SIZE, smooth=64).resize((256, 256), Image.Resampling.BICUBIC))
        assert np.abs(sheet[:, :256] - photo).max() <= 4
        # In the middle of the blocks the filter sees one class only; half as wide, they are 32 x 64.
        middles = ids_of(name)[32::64, 32::64]
        assert np.abs(sheet[32::64, 256 + 16 :: 32] - np.array([[colors[v] for v in row] for row in middles])).max() <= 4


def test_what_was_prepared_is_read_as_pairs(prepared):
    for split, count in (("train", 2), ("test", 1)):
        data = open_data(DataConfig(path=str(prepared), direction="BtoA"), "paired", split)
        assert (len(data), data.source.kind) == (count, "aligned A|B")


def test_another_folder_is_refused(put, tmp_path):
    put("train/images/1.png", noise(0, (16, 16)))
    put("train/labels/1.png", Image.new("L", (16, 16)))
    with pytest.raises(ValueError, match="is not Cityscapes: it needs the folders leftImg8bit/train and gtFine/train"):
        prepare_cityscapes(tmp_path, tmp_path / "out")
