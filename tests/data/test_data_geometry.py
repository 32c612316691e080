"""Scale, crop and mirror, against Pillow's two-step way and closed forms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import noise
from PIL import Image

from pocketgan.data.check import check
from pocketgan.data.config import DataConfig
from pocketgan.data.geometry import Geometry, apply, plan
from pocketgan.data.images import open_data
from pocketgan.data.loader import eval_batches
from pocketgan.data.shapes import draw_sketch, random_scene, render

SIZES = st.tuples(st.integers(20, 90), st.integers(20, 90))


@settings(max_examples=12, deadline=None)
@given(size=SIZES, load=st.integers(32, 60), seed=st.integers(0, 99))
def test_the_crop_equals_scaling_first_and_cropping_second(size, load, seed):
    image = noise(seed, size)
    config = DataConfig(path="", size=32, load_size=load, flip=True)
    geometry = plan(size, config, np.random.default_rng(seed))
    expected = image.resize(geometry.scaled, Image.Resampling.BICUBIC).crop(geometry.box)
    if geometry.flip:
        expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    difference = np.asarray(apply(image, geometry), int) - np.asarray(expected, int)
    assert np.abs(difference).max() <= 2  # rows, then columns are rounded, and the weights are in other places
    assert np.abs(difference).mean() < 0.25


@settings(max_examples=25, deadline=None)
@given(
    size=SIZES,
    mode=st.sampled_from(["resize", "scale_shorter", "crop"]),
    seed=st.one_of(st.none(), st.integers(0, 99)),
)
def test_a_crop_is_square_and_inside(size, mode, seed):
    config = DataConfig(path="", size=20, load_size=None if mode == "crop" else 24, preprocess=mode)
    geometry = plan(size, config, None if seed is None else np.random.default_rng(seed))
    left, top, right, bottom = geometry.box
    assert geometry.size == (20, 20)
    assert left >= 0
    assert top >= 0
    assert right <= geometry.scaled[0]
    assert bottom <= geometry.scaled[1]
    if mode == "scale_shorter":
        assert min(geometry.scaled) == (20 if seed is None else 24)
        assert geometry.scaled[0] / geometry.scaled[1] == pytest.approx(size[0] / size[1], abs=0.06 * max(size) / 20)


@pytest.mark.parametrize(
    ("mode", "size", "scaled"),
    [
        ("resize", (300, 200), (64, 64)),
        ("scale_shorter", (300, 200), (96, 64)),
        ("scale_shorter", (200, 300), (64, 96)),
        ("scale_width", (100, 98), (64, 64)),  # 62.7 high: a multiple of 4 is what there must be
        ("scale_width", (64, 62), (64, 64)),  # half a multiple away, the most there may be
        ("crop", (300, 200), (300, 200)),
        ("none", (301, 198), (300, 200)),  # 198 / 4 = 49.5 rounds to the even 50
    ],
)
def test_scaled_sizes(mode, size, scaled):
    assert plan(size, DataConfig(path="", size=64, preprocess=mode), None).scaled == scaled


@pytest.mark.parametrize(
    ("mode", "size", "fields", "scaled", "seen"),
    [
        ("resize", (2048, 1024), {"size": 64, "aspect": 2}, (64, 32), (64, 32)),
        ("resize", (2048, 1024), {"size": 64, "load_size": 71, "aspect": 2}, (71, 36), (64, 32)),  # 35.5 to the even 36
        ("resize", (300, 300), {"size": 256, "aspect": 1.3333}, (256, 192), (256, 192)),
        ("scale_shorter", (300, 100), {"size": 64, "aspect": 2}, (96, 32), (64, 32)),
        ("scale_shorter", (100, 100), {"size": 64, "aspect": 2}, (64, 64), (64, 32)),
        ("scale_shorter", (200, 100), {"size": 30, "load_size": 33, "aspect": 2}, (33, 16), (30, 15)),
        ("scale_shorter", (200, 100), {"size": 30, "aspect": 0.75}, (80, 40), (30, 40)),
        ("scale_width", (2048, 1024), {"size": 64, "aspect": 2}, (64, 32), (64, 32)),
        ("scale_width", (100, 60), {"size": 64, "aspect": 1.6}, (64, 40), (64, 40)),  # 38.4, to a multiple of 4
        ("scale_width", (960, 720), {"size": 256, "aspect": 1.3333}, (256, 192), (256, 192)),
        ("crop", (100, 90), {"size": 64, "aspect": 2}, (100, 90), (64, 32)),
        ("none", (301, 198), {"size": 64, "aspect": 2}, (300, 200), (300, 200)),
    ],
)
def test_oblong_sizes(mode, size, fields, scaled, seen):
    geometry = plan(size, DataConfig(path="", preprocess=mode, **fields), np.random.default_rng(0))
    assert (geometry.scaled, geometry.size) == (scaled, seen)


def test_a_shape_is_height_and_width_as_published():
    assert DataConfig(path="", size=512, aspect=2).shape == (256, 512)  # Cityscapes
    assert DataConfig(path="", size=256, aspect=1.3333).shape == (192, 256)  # CamVid
    assert DataConfig(path="", size=256, load_size=286).load_shape == (286, 286)


@settings(max_examples=25, deadline=None)
@given(size=SIZES, mode=st.sampled_from(["resize", "scale_shorter"]), aspect=st.floats(0.5, 2.0), seed=st.integers(0, 99))
def test_an_oblong_crop_has_its_shape_and_is_inside(size, mode, aspect, seed):
    config = DataConfig(path="", size=20, load_size=23, aspect=aspect, preprocess=mode)
    geometry = plan(size, config, np.random.default_rng(seed))
    assert geometry.size == config.shape[::-1] == (20, round(20 / aspect))
    assert min(geometry.box) >= 0
    assert geometry.box[2] <= geometry.scaled[0]
    assert geometry.box[3] <= geometry.scaled[1]


def test_another_proportion_than_the_stated_is_refused_where_it_would_be_kept():
    with pytest.raises(ValueError, match=r"is 2048x1024: scaled to width 64 the height is 32, not 64 .*: use aspect=2, or"):
        plan((2048, 1024), DataConfig(path="", size=64, preprocess="scale_width"), None)
    with pytest.raises(ValueError, match="is 64x61: scaled to width 64 the height is 61, not 64"):
        plan((64, 61), DataConfig(path="", size=64, preprocess="scale_width"), None)


def test_evaluation_scales_to_the_size_and_takes_the_middle():
    config = DataConfig(path="", size=64, load_size=80, flip=True, preprocess="scale_shorter")
    assert plan((128, 64), config, None) == Geometry((128, 64), (32, 0, 96, 64), False)


def test_every_offset_and_both_directions_occur_in_training():
    config = DataConfig(path="", size=16, load_size=19, flip=True)
    rng = np.random.default_rng(0)
    seen = {(g.box[0], g.box[1], g.flip) for g in (plan((50, 50), config, rng) for _ in range(600))}
    assert seen == {(x, y, flip) for x in range(4) for y in range(4) for flip in (False, True)}


def test_a_reduced_image_gives_the_same_part():
    image = noise(3, (256, 128), smooth=32)
    geometry = plan(image.size, DataConfig(path="", size=32, load_size=36), np.random.default_rng(1))
    full = np.asarray(apply(image, geometry), int)
    reduced = np.asarray(apply(image.reduce(2), geometry), int)
    assert np.abs(full - reduced).max() <= 6


def test_an_image_at_its_size_is_not_touched():
    image = noise(4, (32, 32))
    assert np.array_equal(apply(image, plan((32, 32), DataConfig(path="", size=32), None)), np.asarray(image))


def test_an_image_smaller_than_the_crop_is_refused_with_both_sizes():
    with pytest.raises(ValueError, match="30x100, smaller than the 64x64 crop"):
        plan((30, 100), DataConfig(path="", size=64, preprocess="crop"), None)


@settings(max_examples=15, deadline=None)
@given(
    size=SIZES,
    center=st.integers(16, 20),
    mode=st.sampled_from(["resize", "scale_shorter", "crop"]),
    seed=st.one_of(st.none(), st.integers(0, 99)),
)
def test_a_center_equals_cropping_beforehand(size, center, mode, seed):
    """As torchvision's CenterCrop before any other step: pixels around the center are neither read nor scaled."""
    image, load = noise(center, size), None if mode == "crop" else 18
    config = DataConfig(path="", size=16, load_size=load, flip=True, preprocess=mode)
    left, top = (size[0] - center) // 2, (size[1] - center) // 2
    beforehand = image.crop((left, top, left + center, top + center))
    one, other = (None if seed is None else np.random.default_rng(seed) for _ in range(2))
    geometry = plan(size, replace(config, center=center), one)
    expected = apply(beforehand, plan(beforehand.size, config, other))
    assert geometry.size == (16, 16)
    assert np.array_equal(np.asarray(apply(image, geometry)), np.asarray(expected))


