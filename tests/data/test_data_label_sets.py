"""Label maps from folders: layouts, file formats, geometry, batches, target."""

import itertools
import re

import numpy as np
import pytest
import torch
from made import noise, numbers
from PIL import Image

from pocketgan.data.config import DataConfig
from pocketgan.data.decode import to_bytes
from pocketgan.data.images import hold_out, open_data
from pocketgan.data.labels import instance_edges
from pocketgan.data.loader import eval_batches, train_batches

SIZE = (40, 30)
VALUES = [0, 1, 2, 3, 255]
FOLDERS = {
    "folders": ("train/images/{}.jpg", "train/labels/{}.png", "train/instances/{}.png"),
    "published COCO-Stuff": ("train_img/{}.jpg", "train_label/{}.png", "train_inst/{}.png"),
    "short names": ("train/img/{}.jpg", "train/label/{}.png", "train/inst/{}.png"),
    "cities": (
        "leftImg8bit/train/ulm/{}_leftImg8bit.png",
        "gtFine/train/ulm/{}_gtFine_labelIds.png",
        "gtFine/train/ulm/{}_gtFine_instanceIds.png",
    ),
    "unsplit": ("images/{}.jpg", "labels/{}.png", "instances/{}.png"),
}


def opened(root, split="train", *, task="labels", **fields):
    fields = {"size": 16, "workers": 0, "classes": 4, **fields}
    return open_data(DataConfig(path=str(root), **fields), task, split)


def write(put, number, photo, label, instance="", *, values=VALUES, size=SIZE):
    """A photo, its label map and, where a path is given, its instance map."""
    put(photo.format(number), noise(number, size))
    put(label.format(number), Image.fromarray(numbers(number, size, values)))
    if instance:
        put(instance.format(number), Image.fromarray(numbers(number + 100, size, [0, 1, 24001], dtype=np.uint16)))


@pytest.mark.parametrize("layout", FOLDERS)
@pytest.mark.parametrize("instances", [True, False])
def test_layouts_are_recognized(put, tmp_path, layout, instances):
    photo, label, instance = FOLDERS[layout]
    for number in (2, 10):
        write(put, number, photo, label, instance if instances else "")
    data = opened(tmp_path, preprocess="crop")
    assert [name.rpartition("/")[2] for name in data.names] == ["2", "10"]
    assert data.labels.channels == 4 + instances
    batch = next(iter(eval_batches(data, batch=2))).images
    assert batch["target"].shape == (2, 3, 16, 16)
    crop = slice(7, 23), slice(12, 28)  # the middle
    for number, channels in zip((2, 10), batch["input"], strict=True):
        label_map = numbers(number, SIZE, VALUES)[crop]
        assert np.array_equal(channels[:4].numpy() == 1, label_map == np.arange(4)[:, None, None])
        if instances:
            instance_map = torch.from_numpy(numbers(number + 100, SIZE, [0, 1, 24001], dtype=np.uint16)[crop].astype(int))
            assert torch.equal(channels[4] == 1, instance_edges(instance_map[None])[0])


def test_cityscapes_is_known_by_its_folders_and_evaluated_on_val(put, tmp_path):
    photo, label, instance = FOLDERS["cities"]
    for split in ("train", "val", "test"):
        write(put, 5, *(path.replace("train", split) for path in (photo, label, instance)), values=[7, 23, 26])
    put("gtFine/train/ulm/5_gtFine_color.png", Image.new("RGBA", SIZE))
    data = opened(tmp_path, "test", classes=None)
    assert data.labels.channels == 36
    assert "leftImg8bit" not in data.names[0]
    assert data.source.open({"target": 0}).images["target"].path == str(tmp_path / "leftImg8bit/val/ulm/5_leftImg8bit.png")
    ids = numbers(5, SIZE, [7, 23, 26])
    assert np.array_equal(data.label_target(0), np.select([ids == 7, ids == 23, ids == 26], [0, 10, 13]))


