"""Attention, kernel alignment, feature matching and perceptual distance: closed forms, and what must not change them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketgan.losses.features import (
    attention_distance,
    attention_map,
    attention_transfer,
    channel_distance,
    coattention_maps,
    discriminator_distance,
    feature_matching,
    fused,
    gram_matrix,
    kernel_alignment,
    perceptual_distance,
    raw_moments,
)

few = settings(max_examples=10, deadline=None)


def features(*shape: int, seed: int = 0) -> Tensor:
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


@few
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99), extra=st.integers(0, 3))
def test_scale_order_and_empty_channels_do_not_matter(scale: float, seed: int, extra: int) -> None:
    student, teacher = features(2, 5, 4, 6, seed=seed), features(2, 3, 4, 6, seed=seed + 1)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    other = torch.cat([student[:, order] * scale, torch.zeros(2, extra, 4, 6)], 1)
    torch.testing.assert_close(attention_transfer(other, teacher), attention_transfer(student, teacher), rtol=1e-4, atol=1e-6)
    assert attention_transfer(other, student).item() == pytest.approx(0, abs=1e-6)


def test_maps_of_two_sizes_are_compared_at_the_smaller_one() -> None:
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
    """Half the sum of one map is that map, and the distance ignores a scale."""
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


@few
@given(seed=st.integers(0, 99), height=st.integers(2, 9), layers=st.integers(1, 3))
def test_the_order_of_the_batch_does_not_matter_to_coattention(seed: int, height: int, layers: int) -> None:
    """The released resize takes the first image's map for all: it fails this."""
    student, teacher = features(4, 3, 6, 6, seed=seed), features(4, 5, 6, 6, seed=seed + 1)
    discriminators = [features(4, 2 + k, height + k, height, seed=seed + 2 + k) for k in range(layers)]
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))

    def loss(pick: Tensor) -> Tensor:
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


def test_known_values_of_kernel_alignment() -> None:
    """Equal images against orthogonal ones: 2 / (2 sqrt 2); a rotation of the same: 1."""
    same, apart = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    assert kernel_alignment(same, apart).item() == pytest.approx(0.70711, abs=1e-5)
    assert kernel_alignment(apart, torch.tensor([[1.0, 1.0], [1.0, -1.0]])).item() == pytest.approx(1)
    assert kernel_alignment(same, same).item() == pytest.approx(1)


@few
@given(seed=st.integers(0, 999), count=st.integers(2, 6), channels=st.integers(1, 5), scale=st.floats(1e-3, 1e3))
def test_kernel_alignment_equals_its_formula(seed: int, count: int, channels: int, scale: float) -> None:
    """<X X^T, Y Y^T> / (|X X^T| |Y Y^T|), in 0..1, alike from both sides; neither scale nor rotation matters."""
    x, y = features(count, channels, 2, 3, seed=seed), features(count, 2, 4, 4, seed=seed + 1)
    rows = [f.double().flatten(1) for f in (x, y)]
    one, other = (r @ r.T for r in rows)
    expected = float((one * other).sum() / (one.norm() * other.norm()))
    for centered in (False, True)[: 1 + (count > 2)]:
        found = kernel_alignment(x, y, centered=centered).item()
        assert 0 <= found <= 1 + 1e-6
        rotation = torch.linalg.qr(features(6 * channels, 6 * channels, seed=seed + 2)).Q
        turned = (x.flatten(1) @ rotation) * scale
        assert kernel_alignment(turned, y, centered=centered).item() == pytest.approx(found, abs=1e-4)
        assert kernel_alignment(y, x, centered=centered).item() == pytest.approx(found, abs=1e-6)
        assert kernel_alignment(x, turned, centered=centered).item() == pytest.approx(1, abs=1e-4)
    assert kernel_alignment(x, y).item() == pytest.approx(expected, abs=1e-5)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert kernel_alignment(x[order], y[order]).item() == pytest.approx(expected, abs=1e-5)


