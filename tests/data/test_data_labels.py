"""Channels of label maps: laws, closed forms, and the classes that are known or read."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.data.cityscapes import CLASSES
from pocketgan.data.decode import to_bytes
from pocketgan.data.labels import Labels, cityscapes, instance_edges, known_labels, numbered, palette

LABELS = numbered(5)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 999),
    void=st.booleans(),
    edges=st.booleans(),
    dtype=st.sampled_from([torch.uint8, torch.int32, torch.int64]),
)
def test_indices_undo_one_hot_and_every_pixel_has_one_class_or_is_void(seed, void, edges, dtype):
    labels = replace(LABELS, void=void, edges=edges)
    generator = torch.Generator().manual_seed(seed)
    low = 0 if dtype is torch.uint8 else -3
    maps = torch.randint(low, 9, (2, 4, 6), generator=generator).to(dtype)
    instances = torch.randint(0, 3, (2, 4, 6), generator=generator).to(dtype) if edges else None
    channels = labels.one_hot(maps, instances)
    assert channels.shape == (2, 5 + void + edges, 4, 6)
    assert channels.dtype == torch.float32
    expected = torch.where((maps >= 0) & (maps < 5), maps.long(), -1)
    assert torch.equal(labels.indices(channels), expected)
    assert torch.equal(channels[:, :5].sum(dim=1), (expected >= 0).float())
    assert all(torch.equal(channels[:, k] == 1, maps == k) for k in range(5))
    if void:
        assert torch.equal(channels[:, 5] == 1, expected < 0)
    if instances is not None:
        assert torch.equal(channels[:, -1] == 1, instance_edges(instances))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), height=st.integers(1, 6), width=st.integers(1, 6))
def test_an_edge_is_where_one_of_four_neighbors_differs(seed, height, width):
    instances = torch.randint(0, 2, (2, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    inside = {(y, x) for y in range(height) for x in range(width)}
    expected = [
        [[any(m[y, x] != m[n] for n in {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & inside) for x in range(width)]
         for y in range(height)]
        for m in instances
    ]  # fmt: skip
    assert instance_edges(instances).tolist() == expected


@pytest.mark.parametrize(("seed", "factor"), [(0, 255), (1, 1000)])
def test_only_the_inequality_of_instances_counts(seed, factor):
    """8-bit and 16-bit instance maps are published; scaling or renumbering them changes nothing."""
    instances = torch.randint(0, 9, (1, 8, 8), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(instance_edges(instances), instance_edges((instances * factor + 1).int()))


def test_images_for_people_have_colors_black_void_and_darker_edges():
    labels = replace(LABELS, edges=True, colors=((10, 20, 30), (200, 100, 50), *palette(3)))
    maps = torch.tensor([[[0, 0, 1, 1], [9, 9, 1, 1]]])
    instances = torch.tensor([[[0, 0, 0, 7], [0, 0, 0, 7]]])
    image = labels.colored(labels.one_hot(maps, instances))
    assert (image.min() >= -1, image.shape) == (True, (1, 3, 2, 4))
    pixels = to_bytes(image)[0]
    assert pixels[0].tolist() == [[10, 20, 30], [10, 20, 30], [80, 40, 20], [80, 40, 20]]
    assert pixels[1].tolist() == [[0, 0, 0], [0, 0, 0], [80, 40, 20], [80, 40, 20]]
    plain = replace(labels, edges=False)
    assert to_bytes(plain.colored(plain.one_hot(maps)))[0, 0, 2].tolist() == [200, 100, 50]


def test_the_palette_is_that_of_pascal_voc_without_its_black():
    assert palette(8) == (
        *((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)),
        *((128, 0, 128), (0, 128, 128), (128, 128, 128), (64, 0, 0)),
    )
    assert palette(20)[19] == (0, 64, 128)  # tv/monitor
    assert len({*palette(4000), (0, 0, 0)}) == 4001


def test_evaluated_classes():
    labels = Labels(classes=("sky", "car", "van"), colors=palette(3), evaluated=(-1, 0, 0), evaluated_names=("vehicle",))
    assert labels.label_target(np.array([[0, 1], [2, 255]], np.uint8)).tolist() == [[-1, 0], [0, -1]]
    assert LABELS.label_target(np.array([4, 5, -1], np.int32)).tolist() == [4, -1, -1]
    assert LABELS.label_target(np.array([1])).dtype == np.int64
    assert LABELS.evaluated_names == LABELS.classes


def test_labels_travel_to_workers_also_after_use():
    LABELS.colored(LABELS.one_hot(torch.zeros(1, 2, 2, dtype=torch.uint8)))
    assert pickle.loads(pickle.dumps(LABELS)) == LABELS


def test_cityscapes_has_35_input_classes_and_19_evaluated_ones():
    labels = replace(cityscapes(), edges=True)
    assert labels.channels == 36  # as published
    assert len(labels.evaluated_names) == 19
    assert (labels.classes[7], labels.evaluated_names[0], labels.evaluated[7]) == ("road", "road", 0)
    assert labels.label_target(np.arange(34)).tolist() == [one.train_id for one in CLASSES[1:]]
    assert {one.id: one.color for one in CLASSES if one.id >= 0} == dict(enumerate(labels.colors[:34]))
    assert labels.label_target(np.array([34, 255])).tolist() == [-1, -1]


def test_coco_stuff_has_184_channels():
    labels = replace(known_labels("coco-stuff"), edges=True)
    assert labels.channels == 184  # 182 classes, "don't care", edges: as published
    channels = labels.one_hot(torch.tensor([[[181, 255]]]), torch.zeros(1, 1, 2, dtype=torch.int32))
    assert channels[0, :, 0].argmax(dim=0).tolist() == [181, 182]


def test_names_and_colors_are_read_from_a_file(tmp_path):
    listing = tmp_path / "names.txt"
    listing.write_text("\ufeffsky\ntraffic light  #fAaa1e\r\n road \n\n")
    labels = known_labels(str(listing))
    assert labels.classes == ("sky", "traffic light", "road")
    assert labels.colors == (palette(3)[0], (250, 170, 30), palette(3)[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky\n\nroad", "line 2: ''"),
        ("sky\nroad #12", "line 2: 'road #12' must be"),
        (" \n", "names no classes"),
        ("sky\n" * 4097, "names 4097 classes: .*, at most 4096"),
    ],
)
def test_a_file_that_names_no_classes_is_refused(tmp_path, text, message):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        known_labels(str(tmp_path / "names.txt"))


def test_neither_a_set_nor_a_file_is_refused():
    with pytest.raises(ValueError, match=r"classes=cityscape is no file: give the number .* cityscapes or coco-stuff"):
        known_labels("cityscape")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sky\n\xff\n", r"names\.txt is no text: byte 4 is no UTF-8"),
        (b"road\n" * (2**26 // 5 + 1), r"names\.txt has 67,108,865 bytes; text of at most 67,108,864 is read"),
    ],
    ids=["bytes", "long"],
)
def test_a_file_of_names_that_is_no_text_is_named(tmp_path, content, message):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        known_labels(str(tmp_path / "names.txt"))