@pytest.mark.parametrize(
    ("mode", "image"),
    [
        ("L", lambda values: Image.fromarray(values)),
        ("I;16", lambda values: Image.fromarray(values.astype(np.uint16))),
        ("P", lambda values: _with_palette(values)),
        ("1", lambda values: Image.fromarray(values > 1)),
    ],
)
def test_pixels_are_numbers_whatever_the_file(put, tmp_path, mode, image):
    values = numbers(0, SIZE, [0, 1, 2, 3])
    path = put("labels/0.png", image(values))
    put("images/0.png", noise(0, SIZE))
    with Image.open(path) as written:
        assert written.mode == mode
    with pytest.warns(UserWarning, match="no test images"):
        data = opened(tmp_path, "test")
    assert np.array_equal(data.label_target(0), values > 1 if mode == "1" else values)


def _with_palette(values):
    image = Image.fromarray(values)
    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200, 90, 90, 90])  # the numbers count, not the colors
    return image


def test_more_than_255_classes(put, tmp_path):
    values = numbers(0, SIZE, [0, 299, 300, 4000], dtype=np.uint16)
    put("train/labels/0.png", Image.fromarray(values))
    put("train/images/0.png", noise(0, SIZE))
    data = opened(tmp_path, classes=300, preprocess="crop", size=30)
    expected = np.where(values < 300, values.astype(int), -1)
    assert np.array_equal(data.label_target(0), expected)
    channels = next(iter(eval_batches(data, batch=1))).images["input"]
    assert np.array_equal(data.labels.indices(channels)[0], expected[:, 5:35])


@pytest.mark.parametrize("flip", [False, True])
def test_map_and_photo_are_cut_and_mirrored_alike(put, tmp_path, flip):
    for number in range(3):
        values = numbers(number, SIZE, [0, 1, 2, 3], coarse=2)
        put(f"train/labels/{number}.png", Image.fromarray(values))
        put(f"train/images/{number}.png", Image.fromarray(np.repeat(values[..., None] * 60, 3, axis=2)))
    data = opened(tmp_path, preprocess="crop", flip=flip)
    for images in itertools.islice(train_batches(data, batch=2, seed=1), 10):
        assert torch.equal(data.labels.indices(images["input"]) * 60, to_bytes(images["target"])[..., 0].long())


def test_maps_are_scaled_to_the_nearest_pixel(put, tmp_path):
    values = numbers(0, (50, 30), VALUES, coarse=3)
    put("train/labels/0.png", Image.fromarray(values))
    put("train/images/0.jpg", noise(0, (50, 30)))
    data = opened(tmp_path, size=20, aspect=2.0)
    across, down = (np.floor((np.arange(n) + 0.5) * long / n).astype(int) for n, long in ((20, 50), (10, 30)))
    channels = next(iter(eval_batches(data, batch=1))).images["input"]
    assert channels.shape == (1, 4, 10, 20)
    expected = values[down][:, across].astype(int)
    assert np.array_equal(data.labels.indices(channels)[0], np.where(expected == 255, -1, expected))
    assert np.array_equal(data.label_target(0), np.where(values == 255, -1, values.astype(int)))  # never scaled


@pytest.fixture
def street(put, tmp_path):
    for number in range(5):
        write(put, number, *FOLDERS["folders"])
    return tmp_path


def test_workers_and_slices_do_not_change_the_batches(street):
    data = opened(street, load_size=20, flip=True)
    expected = list(itertools.islice(train_batches(data, batch=4, seed=3), 4))
    parallel = train_batches(data, batch=4, seed=3, workers=1)
    part = train_batches(data, batch=4, seed=3, slice_of=(1, 2))
    for one in expected:
        other, half = next(parallel), next(part)
        assert all(torch.equal(one[role], other[role]) for role in one)
        assert torch.equal(one["input"][2:], half["input"])
    parallel.close()


def test_batches_between_processes_are_integers(street):
    assert {role: (image.dtype, image.shape) for role, image in opened(street).load(0, None).items()} == {
        "input": (np.int32, (16, 16, 2)),  # 16-bit instances
        "target": (np.uint8, (16, 16, 3)),
    }