def test_centered_it_is_linear_cka() -> None:
    """|Xc^T Yc|^2 / (|Xc^T Xc| |Yc^T Yc|) (Kornblith et al. 2019, eq. 4, over features instead of images)."""
    x, y = features(5, 7) + 3, features(5, 4, seed=1) - 2
    xc, yc = (f.double() - f.double().mean(0) for f in (x, y))
    expected = (xc.T @ yc).square().sum() / ((xc.T @ xc).norm() * (yc.T @ yc).norm())
    assert kernel_alignment(x, y, centered=True).item() == pytest.approx(expected.item(), abs=1e-6)
    assert kernel_alignment(x + 100, y, centered=True).item() == pytest.approx(expected.item(), abs=1e-4)


def test_features_that_are_never_negative_align_until_they_are_centered() -> None:
    """Two independent random networks after a ReLU, of many features: 0.999 and more. Of few, centering tells them apart."""
    x, y = features(4, 64, 16, 16).relu(), features(4, 64, 16, 16, seed=1).relu()
    assert kernel_alignment(x, y) > 0.999
    x, y = features(64, 8).relu() + 1, features(64, 8, seed=1).relu() + 1
    assert kernel_alignment(x, y) > 0.9
    assert kernel_alignment(x, y, centered=True) < 0.2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("centered", [False, True])
def test_kernel_alignment_does_not_overflow(dtype: torch.dtype, centered: bool) -> None:
    """Also under autocast, and at values whose fourth powers float32 itself cannot hold."""
    x, y = features(3, 8, 4, 4) * 1e4, features(3, 4, 8, 8, seed=1) * 1e-4
    expected = kernel_alignment(x.double(), y.double(), centered=centered)
    with torch.autocast("cpu", torch.bfloat16):
        found = kernel_alignment(x.to(dtype), y.to(dtype), centered=centered)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.float(), atol=0.03, rtol=0)
    torch.testing.assert_close(kernel_alignment(x * 1e12, y * 1e-8, centered=centered), expected.float(), atol=1e-4, rtol=0)


def test_features_of_zeros_have_alignment_0_and_a_finite_gradient() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    loss = kernel_alignment(x, torch.eye(2))
    loss.backward()
    assert loss == 0
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_gradient_is_that_of_the_formula() -> None:
    x, y = features(3, 4).requires_grad_(), features(3, 5, seed=1)
    kernel_alignment(x, y).backward()
    exact = x.detach().double().requires_grad_()
    one, other = exact @ exact.T, y.double() @ y.double().T
    ((one * other).sum() / (one.norm() * other.norm())).backward()
    torch.testing.assert_close(x.grad, exact.grad.float(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("count", "centered", "least"), [(1, False, 2), (2, True, 3), (1, True, 3)])
def test_too_few_images_say_nothing(count: int, centered: bool, least: int) -> None:
    x = features(count, 3)
    with pytest.raises(ValueError, match=f"kernel alignment compares the images .*: {count} say nothing, the least is {least}"):
        kernel_alignment(x, x, centered=centered)


def test_of_two_images_the_centered_alignment_would_always_be_1() -> None:
    """Reason for the refusal: two rows minus their mean are opposite, so both Grams are [[1, -1], [-1, 1]] but for a scale."""
    x, y = (features(2, 5, seed=seed) for seed in (0, 1))
    xc, yc = x - x.mean(0), y - y.mean(0)
    assert kernel_alignment(xc, yc).item() == pytest.approx(1)


SHAPES = ((2, 8, 16, 16), (2, 16, 8, 8), (2, 32, 4, 4), (2, 64, 2, 2), (2, 64, 1, 1))


def layers(seed: int, *, count: int = 5) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=rng, requires_grad=True) for shape in SHAPES[:count]]


