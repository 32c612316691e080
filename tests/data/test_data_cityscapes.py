"""Cityscapes: the table of its classes, its tables of label maps, and its preparation for pix2pix."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from made import noise, numbers
from PIL import Image

from pocketgan.data.cityscapes import CLASSES, TRAINED
from pocketgan.data.cityscapes_files import prepare_cityscapes, read_label_target, read_table
from pocketgan.data.config import DataConfig
from pocketgan.data.decode import BadImage
from pocketgan.data.images import open_data
from pocketgan.utils.progress import Reporter

TRAINED_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
"""The label ids that the evaluation of Cityscapes counts, in the order of the train ids."""


def train_ids(ids: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda one: TRAINED_IDS.index(one) if one in TRAINED_IDS else -1)(ids)


PALETTE = (
    "804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64 005064"
    " 0000e6 770b20"
)
"""The colors of the 19 classes in the legend of Cityscapes."""

IGNORED_PALETTE = (
    "00008e 000000 000000 000000 000000 000000 6f4a00 510051 faaaa0 e6968c b4a5b4 966464 96785a 999999 00005a 00006e"
)
"""The colors of the other classes, in the order of their ids."""


def test_the_classes_stand_in_the_order_of_their_numbers() -> None:
    assert [entry.id for entry in CLASSES] == list(range(-1, 34))
    assert [entry.train_id for entry in TRAINED] == list(range(19))
    assert [entry.id for entry in TRAINED] == TRAINED_IDS
    assert len({entry.name for entry in CLASSES}) == 35


def test_the_colors_are_those_of_the_legend() -> None:
    assert [bytes(entry.color).hex() for entry in TRAINED] == PALETTE.split()
    assert [bytes(entry.color).hex() for entry in CLASSES if entry.train_id < 0] == IGNORED_PALETTE.split()


STEM = "val/frankfurt/frankfurt_000000_00029"


def labels(index: int, kind: str = "trainIds") -> str:
    return f"gtFine/{STEM}{index}_gtFine_{kind}.png"


def line(index: int) -> str:
    return f"{index} {labels(index)} leftImg8bit/{STEM}{index}_leftImg8bit.png\n"


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two maps: of train ids, and, where those were never made, of label ids."""
    folder = tmp_path / "origin"
    ids = np.arange(34, dtype=np.uint8).reshape(2, 17)
    save(folder / labels(1), np.where(train_ids(ids) < 0, 255, train_ids(ids)).astype(np.uint8))
    save(folder / labels(2, "labelIds"), ids)
    return folder


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "val_table.txt").write_text(text)
    return tmp_path / "val_table.txt"


def test_images_are_found_by_index_and_by_photo(tmp_path: Path, root: Path) -> None:
    targets = read_table(table(tmp_path, line(1) + "\n" + line(2)), root)
    first, second = root / labels(1), root / labels(2, "labelIds")
    photo = "frankfurt_000000_00029{}_leftImg8bit"
    assert targets == {"1": first, photo.format(1): first, "2": second, photo.format(2): second}


