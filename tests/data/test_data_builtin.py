"""The built-in sets: closed forms of the shapes, laws of the drawings, stored values."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pocketgan.data.builtin import texture
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.shapes import (
    CLASSES,
    Scene,
    Shape,
    box,
    circle,
    coverage,
    draw_sketch,
    label_map,
    polygon,
    random_scene,
    render,
    ring,
    star,
)

BOX = 4 * (0.9 * 0.54) - (4 - math.pi) * 0.16**2


def _grid(size=400):
    line = (np.arange(size) + 0.5) * (2 / size) - 1
    return np.meshgrid(line, line)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (circle, math.pi),
        (ring, math.pi * (1 - 0.25)),
        (box, BOX),
        # A regular polygon in the unit circle: n/2 sin(2 pi / n); a star: n times tip x notch x sin(pi / n).
        (partial(polygon, corners=3), 1.5 * math.sin(math.tau / 3)),
        (partial(polygon, corners=6), 3 * math.sin(math.tau / 6)),
        (partial(star, points=5), 5 * 0.48 * math.sin(math.pi / 5)),
    ],
    ids=["circle", "ring", "box", "triangle", "hexagon", "star"],
)
def test_area_and_reach_of_each_shape(shape, area):
    x, y = _grid()
    distance = shape(x, y)
    assert coverage(distance, 2 / 400).sum() * (2 / 400) ** 2 == pytest.approx(area, rel=2e-3)
    assert np.hypot(x, y)[distance < 0].max() <= 1.0
    slope = np.hypot(*np.gradient(distance, 2 / 400))
    assert np.quantile(slope[np.abs(distance) < 0.1], 0.05) > 0.98  # a true distance near the outline
    assert slope.max() < 1.05  # a little more where two edges meet


def a_scene(sun=0.3, **changes):
    shape = Shape(kind=0, x=0.1, y=-0.1, radius=0.4, turn=0.0)
    return Scene(sun, (replace(shape, **changes),))


def test_a_quarter_turn_of_the_scene_is_a_quarter_turn_of_the_drawing():
    made = random_scene(np.random.default_rng(5))
    quarter = math.pi / 2  # y points down, so this turns clockwise
    turned = [replace(s, x=-s.y, y=s.x, turn=s.turn + quarter) for s in made.shapes]
    expected = np.rot90(draw_sketch(made, 64), -1)
    got = draw_sketch(Scene(made.sun + quarter, tuple(turned)), 64)
    assert np.abs(got.astype(int) - expected).max() <= 1


def test_all_sizes_have_the_same_scene():
    made = random_scene(np.random.default_rng(1))
    small, large = render(made, 64).astype(float), render(made, 256).reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - large).mean() < 4


def test_hidden_lines_are_not_drawn():
    behind, front = Shape(0, 0.0, 0.0, 0.3, 0.0), Shape(2, 0.0, 0.0, 0.6, 0.0)
    assert np.array_equal(draw_sketch(Scene(1.0, (behind, front)), 64), draw_sketch(Scene(1.0, (front,)), 64))


def test_the_light_comes_from_the_sun():
    for sun in np.linspace(0, 2 * math.pi, 9):
        lit = render(a_scene(float(sun), x=0.0, y=0.0, radius=0.5), 64).astype(float).sum(axis=2)
        x, y = _grid(64)
        inside = np.hypot(x, y) < 0.45
        towards = (x * math.cos(sun) + y * math.sin(sun))[inside]
        assert np.corrcoef(towards, lit[inside])[0, 1] > 0.6


def test_the_color_follows_from_kind_size_and_turn_and_from_the_sun_far_away():
    middle = [
        render(made, 64)[32, 32].astype(int)
        for made in (
            a_scene(x=0, y=0),
            a_scene(x=0, y=0, kind=2),
            a_scene(x=0, y=0, kind=2, turn=math.pi / 2),
            a_scene(x=0, y=0, kind=2, radius=0.58),
            a_scene(x=0, y=0, kind=2, sun=2.0),
        )
    ]
    assert all(np.abs(one - other).max() > 5 for i, one in enumerate(middle) for other in middle[:i])
    sky = [render(Scene(sun, ()), 64)[32, 32].astype(int) for sun in (0.0, 1.5, 4.5)]
    assert all(np.abs(one - other).max() > 20 for i, one in enumerate(sky) for other in sky[:i])


def test_shapes_beyond_the_rim_are_cut_off():
    assert (draw_sketch(a_scene(x=5.0, y=5.0), 32) == draw_sketch(Scene(0.3, ()), 32)).all()
    assert (render(a_scene(x=5.0, y=-5.0), 32) == render(Scene(0.3, ()), 32)).all()


def test_both_textures_have_the_same_content():
    """With the same numbers drawn, blobs lie at the same places; only the material differs."""

    def blobs(side, paper):
        images = [texture(np.random.default_rng(seed), side, 64).astype(int) for seed in range(20)]
        return np.stack([np.abs(image - paper).max(axis=2) > 60 for image in images])

    warm, cool = blobs("A", (247, 237, 214)), blobs("B", (20, 26, 43))
    assert (warm == cool).mean() > 0.9
    assert 0.35 < warm.mean() < 0.65
    red, _, blue = texture(np.random.default_rng(0), "A", 64).mean(axis=(0, 1))
    assert red > blue
    red, _, blue = texture(np.random.default_rng(0), "B", 64).mean(axis=(0, 1))
    assert red < blue


@pytest.mark.parametrize(
    ("name", "task", "means"),
    [
        ("shapes", "paired", {"train": [212.44, 135.71], "test": [220.52, 137.16]}),
        ("textures", "unpaired", {"train": [165.69, 69.43], "test": [174.64, 93.29]}),
    ],
)
def test_images_are_the_same_everywhere(name, task, means):
    for split, expected in means.items():
        images = open_data(DataConfig(path=name, size=64), task, split).load(7, None)
        assert [image.mean() for image in images.values()] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("name", "task"), [("shapes", "paired"), ("textures", "unpaired")])
def test_splits_are_disjoint_and_no_image_comes_twice(name, task):
    config = DataConfig(path=name, size=16, limit=60)
    images = [
        image.tobytes()
        for split in ("train", "test")
        for index in range(60)
        for image in open_data(config, task, split).load(index, None).values()
    ]
    assert len(set(images)) == 240


def test_counts_directions_and_tasks():
    config = DataConfig(path="shapes", size=16)
    assert [len(open_data(config, "paired", split)) for split in ("train", "test")] == [2000, 200]
    a_to_b, b_to_a = (open_data(replace(config, direction=d), "paired", "test").load(3, None) for d in ("AtoB", "BtoA"))
    assert np.array_equal(a_to_b["input"], b_to_a["target"])
    assert np.array_equal(a_to_b["target"], b_to_a["input"])
    assert open_data(config, "inputs", "test").load(3, None).keys() == {"input"}
    unpaired = open_data(config, "unpaired", "train").load(3, np.random.default_rng(0))
    assert not np.array_equal(unpaired["target"], a_to_b["target"])
    with pytest.raises(ValueError, match="textures has no pairs: use shapes, or train unpaired"):
        open_data(DataConfig(path="textures"), "paired", "train")
    with pytest.raises(ValueError, match="textures has no label maps: use shapes, or train unpaired"):
        open_data(DataConfig(path="textures"), "labels", "train")


@pytest.mark.parametrize("kind", range(5))
def test_a_label_map_has_the_area_of_its_shape(kind):
    area = [math.pi, math.pi * 0.75, BOX, 1.5 * math.sin(math.tau / 3), 5 * 0.48 * math.sin(math.pi / 5)][kind]
    classes, instances = np.moveaxis(label_map(a_scene(kind=kind, radius=0.5, x=0.0, y=0.0), 400), -1, 0)
    assert (classes == kind + 1).sum() * (2 / 400) ** 2 == pytest.approx(area * 0.25, rel=5e-3)
    assert np.array_equal(instances == 1, classes == kind + 1)
    assert (classes == CLASSES.index("sun")).sum() * (2 / 400) ** 2 == pytest.approx(math.pi * 0.075**2, rel=0.02)


def test_a_label_map_has_the_front_shape_and_separates_instances():
    made = Scene(0.3, (Shape(0, -0.2, 0.0, 0.5, 0.0), Shape(0, 0.2, 0.0, 0.5, 0.0), Shape(2, 0.2, 0.0, 0.3, 0.0)))
    classes, instances = np.moveaxis(label_map(made, 100), -1, 0)
    assert classes[50, [5, 30, 60, 82]].tolist() == [0, 1, 3, 1]
    assert instances[50, [5, 30, 60, 82]].tolist() == [0, 1, 3, 2]


def test_label_map_and_rendering_are_of_one_scene():
    config = DataConfig(path="shapes", size=64)
    labeled, pairs = open_data(config, "labels", "test"), open_data(config, "paired", "test")
    assert labeled.labels.classes == CLASSES
    assert labeled.labels.channels == 8
    for index in range(8):
        images = labeled.load(index, None)
        assert np.array_equal(images["target"], pairs.load(index, None)["target"])
        dot = images["input"][..., 0] == CLASSES.index("sun")
        assert dot.any()
        assert images["target"][dot].min() > 100  # half of each such pixel, or more, is white
        assert pairs.load(index, None)["input"][dot].max() < 140  # and black in the drawing
        assert np.array_equal(labeled.label_target(index), images["input"][..., 0])


def test_the_built_in_sets_are_cropped_and_mirrored_like_files():
    config = DataConfig(path="shapes", size=16, load_size=20, flip=True)
    data = open_data(config, "paired", "train")
    whole = open_data(DataConfig(path="shapes", size=20), "paired", "train").load(0, None)
    part = data.load(0, np.random.default_rng(3))
    places = [
        (x, y, flip)
        for x in range(5)
        for y in range(5)
        for flip in (1, -1)
        if all(np.array_equal(whole[role][y : y + 16, x : x + 16][:, ::flip], part[role]) for role in part)
    ]
    assert len(places) == 1