def test_celebas_faces_are_the_published_square():
    """178 x 218, of which 160 x 160 are left and scaled to 64 x 64; no pixel is decoded at less than its size."""
    geometry = plan((178, 218), DataConfig(path="", size=64, center=160), None)
    assert geometry == Geometry((64, 64), (0, 0, 64, 64), False, center=160)
    assert geometry.least is None
    image = Image.new("RGB", (178, 218), "red")
    image.paste("blue", (9, 29, 169, 189))
    assert {color for _, color in apply(image, geometry).getcolors()} == {(0, 0, 255)}


@pytest.mark.parametrize("size", [(159, 300), (300, 159)])
def test_an_image_smaller_than_its_center_is_refused_by_name(size, tmp_path):
    config = DataConfig(path=str(tmp_path), size=64, center=160)
    message = (
        f"is {size[0]}x{size[1]}, smaller than the central 160x160 that center=160 cuts out: use a smaller center, or none"
    )
    with pytest.raises(ValueError, match=message):
        plan(size, config, None)
    noise(0, size).save(tmp_path / "face.png")
    (problem,) = check(config, task="unconditional").problems
    assert (problem.path, problem.reason.startswith(message)) == (str(tmp_path / "face.png"), True)
    with pytest.raises(ValueError, match=r"face\.png: is "):
        list(eval_batches(open_data(config, "unconditional", "train"), batch=1, workers=0))