def test_each_layer_has_its_weight() -> None:
    real = layers(0)
    for layer, weight in enumerate((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)):
        fake = [x + 3 * (i == layer) for i, x in enumerate(real)]
        assert perceptual_distance(fake, real).item() == pytest.approx(3 * weight)
    assert perceptual_distance([x - 2 for x in real], real).item() == pytest.approx(2 * (31 / 32 + 0.5))
    assert perceptual_distance(real, real) == 0


def test_the_scales_are_averaged_and_the_layers_summed() -> None:
    real = [layers(0, count=4), layers(1, count=4)]
    fake = [[x + 1 for x in real[0]], [x - layer for layer, x in enumerate(real[1])]]
    assert feature_matching(fake, real).item() == pytest.approx((4 * 1 + (0 + 1 + 2 + 3)) / 2)
    assert feature_matching(fake[:1], real[:1]).item() == pytest.approx(4)
    assert feature_matching(real, real) == 0


def test_a_layer_counts_by_its_mean_whatever_its_size() -> None:
    real = [[torch.zeros(1, 2, 4, 4), torch.zeros(1, 8, 1, 1)]]
    fake = [[torch.ones(1, 2, 4, 4), torch.ones(1, 8, 1, 1)]]
    assert feature_matching(fake, real) == 2


def test_no_gradient_flows_to_the_target() -> None:
    for distance, wrap in ((perceptual_distance, lambda x: x), (feature_matching, lambda x: [x])):
        fake, real = layers(0), layers(1)
        distance(wrap(fake), wrap(real)).backward()
        assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in fake)
        assert all(x.grad is None for x in real)


def test_layers_must_correspond() -> None:
    with pytest.raises(ValueError, match="shorter"):
        perceptual_distance(layers(0, count=4), layers(1, count=4))
    with pytest.raises(ValueError, match=r"longer|shorter"):
        feature_matching([layers(0)], [layers(0), layers(1)])
    with pytest.raises(ValueError, match=r"longer|shorter"):
        feature_matching([layers(0)], [layers(1, count=4)])


def test_gram_matrices_in_closed_form() -> None:
    """Of two channels with two positions, and with an orthonormal pair; 3.125 apart in L1, 13.03125 in squares."""
    one = gram_matrix(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    other = gram_matrix(torch.eye(2)[None])
    assert one.tolist() == [[[1.25, 2.75], [2.75, 6.25]]]
    assert other.tolist() == [[[0.25, 0.0], [0.0, 0.25]]]
    assert torch.nn.functional.l1_loss(one, other).item() == 3.125
    assert torch.nn.functional.mse_loss(one, other).item() == 13.03125


@few
@given(seed=st.integers(0, 99))
def test_gram_matrices_forget_the_place_and_the_size(seed: int) -> None:
    x = features(2, 5, 4, 6, seed=seed)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(gram_matrix(x.flatten(2)[..., order].view(2, 5, 6, 4)), gram_matrix(x))
    torch.testing.assert_close(gram_matrix(x.repeat(1, 1, 2, 3)), gram_matrix(x))
    assert gram_matrix(x[..., 0, 0]).shape == (2, 5, 5)  # of vectors, too


def test_channels_are_compared_by_their_means() -> None:
    """Means (1, 3) and (2, 1): (1 + 4) / 2."""
    student = torch.tensor([[[[0.0, 2.0]], [[3.0, 3.0]]]])
    teacher = torch.tensor([[[[2.0], [2.0]], [[0.0], [2.0]]]])
    assert channel_distance(student, teacher).item() == 2.5


def test_moments_tell_two_points_from_their_mean() -> None:
    """(1, 0) and (0, 1) have the mean of (1/2, 1/2) twice, and another second moment. Order does not matter."""
    corners, middle = torch.eye(2), torch.full((2, 2), 0.5)
    assert (raw_moments(corners) - raw_moments(middle)).tolist() == [[0.0, 0.0], [0.25, 0.25]]
    assert torch.equal(raw_moments(corners.flip(0)), raw_moments(corners))
