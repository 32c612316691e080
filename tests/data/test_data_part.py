"""Held-out images: the last ones of each side, and nobody else's."""

import pytest

from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import eval_batches, train_batches
from pocketgan.data.part import hold_out


@pytest.mark.parametrize("task", ["paired", "labels", "inputs"])
def test_the_parts_are_the_whole_once(task: str) -> None:
    data = open_data(DataConfig(path="shapes", size=16, limit=10, workers=0), task, "train")
    rest, held = hold_out(data, 3)
    assert (len(rest), len(held)) == (7, 3)
    assert rest.names + held.names == data.names
    whole = [batch.images["input"] for batch in eval_batches(data, batch=1)]
    parts = [batch.images["input"] for part in (rest, held) for batch in eval_batches(part, batch=1)]
    assert all(bool((a == b).all()) for a, b in zip(whole, parts, strict=True))


def test_training_sees_the_rest_alone() -> None:
    data = open_data(DataConfig(path="shapes", size=16, limit=6, workers=0), "paired", "train")
    rest, held = hold_out(data, 2)
    apart = [batch.images["input"][0] for batch in eval_batches(held, batch=1)]
    stream = train_batches(rest, batch=2, seed=0)
    seen = [image for _ in range(6) for image in next(stream)["input"]]
    assert not any(bool((one == other).all()) for one in seen for other in apart)


def test_unpaired_sides_are_cut_each_on_its_own() -> None:
    data = open_data(DataConfig(path="textures", size=16, limit=8, workers=0), "unpaired", "train")
    rest, held = hold_out(data, 3)
    assert rest.counts == {role: count - 3 for role, count in data.counts.items()}
    assert held.counts == {"input": 3, "target": 3}


@pytest.mark.parametrize("count", [0, 10, 11])
def test_something_must_be_left(count: int) -> None:
    data = open_data(DataConfig(path="shapes", size=16, limit=10, workers=0), "paired", "train")
    with pytest.raises(ValueError, match=rf"{count} images to hold out of 10: take fewer, at most 9"):
        hold_out(data, count)