def test_a_center_is_described_checked_and_evaluated(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    noise(0, (40, 30)).save(tmp_path / "images" / "one.png")
    classes = np.arange(30 * 40).reshape(30, 40) % 7
    Image.fromarray(classes.astype(np.uint8)).save(tmp_path / "labels" / "one.png")
    config = DataConfig(path=str(tmp_path), size=24, center=20, classes=7)
    data = open_data(config, "labels", "train")
    assert "the central 20x20 cut out, scaled to 24x24" in data.describe()
    assert np.array_equal(data.label_target(0), classes[5:25, 10:30])
    report = check(config, task="labels")
    assert report.ok
    assert any("smaller than the crop" in note for note in report.notes)


def test_the_halves_of_a_file_have_a_center_each(tmp_path):
    left, right = noise(1, (30, 20)), noise(2, (30, 20))
    both = Image.new("RGB", (60, 20))
    both.paste(left, (0, 0))
    both.paste(right, (30, 0))
    both.save(tmp_path / "one.png")
    loaded = open_data(DataConfig(path=str(tmp_path), size=16, center=16, aligned=True), "paired", "train").load(0, None)
    for role, half in (("input", left), ("target", right)):
        assert np.array_equal(loaded[role], np.asarray(half)[2:18, 7:23])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"direction": "BtoB"}, "Did you mean 'BtoA'"),
        ({"preprocess": "resise"}, "Did you mean 'resize'"),
        ({"size": 0}, "size=0: the least is 2"),
        ({"size": 16_385}, "size=16385, aspect=1: images have at most 16,384 pixels a side"),
        ({"load_size": 10**9}, "size=1000000000, aspect=1: images have at most"),
        ({"aspect": 1e-3}, "size=256, aspect=0.001: images have at most"),
        ({"classes": 4097}, "classes=4097: the most is 4096, as each class is a channel"),
        ({"aspect": 0.0}, "aspect=0 is width over height: with size=256 it must be above 0 and at most 128"),
        ({"aspect": 200.0}, "aspect=200 "),
        ({"aspect": float("nan")}, "aspect=nan "),
        ({"workers": -1}, "workers=-1"),
        ({"limit": 0}, "limit=0"),
        ({"center": 1}, "center=1: the least is 2"),
        ({"center": 160, "preprocess": "none"}, "center=160 cuts a part .* preprocess=none keeps the whole image: leave one"),
        ({"size": 64, "load_size": 60}, "load_size=60 is smaller than size=64"),
        ({"size": 64, "load_size": 70, "preprocess": "crop"}, "has no effect with preprocess=crop"),
    ],
)
def test_a_wrong_setting_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(path="", **fields)


