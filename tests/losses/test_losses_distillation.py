"""Attention and co-attention transfer: closed forms, and what must not change it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.losses import (
    attention_distance,
    attention_map,
    attention_transfer,
    coattention_maps,
    discriminator_distance,
    fused,
)


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
    """A map and its nearest-neighbor enlargement are the same once averaged down; from either side."""
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


def test_coattention_of_the_generator_alone_is_attention() -> None:
    """Half the sum of one map is that map, and the distance sees no scale."""
    student, teacher = features(3, 5, 4, 4), features(3, 7, 4, 4, seed=1)
    for mean in (False, True):
        target = fused(coattention_maps(teacher, [], mean=mean), "sum")
        torch.testing.assert_close(attention_distance(attention_map(student), target), attention_transfer(student, teacher))


def test_equation_8_by_hand() -> None:
    """Two channels of a generator at 1 x 2, one of a discriminator at 2 x 4: squares, area means, half the sum."""
    generator = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])
    discriminator = torch.tensor([[[[1.0, 1.0, 2.0, 0.0], [3.0, 1.0, 0.0, 2.0]]]])
    maps = coattention_maps(generator, [discriminator], mean=False)
    assert maps.tolist() == [[[[10.0, 4.0]], [[3.0, 2.0]]]]
    assert fused(maps, "sum").tolist() == [[[6.5, 3.0]]]
    assert fused(maps, "product").tolist() == [[[30.0, 8.0]]]
    assert coattention_maps(generator, [discriminator], mean=True).tolist() == [[[[5.0, 2.0]], [[3.0, 2.0]]]]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99), height=st.integers(2, 9), layers=st.integers(1, 3))
def test_the_order_of_the_batch_does_not_matter_to_coattention(seed: int, height: int, layers: int) -> None:
    """The released resize takes the first image's map for all: it fails this."""
    student, teacher = features(4, 3, 6, 6, seed=seed), features(4, 5, 6, 6, seed=seed + 1)
    discriminators = [features(4, 2 + k, height + k, height, seed=seed + 2 + k) for k in range(layers)]
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))

    def loss(pick: torch.Tensor) -> torch.Tensor:
        maps = coattention_maps(teacher[pick], [discriminator[pick] for discriminator in discriminators], mean=True)
        assert maps.shape == (4, 1 + layers, 6, 6)
        return attention_distance(attention_map(student[pick]), fused(maps, "sum"))

    torch.testing.assert_close(loss(order), loss(torch.arange(4)))


def test_large_maps_are_averaged_and_not_wrapped() -> None:
    """Area means far above 1, which 8 bits wrap round, come out as they are."""
    maps = coattention_maps(torch.zeros(1, 1, 2, 2), [torch.full((1, 3, 8, 8), 5.0)], mean=False)
    torch.testing.assert_close(maps[:, 1], torch.full((1, 2, 2), 75.0))


def test_equation_10_by_hand() -> None:
    student, teacher = torch.zeros(2, 1, 1, 2), torch.tensor([[[[3.0, 4.0]]], [[[0.0, 1.0]]]])
    assert discriminator_distance(student, teacher).item() == pytest.approx((25 + 1) / 2)
    assert discriminator_distance(student, teacher, squared=False).item() == pytest.approx(26**0.5)
    same = torch.ones(1, 1, 2, 2, requires_grad=True)
    discriminator_distance(same, same.detach(), squared=False).backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()  # the root of 0 has no slope of its own