def test_held_out_images_keep_labels_and_target(street):
    data = opened(street)
    rest, held = hold_out(data, 2)
    assert rest.labels == held.labels == data.labels
    assert all(np.array_equal(held.label_target(i), data.label_target(3 + i)) for i in range(2))
    whole = [batch.images["input"] for batch in eval_batches(data, batch=1)]
    assert torch.equal(next(iter(eval_batches(held, batch=2))).images["input"], torch.cat(whole[3:]))


def test_the_photos_alone_are_side_b(street):
    photos = opened(street, task="inputs", direction="BtoA")
    assert photos.labels is None
    pairs = opened(street)
    for index in range(5):
        assert np.array_equal(photos.load(index, None)["input"], pairs.load(index, None)["target"])
    for task, direction in (("paired", "AtoB"), ("unpaired", "BtoA"), ("inputs", "AtoB")):
        with pytest.raises(ValueError, match=f"label maps and photos, but the task is {task}: use the task labels"):
            opened(street, task=task, direction=direction)


def test_a_line_for_people(street):
    expected = "(train): 5 pairs, label maps as 5 channels (4 classes, instance edges), of 40x30, scaled to 16x16"
    assert opened(street).describe().endswith(expected)


def test_boxes_are_no_label_maps(put, tmp_path):
    put("train/images/1.png", noise(0, SIZE))
    (tmp_path / "train/labels").mkdir()
    (tmp_path / "train/labels/1.txt").write_text("0 0.5 0.5 1 1")
    assert len(opened(tmp_path, task="inputs")) == 1
    with pytest.raises(ValueError, match="has no label maps and photos for train: found the folders train; known layouts are"):
        opened(tmp_path)


def test_the_error_for_missing_classes_lists_the_values(street):
    with pytest.raises(ValueError, match=r"first 5 hold 0 to 3, 255\. .*classes=256 makes all of them classes.*classes\.txt"):
        opened(street, classes=None)
    (street / "classes.txt").write_text("sky\nroad #102030")
    labels = opened(street, classes=None).labels
    assert (labels.classes, labels.colors[1]) == (("sky", "road"), (16, 32, 48))


def test_the_first_eight_label_maps_are_listed(put, tmp_path):
    for number in range(9):
        put(f"train/images/{number}.png", noise(0, SIZE))
        put(f"train/labels/{number}.png", Image.new("L", SIZE, 2 * number))
    with pytest.raises(ValueError, match=r"The first 8 hold 0, 2, 4, 6, 8, 10, 12, 14\. Give"):
        opened(tmp_path, classes=None)


def test_every_split_has_instance_maps_or_none(street, put):
    write(put, 0, "val/images/{}.png", "val/labels/{}.png")
    with pytest.raises(ValueError, match="train has instance maps but val has none"):
        opened(street, "test")


@pytest.mark.parametrize(
    ("image", "name", "reason"),
    [
        (Image.new("RGB", SIZE), "0.png", "has RGB pixels, which are colors: .* number of a class"),
        (Image.new("L", SIZE), "0.jpg", "is a JPEG"),
        (Image.new("L", (30, 40)), "0.png", "is 30x40 but its partner .* is 40x30"),
    ],
)
def test_label_files_that_cannot_be_used_are_refused(put, tmp_path, image, name, reason):
    put("train/images/0.png", noise(0, SIZE))
    put(f"train/labels/{name}", image)
    with pytest.raises(ValueError, match=re.escape(name) + ": " + reason):
        opened(tmp_path).load(0, None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"direction": "BtoA"}, "the input is always the label map"), ({"classes": 0}, "classes=0: the least is 1")],
)
def test_wrong_settings_are_refused(street, fields, message):
    with pytest.raises(ValueError, match=message):
        opened(street, **fields)


def test_missing_partners_are_named(street):
    (street / "train/images/1.jpg").unlink()
    (street / "train/labels/2.png").unlink()
    (street / "train/instances/4.png").unlink()
    message = r"3 missing: .*2\.jpg has no label map, .*1\.png has no photo, .*4\.png has no instance map\. Add or remove them"
    with pytest.raises(ValueError, match=message):
        opened(street)