def test_both_kinds_of_maps_hold_the_same_target(root: Path) -> None:
    expected = np.array([entry.train_id for entry in CLASSES[1:]]).reshape(2, 17)
    for path in (root / labels(1), root / labels(2, "labelIds")):
        target = read_label_target(path)
        assert target.dtype == np.int64
        np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "val_table.txt is empty"),
        (line(1) + "2 only.png\n", r"line 2: found '2 only\.png', must be INDEX gtFine/\.\.\._trainIds\.png leftImg8bit"),
        ("1 gtFine/a_color.png leftImg8bit/a.png", "line 1: found '1 gtFine/a_color"),
        (line(1) + line(1), "line 2: '1' is also on a line above"),
        (line(1) + line(1).replace("1 gt", "7 gt"), "line 2: 'frankfurt_000000_000291_leftImg8bit' is also"),
        (line(3), r"line 1: neither .*origin/gtFine/val.*293_gtFine_trainIds\.png nor .*labelIds.*folder that holds gtFine"),
    ],
)
def test_tables_of_another_form_are_refused(tmp_path: Path, root: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(table(tmp_path, text), root)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no table .*absent\.txt"):
        read_table(tmp_path / "absent.txt", tmp_path)


def test_files_that_are_no_target_are_refused(tmp_path: Path, root: Path) -> None:
    colors = save(tmp_path / "a_color.png", np.zeros((2, 3, 3), dtype=np.uint8))
    with pytest.raises(BadImage, match="has RGB pixels, which are colors: a label map holds the number"):
        read_label_target(colors)
    ids = save(tmp_path / "a_trainIds.png", np.full((2, 3), 33, dtype=np.uint8))
    with pytest.raises(BadImage, match=r"holds 33, but train ids are 0 to 18 or 255; .*_labelIds\.png"):
        read_label_target(ids)
    for value in (34, 255):
        other = save(tmp_path / "a_labelIds.png", np.array([[5, value]], dtype=np.uint8))
        with pytest.raises(BadImage, match=f"is no map of label ids: .* -1 to 33; found values from 5 to {value}"):
            read_label_target(other)
    (tmp_path / "b_trainIds.png").write_bytes(b"404")
    for name, reason in (("b_trainIds.png", "is not an image that can be read"), ("absent.png", "no such file")):
        with pytest.raises(BadImage, match=rf"{name}: {reason}"):
            read_label_target(tmp_path / name)


SIZE = (512, 256)
NAMES = {"train": ["ulm/ulm_000001_000019", "aachen/aachen_000002_000019"], "val": ["lindau/lindau_000000_000019"]}


class Recorder(Reporter):
    """Record the progress of every task."""

    def __init__(self):
        self.done = {}

    @contextmanager
    def task(self, name, total, done=0):
        ticks = self.done.setdefault((name, total), [])
        yield lambda count, values=None: ticks.append(count)


def ids_of(name: str) -> np.ndarray:
    return numbers(len(name), SIZE, [0, 3, 7, 23, 26, 33], coarse=64)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Three images whose content follows from their name."""
    path = tmp_path_factory.mktemp("cityscapes")
    for split, names in NAMES.items():
        for name in names:
            for file, image in (
                (f"leftImg8bit/{split}/{name}_leftImg8bit.png", noise(len(name), SIZE, smooth=64)),
                (f"gtFine/{split}/{name}_gtFine_labelIds.png", Image.fromarray(ids_of(name))),
                (f"gtFine/{split}/{name}_gtFine_color.png", Image.new("RGBA", SIZE)),
            ):
                (path / "origin" / file).parent.mkdir(parents=True, exist_ok=True)
                image.save(path / "origin" / file)
    reporter = Recorder()
    assert prepare_cityscapes(path / "origin", path / "out", reporter=reporter) == {"train": 2, "val": 1}
    assert reporter.done == {("prepare train", 2): [1, 2], ("prepare val", 1): [1]}
    return path / "out"


def test_the_tables_number_the_pairs_in_the_order_of_their_paths(prepared):
    lines = (prepared / "train_table.txt").read_text().splitlines()
    assert lines == [
        f"{number} gtFine/train/{name}_gtFine_trainIds.png leftImg8bit/train/{name}_leftImg8bit.png"
        for number, name in enumerate(sorted(NAMES["train"]))
    ]
    assert (prepared / "val_table.txt").read_text().count("\n") == 1
    for row in lines:
        _, target, photo = row.split()
        assert (prepared / target).is_file()
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
    colors = {entry.id: entry.color for entry in CLASSES}
    for number, name in enumerate(sorted(NAMES["train"])):
        with Image.open(prepared / f"train/{number}.jpg") as image:
            assert {table[0] for table in image.quantization.values()} == {1}  # quality 100: nothing is divided
            assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # 4:4:4
            image_pair = np.asarray(image).astype(int)
        assert image_pair.shape == (256, 512, 3)
        photo = np.asarray(noise(len(name), SIZE, smooth=64).resize((256, 256), Image.Resampling.BICUBIC))
        assert np.abs(image_pair[:, :256] - photo).max() <= 4
        # In the middle of the blocks the filter sees one class only; half as wide, they are 32 x 64.
        middles = ids_of(name)[32::64, 32::64]
        assert np.abs(image_pair[32::64, 256 + 16 :: 32] - np.array([[colors[v] for v in row] for row in middles])).max() <= 4


def test_prepared_images_are_read_as_pairs(prepared):
    for split, count in (("train", 2), ("test", 1)):
        data = open_data(DataConfig(path=str(prepared), direction="BtoA"), "paired", split)
        assert (len(data), data.source.kind) == (count, "aligned A|B")


def test_another_folder_is_refused(put, tmp_path):
    put("train/images/1.png", noise(0, (16, 16)))
    put("train/labels/1.png", Image.new("L", (16, 16)))
    with pytest.raises(ValueError, match="is not Cityscapes: it needs the folders leftImg8bit/train and gtFine/train"):
        prepare_cityscapes(tmp_path, tmp_path / "out")
