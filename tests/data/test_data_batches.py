"""Batches: values, reproducibility, order, held-out images, and errors in workers."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made import flat, noise
from PIL import Image, ImageOps

from pocketgan.data.config import DataConfig
from pocketgan.data.decode import to_bytes, to_float
from pocketgan.data.images import hold_out, open_data
from pocketgan.data.loader import batch_slice, eval_batches, order, train_batches


def first(batches, count):
    """The first batches; ends the workers."""
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[role], other[role]) for role in one)


@pytest.fixture
def negatives(put, tmp_path):
    """Seven pairs; B is the negative of A."""
    for number in range(7):
        image = noise(number, (40, 30))
        pair = Image.new("RGB", (80, 30))
        pair.paste(image, (0, 0))
        pair.paste(ImageOps.invert(image), (40, 0))
        put(f"train/{number}.png", pair)
    config = DataConfig(path=str(tmp_path), size=16, load_size=20, flip=True, workers=0, aligned=True)
    return open_data(config, "paired", "train")


@pytest.fixture
def sides(put, tmp_path):
    for number in range(5):
        put(f"trainA/{number}.png", flat("A", number))
    for number in range(4):
        put(f"trainB/{number}.png", flat("B", number))
    return open_data(DataConfig(path=str(tmp_path), size=16, workers=0), "unpaired", "train")


def test_bytes_to_floats_and_back():
    every = torch.arange(256, dtype=torch.uint8).repeat(3, 1).T.reshape(1, 16, 16, 3)
    images = to_float(every)
    assert images.shape == (1, 3, 16, 16)
    assert images.is_contiguous()
    published = (every.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5  # ToTensor, then Normalize(0.5, 0.5)
    torch.testing.assert_close(images, published, rtol=0, atol=2e-7)
    assert (images.min(), images.max()) == (-1, 1)
    assert torch.equal(to_bytes(images), every)
    assert to_bytes(torch.tensor([-7.0, 7.0, 0.001]).reshape(1, 3, 1, 1)).flatten().tolist() == [0, 255, 128]


def test_both_images_of_a_pair_are_scaled_cropped_and_mirrored_alike(negatives):
    for images in first(train_batches(negatives, batch=3, seed=0), 10):
        assert images["input"].shape == images["target"].shape == (3, 3, 16, 16)
        torch.testing.assert_close(images["input"], -images["target"], rtol=0, atol=2.1 / 127.5)


@settings(max_examples=8, deadline=None)
@given(batch=st.integers(1, 9), seed=st.integers(0, 2**40), step=st.integers(0, 50))
def test_a_batch_depends_on_seed_and_step_alone(batch, seed, step):
    data = open_data(DataConfig(path="shapes", size=8, load_size=10, flip=True, workers=0, limit=5), "unpaired", "train")
    continued = first(train_batches(data, batch=batch, seed=seed, start=max(step - 2, 0)), min(step, 2) + 1)[-1]
    assert same(continued, first(train_batches(data, batch=batch, seed=seed, start=step), 1)[0])


@settings(max_examples=8, deadline=None)
@given(variants=st.integers(1, 3), seed=st.integers(0, 9))
def test_variants_of_an_image_take_turns_whatever_the_seed(variants, seed):
    config = DataConfig(path="shapes", size=8, load_size=10, flip=True, workers=0, limit=3, variants=variants)
    data = open_data(config, "paired", "train")
    seen = {}
    for epoch, images in enumerate(first(train_batches(data, batch=3, seed=seed), 2 * variants)):
        for place, index in enumerate(order(3, seed, epoch)):
            seen.setdefault((int(index), epoch % variants), []).append(images["input"][place])
    assert len(seen) == 3 * variants
    assert all(torch.equal(*same) for same in seen.values())
    assert len({tuple(image.flatten().tolist()) for image, _ in seen.values()}) > 3 * (variants > 1)
    other = first(train_batches(data, batch=3, seed=seed + 1), 1)[0]["input"]
    assert torch.equal(other[0], seen[int(order(3, seed + 1, 0)[0]), 0][0])


def test_workers_do_not_change_the_batches(negatives):
    expected = first(train_batches(negatives, batch=2, seed=5, start=3), 9)
    assert all(map(same, expected, first(train_batches(negatives, batch=2, seed=5, start=3, workers=2), 9)))


def test_seeds_differ_and_epochs_differ(negatives):
    one, other = (first(train_batches(negatives, batch=7, seed=seed), 2) for seed in (0, 1))
    assert not same(one[0], other[0])
    assert not same(one[0], one[1])


@pytest.mark.parametrize("batch", [2, 12])
def test_each_epoch_has_each_input_once_whatever_the_batch(sides, batch):
    greens = [b["input"][:, 1, 0, 0] for b in first(train_batches(sides, batch=batch, seed=1), 60 // batch)]
    numbers = ((torch.cat(greens) + 1) * 127.5).round().int().reshape(12, 5)
    assert (numbers.sort(dim=1).values == torch.arange(5)).all()
    assert len({tuple(row.tolist()) for row in numbers}) > 8  # of 12 epochs


def test_an_epoch_is_a_permutation():
    assert sorted(order(100, 3, 7).tolist()) == list(range(100))
    assert order(100, 3, 7).tolist() != order(100, 3, 8).tolist()


def test_unpaired_targets_are_drawn_evenly_and_independently(sides):
    batches = first(train_batches(sides, batch=20, seed=0), 20)
    inputs, targets = (
        ((torch.cat([b[role][:, 1, 0, 0] for b in batches]) + 1) * 127.5).round().int() for role in ("input", "target")
    )
    counts = torch.bincount(inputs * 4 + targets, minlength=20)  # 400 draws of 20 combinations: 20 each
    assert counts.sum() == 400
    assert (counts - 20).abs().max() < 4 * 20**0.5


def test_batches_leave_the_global_generators_alone(sides):
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    expected = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first(train_batches(sides, batch=2, seed=0), 2)
    list(eval_batches(sides, batch=2))
    assert (torch.rand(1), np.random.rand()) == expected  # noqa: NPY002


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_has_every_image_once_in_order_and_unaugmented(negatives, workers):
    batches = list(eval_batches(negatives, batch=3, workers=workers))
    assert [batch.names for batch in batches] == [("0", "1", "2"), ("3", "4", "5"), ("6",)]
    expected = np.asarray(noise(6, (40, 30)).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(to_bytes(batches[2].images["input"])[0], expected)


def test_data_travels_to_spawned_workers(negatives):
    copy = pickle.loads(pickle.dumps(negatives))
    assert np.array_equal(copy.load(2, None)["input"], negatives.load(2, None)["input"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_goes_bad_is_named_in_one_line(negatives, tmp_path, workers):
    (tmp_path / "train" / "4.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"4\.png: is an empty file") as caught:
        first(train_batches(negatives, batch=2, seed=0, workers=workers), 10)
    assert "\n" not in str(caught.value)


def test_images_of_different_sizes_need_batch_1(put, tmp_path):
    put("1.png", noise(0, (24, 16)))
    put("2.png", noise(0, (16, 24)))
    data = open_data(DataConfig(path=str(tmp_path), preprocess="none"), "inputs", "train")
    shapes = [tuple(b.images["input"].shape) for b in eval_batches(data, batch=1, workers=0)]
    assert shapes == [(1, 3, 16, 24), (1, 3, 24, 16)]
    with pytest.raises(ValueError, match="2: is 16x24 but 1 is 24x16: one batch needs one size; use batch 1"):
        list(eval_batches(data, batch=2, workers=0))


@pytest.mark.parametrize("arguments", [{"batch": 0}, {"seed": -1}, {"start": -1}])
def test_wrong_arguments_are_refused_at_once(sides, arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))}="):
        train_batches(sides, **{"batch": 1, "seed": 0, **arguments})


@pytest.mark.parametrize("task", ["paired", "labels", "inputs"])
def test_training_part_and_held_out_part_are_the_whole_set(task):
    data = open_data(DataConfig(path="shapes", size=16, limit=5, workers=0), task, "train")
    rest, held = hold_out(data, 3)
    assert (len(rest), len(held)) == (2, 3)
    assert rest.names + held.names == data.names
    whole = [batch.images["input"] for batch in eval_batches(data, batch=1)]
    parts = [batch.images["input"] for part in (rest, held) for batch in eval_batches(part, batch=1)]
    assert all(bool((a == b).all()) for a, b in zip(whole, parts, strict=True))


def test_training_never_uses_held_out_images():
    data = open_data(DataConfig(path="shapes", size=16, limit=6, workers=0), "paired", "train")
    rest, held = hold_out(data, 2)
    holdout = [batch.images["input"][0] for batch in eval_batches(held, batch=1)]
    trained = [image for batch in first(train_batches(rest, batch=2, seed=0), 6) for image in batch["input"]]
    assert not any(torch.equal(image, other) for image in trained for other in holdout)


def test_unpaired_sides_are_cut_each_on_its_own():
    data = open_data(DataConfig(path="textures", size=16, limit=8, workers=0), "unpaired", "train")
    rest, held = hold_out(data, 3)
    assert rest.counts == {role: count - 3 for role, count in data.counts.items()}
    assert held.counts == {"input": 3, "target": 3}


@pytest.mark.parametrize("count", [0, 10, 11])
def test_something_must_be_left(count):
    data = open_data(DataConfig(path="shapes", size=16, limit=10, workers=0), "paired", "train")
    with pytest.raises(ValueError, match=rf"{count} images to hold out of 10: hold out fewer, at most 9"):
        hold_out(data, count)


def test_processes_take_equal_parts_of_a_batch():
    assert [list(batch_slice(6, rank, 3)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match=r"batch=7 counts the images of all 3 processes, .*: take 6 or 9"):
        batch_slice(7, 0, 3)
    with pytest.raises(ValueError, match=r"batch=2 .*: take 3$"):
        batch_slice(2, 0, 3)
