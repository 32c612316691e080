"""The confusion of classes: closed forms, torchmetrics as the oracle, and what may not change the figures."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from pocketgan.metrics.segmentation import Confusion


def maps(classes: int, shape: tuple[int, ...] = (3, 6, 7), *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A target with ignored pixels and a prediction that is right more often than not."""
    rng = np.random.default_rng(seed)
    target = rng.integers(-1, classes, shape)
    guess = rng.integers(0, classes, shape)
    predicted = np.where((rng.random(shape) < 0.6) & (target >= 0), target, guess)
    return torch.from_numpy(predicted), torch.from_numpy(target)


def counted(classes: int, predicted: torch.Tensor, target: torch.Tensor) -> Confusion:
    confusion = Confusion(classes)
    confusion.update(predicted, target)
    return confusion


@pytest.mark.parametrize("classes", [2, 5, 19])
def test_the_figures_are_those_of_torchmetrics(classes: int) -> None:
    predicted, target = maps(classes, (4, 30, 30))
    confusion = counted(classes, predicted, target)
    each = MulticlassJaccardIndex(num_classes=classes, average="none", ignore_index=-1)(predicted, target)
    right = MulticlassAccuracy(num_classes=classes, average="micro", ignore_index=-1)(predicted, target)
    torch.testing.assert_close(confusion.iou().float(), each)
    assert confusion.miou() == pytest.approx(each.mean().item(), abs=1e-6)
    assert confusion.pixel_accuracy() == pytest.approx(right.item(), abs=1e-6)


def test_a_map_counted_by_hand() -> None:
    target = torch.tensor([[[0, 0, 1, 1, -1]]])
    predicted = torch.tensor([[[0, 1, 1, 2, 3]]])
    confusion = counted(5, predicted, target)
    assert confusion.counts[:3, :3].tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert confusion.iou().tolist() == pytest.approx([1 / 2, 1 / 3, 0, math.nan, math.nan], nan_ok=True)
    assert confusion.miou() == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)  # class 2 was predicted where it is not
    assert confusion.miou(of_present=True) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert confusion.pixel_accuracy() == 0.5


@settings(deadline=None, max_examples=15)
@given(classes=st.integers(1, 6), seed=st.integers(0, 1000), cut=st.integers(0, 5), order=st.permutations(range(5)))
def test_order_and_parts_of_the_images_do_not_matter(classes: int, seed: int, cut: int, order: list[int]) -> None:
    predicted, target = maps(classes, (5, 3, 4), seed=seed)
    whole = counted(classes, predicted, target)
    parts = counted(classes, predicted[order][:cut], target[order][:cut])
    parts.update(predicted[order][cut:], target[order][cut:])
    assert torch.equal(parts.counts, whole.counts)
    assert whole.counts.sum() == (target >= 0).sum()


@settings(deadline=None, max_examples=15)
@given(classes=st.integers(2, 6), seed=st.integers(0, 1000), data=st.data())
def test_the_numbers_of_the_classes_do_not_matter(classes: int, seed: int, data: st.DataObject) -> None:
    predicted, target = maps(classes, seed=seed)
    to = torch.tensor([*data.draw(st.permutations(range(classes))), -1])
    one, other = counted(classes, predicted, target), counted(classes, to[predicted], to[target])
    torch.testing.assert_close(other.iou()[to[:-1]], one.iou(), equal_nan=True)
    for of_present in (False, True):
        assert other.miou(of_present=of_present) == pytest.approx(one.miou(of_present=of_present))
    assert other.pixel_accuracy() == pytest.approx(one.pixel_accuracy())


@settings(deadline=None, max_examples=15)
@given(classes=st.integers(1, 6), seed=st.integers(0, 1000))
def test_the_target_itself_is_perfect(classes: int, seed: int) -> None:
    _, target = maps(classes, seed=seed)
    confusion = counted(classes, target.clamp(min=0), target)
    assert confusion.miou() == confusion.miou(of_present=True) == confusion.pixel_accuracy() == 1


def test_many_classes_and_bytes_do_not_overflow() -> None:
    target = torch.full((1, 2, 2), 181, dtype=torch.uint8)
    assert counted(182, target, target).counts[181, 181] == 4


def test_nothing_counted_is_nan() -> None:
    for confusion in (Confusion(3), counted(3, torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), -1))):
        assert math.isnan(confusion.miou())
        assert math.isnan(confusion.miou(of_present=True))
        assert math.isnan(confusion.pixel_accuracy())


@pytest.mark.parametrize(
    ("predicted", "target", "message"),
    [
        (torch.zeros(1, 2, 2).long(), torch.zeros(1, 2, 3).long(), r"\(1, 2, 2\) cannot be compared with one of \(1, 2, 3\)"),
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 2).long(), "a prediction must be N x H x W integers; found torch.float32"),
        (torch.zeros(2, 2).long(), torch.zeros(2, 2).long(), r"found torch.int64 of shape \(2, 2\)"),
        (torch.full((1, 2, 2), -1), torch.zeros(1, 2, 2).long(), "a prediction holds -1 to -1, where 3 classes allow 0 to 2"),
        (torch.full((1, 2, 2), 3), torch.zeros(1, 2, 2).long(), "a prediction holds 3 to 3"),
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 255), "a target holds 255 .* allow -1 to 2; .* not count as -1"),
    ],
)
def test_other_maps_are_refused(predicted: torch.Tensor, target: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Confusion(3).update(predicted, target)
