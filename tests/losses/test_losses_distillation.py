"""Attention transfer: closed forms, and what must not change it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.losses import attention_map, attention_transfer


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_map_is_the_sum_of_squares_over_channels() -> None:
    x = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.5]]]])
    assert attention_map(x).tolist() == [[[10.0, 4.25]]]


def test_maps_without_overlap_are_2_apart_whatever_their_scale() -> None:
    """Two orthogonal unit vectors: |a - b|^2 = 2."""
    left, right = torch.zeros(3, 4, 2, 2), torch.zeros(3, 7, 2, 2)
    left[:, 1, 0, 0], right[:, 5, 1, 1] = 100.0, 0.01
    assert attention_transfer(left, right).item() == pytest.approx(2)


def test_a_known_angle() -> None:
    """Maps (3, 4) / 5 and (1, 0): 2 - 2 cos = 2 - 2 * 0.6; the mean over the batch with an equal pair halves it."""
    student = torch.tensor([[[[3.0, 4.0]]], [[[1.0, 0.0]]]]).sqrt()
    teacher = torch.tensor([[[[1.0, 0.0]]], [[[1.0, 0.0]]]])
    assert attention_transfer(student, teacher).item() == pytest.approx((2 - 2 * 0.6) / 2)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99), extra=st.integers(0, 3))
def test_scale_order_and_empty_channels_do_not_matter(scale: float, seed: int, extra: int) -> None:
    student, teacher = features(2, 5, 4, 6, seed=seed), features(2, 3, 4, 6, seed=seed + 1)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    other = torch.cat([student[:, order] * scale, torch.zeros(2, extra, 4, 6)], 1)
    torch.testing.assert_close(attention_transfer(other, teacher), attention_transfer(student, teacher), rtol=1e-4, atol=1e-6)
    assert attention_transfer(other, student).item() == pytest.approx(0, abs=1e-6)


def test_maps_of_two_sizes_meet_at_the_smaller_one() -> None:
    """A map and its nearest-neighbour enlargement are the same once averaged down; from either side."""
    small = features(2, 3, 4, 4)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert attention_transfer(large, small).item() == pytest.approx(0, abs=1e-10)
    assert attention_transfer(small, large).item() == pytest.approx(0, abs=1e-10)
    other = features(2, 5, 8, 8, seed=1)
    pooled = attention_map(other).reshape(2, 4, 2, 4, 2).mean((2, 4))
    expected = attention_transfer(small, pooled.sqrt()[:, None])
    torch.testing.assert_close(attention_transfer(small, other), expected)


def test_gradients_reach_the_student_alone() -> None:
    student, teacher = features(1, 2, 3, 3).requires_grad_(), features(1, 4, 6, 6, seed=1)
    attention_transfer(student, teacher).backward()
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def test_half_precision_does_not_overflow() -> None:
    """300 squared, summed over 64 channels, is beyond the largest float16."""
    student, teacher = 300 * features(2, 64, 4, 4), 300 * features(2, 32, 4, 4, seed=1)
    exact, half = attention_transfer(student, teacher), attention_transfer(student.half(), teacher.half())
    assert half.dtype == torch.float32
    assert half.isfinite()
    torch.testing.assert_close(half, exact, rtol=1e-2, atol=0)