def folder(path: Path, *sizes: tuple[int, int]) -> Path:
    """A flat folder of images of those widths and heights."""
    path.mkdir()
    for index, size in enumerate(sizes):
        noise(index, size).save(path / f"{index}.png")
    return path


def test_images_have_the_shape_in_both_splits(tmp_path: Path):
    path = folder(tmp_path / "photos", (64, 40), (50, 50))
    config = DataConfig(path=str(path), size=32, load_size=36, aspect=1.3333, flip=True)
    train = open_data(config, "inputs", "train")
    assert train.load(0, np.random.default_rng(0))["input"].shape == (24, 32, 3)
    assert train.load(1, None)["input"].shape == (24, 32, 3)
    assert "scaled to 36x27, cropped to 32x24, mirrored" in train.describe()


def test_another_proportion_is_a_problem_of_that_file(tmp_path: Path):
    path = folder(tmp_path / "photos", (64, 32), (64, 48), (128, 64))
    report = check(DataConfig(path=str(path), size=32, aspect=2, preprocess="scale_width"))
    (problem,) = report.problems
    assert problem.path == str(path / "1.png")
    assert problem.reason.startswith(
        "is 64x48: scaled to width 32 the height is 24, not 16 (size=32, aspect=2): use aspect=1.333, or"
    )


def test_an_image_smaller_in_height_alone_is_counted(tmp_path: Path):
    path = folder(tmp_path / "photos", (64, 20), (40, 40))
    report = check(DataConfig(path=str(path), size=32, aspect=1.3333))
    assert any(note == "1 of 2 images are smaller than the crop: enlarged" for note in report.notes)
    assert report.ok


def test_a_folder_of_single_oblong_images_is_no_folder_of_pairs(tmp_path: Path):
    """Twice as wide as high is two squares at aspect 1, and one image at aspect 2."""

    def kind(path: Path, aspect: float) -> str:
        return open_data(DataConfig(path=str(path), size=32, aspect=aspect), "inputs", "train").source.kind

    streets, pairs = folder(tmp_path / "streets", (64, 32), (128, 64)), folder(tmp_path / "pairs", (128, 32))
    assert kind(streets, 1) == kind(pairs, 2) == "side A of aligned A|B files"
    assert kind(streets, 2) == "single images"


@pytest.mark.parametrize(("aspect", "shape"), [(2.0, (16, 32)), (0.5, (64, 32))])
def test_built_in_drawings_are_squares_squeezed(aspect: float, shape: tuple[int, int]):
    data = open_data(DataConfig(path="shapes", size=32, aspect=aspect), "paired", "test")
    made, side = random_scene(np.random.default_rng((0, 1, 5))), max(shape)
    for role, square in (("input", draw_sketch(made, side)), ("target", render(made, side))):
        expected = np.asarray(Image.fromarray(square).resize(shape[::-1], Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(data.load(5, None)[role], expected)
