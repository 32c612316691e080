"""Latents beside images: their dependence on seed and step, their images, their distribution."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made import flat, noise, numbers
from PIL import Image
from torch import Tensor

from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig, Split
from pocketgan.data.images import ImageData, hold_out, open_data
from pocketgan.data.loader import eval_batches, train_batches

Put = Callable[[str, Image.Image], str]
LATENT = {"input": 4, "noise": 3}


def generated(task: TaskName = "unconditional", split: Split = "train", **config: object) -> ImageData:
    given = {"path": "textures", "size": 8, "load_size": 10, "flip": True, "workers": 0, "limit": 5, **config}
    return open_data(DataConfig(**given), task, split)  # type: ignore[arg-type]


def first(data: ImageData, count: int = 1, **how: object) -> list[dict[str, Tensor]]:
    batches = train_batches(data, **{"batch": 4, "seed": 0, **how})  # type: ignore[arg-type]
    taken = list(itertools.islice(batches, count))
    batches.close()  # type: ignore[attr-defined]
    return taken


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def evaluated(data: ImageData, name: str = "input") -> Tensor:
    return torch.cat([batch.images[name] for batch in eval_batches(data, batch=3)])


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**40), step=st.integers(0, 30), processes=st.sampled_from([1, 2, 4]))
def test_training_latents_depend_on_seed_and_step_alone(seed: int, step: int, processes: int) -> None:
    """Neither the first step nor the number of processes matters."""
    data = generated().with_latents(LATENT)
    continued = first(data, 3, seed=seed, start=step)[2]
    parts = [first(data, seed=seed, start=step + 2, slice_of=(rank, processes))[0] for rank in range(processes)]
    assert same(continued, {name: torch.cat([part[name] for part in parts]) for name in continued})
    assert not torch.equal(continued["input"], first(data, seed=seed + 1, start=step + 2)[0]["input"])
    assert continued["input"].unique().numel() == 16  # every image has a latent of its own


def test_workers_give_the_same_latents_as_floats() -> None:
    data = generated().with_latents(LATENT)
    expected, parallel = first(data, 2), first(data, 2, workers=1)
    assert all(map(same, expected, parallel))
    assert expected[0]["input"].dtype == torch.float32
    assert {name: tuple(tensor.shape[1:]) for name, tensor in expected[0].items()} == {
        "target": (3, 8, 8),
        "input": (4,),
        "noise": (3,),
    }


def test_latents_are_standard_normal_and_independent_by_name() -> None:
    drawn = evaluated(generated().with_latents({"input": 200, "noise": 200}, count=100))
    other = evaluated(generated().with_latents({"input": 200, "noise": 200}, count=100), "noise")
    for values in (drawn, other):
        assert values.mean().item() == pytest.approx(0, abs=0.03)
        assert values.std().item() == pytest.approx(1, abs=0.03)
    assert (drawn * other).mean().item() == pytest.approx(0, abs=0.03)


def test_latents_do_not_change_the_images() -> None:
    """Crops, flips and targets are drawn first."""
    for task in ("unpaired", "multimodal", "unconditional"):
        plain, drawn = (first(data, 3) for data in (generated(task), generated(task).with_latents({"style": 2})))
        assert all(same(one, {n: t for n, t in other.items() if n != "style"}) for one, other in zip(plain, drawn, strict=True))


def test_latents_of_evaluation_depend_on_the_index() -> None:
    data = generated(split="test", limit=6).with_latents({"input": 4})
    whole = evaluated(data)
    assert torch.equal(whole, torch.cat([batch.images["input"] for batch in eval_batches(data, batch=5, workers=1)]))
    assert torch.equal(whole[:4], evaluated(generated(split="test", limit=4).with_latents({"input": 4})))
    assert torch.equal(whole[2], torch.from_numpy(data.load(2, None)["input"]))


def test_latents_of_a_search_are_not_those_of_the_test_split() -> None:
    train, test = (generated(split=split, limit=12).with_latents({"input": 4}) for split in ("train", "test"))
    rest, held = hold_out(train, 4)
    searched, final = evaluated(held), evaluated(test)
    assert (len(rest), len(searched)) == (8, 4)
    assert not (searched[:, None] == final[None]).any()
    assert not (searched[:, None] == torch.cat([batch["input"] for batch in first(rest, 5)])[None]).any()


def test_a_count_gives_latents_without_images() -> None:
    data = generated(split="test", limit=3).with_latents({"input": 4}, count=7)
    batches = list(eval_batches(data, batch=4))
    assert [set(batch.images) for batch in batches] == [{"input"}] * 2
    assert len(data) == len(evaluated(data)) == len(evaluated(data).unique(dim=0)) == 7
    assert torch.equal(evaluated(data)[:3], evaluated(generated(split="test", limit=3).with_latents({"input": 4})))
    assert [name for batch in batches for name in batch.names] == ["0000", "0001", "0002", "0000", "0001", "0002", "0000"]


@pytest.mark.parametrize(("direction", "red"), [("AtoB", 200), ("BtoA", 50)])
def test_of_two_sides_the_target_is_generated(put: Put, tmp_path: Path, direction: str, red: int) -> None:
    for side, count in (("A", 3), ("B", 2)):
        for number in range(count):
            put(f"train{side}/{number}.png", flat(side, number))
    data = generated(path=str(tmp_path), size=16, load_size=None, direction=direction).with_latents({"input": 4})
    (batch,) = eval_batches(data, batch=9)
    assert ((batch.images["target"][:, 0] + 1) * 127.5).round().unique().tolist() == [red]
    assert data.counts == {"target": 2 if direction == "AtoB" else 3}
    assert len(data) == len(batch.images["input"]) == data.counts["target"]
    assert f"{len(data)} targets" in data.describe()


def test_of_a_single_folder_all_is_generated(put: Put, tmp_path: Path) -> None:
    for number in range(3):
        put(f"{number}.png", noise(number, (16, 16)))
    with pytest.warns(UserWarning, match="no test images"):
        data = generated(split="test", path=str(tmp_path), size=16, load_size=None).with_latents({"input": 4})
    (batch,) = eval_batches(data, batch=9)
    assert batch.names == ("0", "1", "2")
    assert np.array_equal(data.load(1, None)["target"], np.asarray(noise(1, (16, 16))))


def test_of_label_maps_the_photos_are_generated(put: Put, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("one\ntwo\n")
    for number in range(2):
        put(f"train/images/{number}.png", noise(number, (16, 16)))
        put(f"train/labels/{number}.png", Image.fromarray(numbers(number, (16, 16), [0, 1])))
    given = {"path": str(tmp_path), "size": 16, "load_size": None}
    data = generated(**given).with_latents({"input": 4})
    assert data.labels is None
    assert np.array_equal(data.load(1, None)["target"], np.asarray(noise(1, (16, 16))))
    with pytest.raises(
        ValueError, match="direction=BtoA: of label maps and photos, an unconditional generator makes the photos"
    ):
        generated(**given, direction="BtoA")


def test_of_pairs_the_built_in_targets_are_generated() -> None:
    config = {"path": "shapes", "size": 16, "load_size": None, "split": "test"}
    alone, pairs = generated(**config).with_latents({"input": 4}), generated("paired", **config)  # type: ignore[arg-type]
    assert np.array_equal(alone.load(3, None)["target"], pairs.load(3, None)["target"])
    assert alone.load(3, None)["input"].shape == (4,)
