"""Adaptive augmentation and the image pool: closed forms, statistics, adaptation of the probability."""

from math import pi

import pytest
import torch
from torch import Tensor

from pocketgan.training.augment import (
    Augment,
    ImagePool,
    blits,
    colors,
    geometries,
    recolor,
    rotation,
    scaling,
    translation,
    warp,
)

ONE = torch.tensor(1.0)


def images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def vector(*values: float) -> Tensor:
    return torch.tensor(values)


def test_augmentation_at_zero_is_the_identity() -> None:
    x = images(6, 3, 16, 12)
    assert torch.equal(Augment()(x), x)


def test_augmentation_draws_from_the_global_generator_alone() -> None:
    x, augment = images(4, 3, 16, 16), Augment()
    augment.p.fill_(0.7)
    torch.manual_seed(3)
    first = augment(x)
    torch.manual_seed(3)
    assert torch.equal(augment(x), first)
    assert not torch.equal(augment(x), first)


def test_share_of_unchanged_images() -> None:
    torch.manual_seed(0)
    x = images(1, 3, 8, 8).expand(400, -1, -1, -1)
    unchanged = (warp(x, blits(400, torch.tensor(0.1), (8, 8))) == x).flatten(1).all(1).float().mean().item()
    # Flip, turn and shift each happen once in ten times, and are then the identity once in 2, in 4 and in about 9 times.
    assert unchanged == pytest.approx((1 - 0.05) * (1 - 0.075) * (1 - 0.1 * 8 / 9), abs=0.06)


def test_flips_and_quarter_turns_equal_those_of_torch() -> None:
    x = images(2, 3, 8, 8)
    torch.testing.assert_close(warp(x, scaling(vector(-1, -1), vector(1, 1))), x.flip(-1), atol=1e-5, rtol=0)
    for turns in (1, 2, 3):
        turned = warp(x, rotation(vector(turns * pi / 2, turns * pi / 2)))
        torch.testing.assert_close(turned, torch.rot90(x, turns, (-2, -1)), atol=1e-5, rtol=0)


def test_translation_mirrors_at_the_border() -> None:
    x = images(1, 1, 6, 9)
    moved = warp(x, translation(vector(2), vector(1)))
    torch.testing.assert_close(moved[..., :5, :7], x[..., 1:, 2:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., :5, 7:], x[..., 1:, 7:].flip(-1), atol=1e-5, rtol=0)


def test_half_a_pixel_is_the_mean_of_neighbors_and_scaling_is_about_the_center() -> None:
    x = torch.arange(8.0).expand(1, 1, 8, 8)
    torch.testing.assert_close(warp(x, translation(vector(0.5), vector(0)))[..., :7], x[..., :7] + 0.5)
    narrower = warp(x, scaling(vector(0.5), vector(1.0)))
    torch.testing.assert_close(narrower, 3.5 + (x - 3.5) / 2)


def test_blits_permute_pixels() -> None:
    """Flips and quarter turns permute the axes; shifts are whole pixels, at most an eighth of the side."""
    torch.manual_seed(0)
    matrices = blits(200, ONE, (16, 16))
    assert (matrices[:, :2, :2].abs().sort(-1).values - torch.tensor([0.0, 1.0])).abs().max() < 1e-6
    steps = torch.linalg.solve(matrices[:, :2, :2], matrices[:, :2, 2:])
    assert (steps - steps.round()).abs().max() < 1e-5
    assert steps.abs().max().round() == 2
    torch.testing.assert_close(matrices[:, :2, :2].det().sign().mean(), torch.tensor(0.0), atol=0.2, rtol=0)


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_every_matrix_can_be_inverted(p: float) -> None:
    torch.manual_seed(0)
    for matrices in (blits(100, torch.tensor(p), (32, 32)), geometries(100, torch.tensor(p), (32, 32))):
        assert (matrices.det().abs() > 0.05).all()
        assert torch.equal(matrices[:, 2], torch.tensor([0.0, 0.0, 1.0]).expand(100, -1))
    assert (colors(100, torch.tensor(p)).det().abs() > 1e-4).all()


def test_geometry_has_the_published_spread() -> None:
    """Areas change by the square of the isotropic factor alone, whose logarithm in base 2 has a deviation of 0.2."""
    torch.manual_seed(0)
    matrices = geometries(4000, ONE, (32, 32))
    logs = matrices[:, :2, :2].det().log2() / 2
    assert logs.mean().item() == pytest.approx(0, abs=0.02)
    assert logs.std().item() == pytest.approx(0.2, abs=0.01)
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
    assert angles.std().item() == pytest.approx(2 * pi / 12**0.5, rel=0.05)


def test_one_of_two_rotations_happens_with_probability_p() -> None:
    torch.manual_seed(0)
    matrices = geometries(4000, torch.tensor(0.36), (32, 32))
    assert (matrices[:, 0, 1] != 0).float().mean().item() == pytest.approx(0.36, abs=0.03)


def test_colors_have_the_published_spread() -> None:
    """Hue and saturation keep grays; contrast, flip and brightness act on them as a line."""
    torch.manual_seed(0)
    matrices = colors(3000, ONE)
    gray = torch.ones(3) / 3**0.5
    along = matrices[:, :3, :3] @ gray
    assert (along - (along @ gray)[:, None] * gray).abs().max() < 1e-5  # grays stay grays
    slope = along @ gray
    assert (slope < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)  # luma flipped
    assert slope.abs().log2().std().item() == pytest.approx(0.5, abs=0.03)  # contrast
    brightness = matrices[:, :3, 3] @ gray / slope / 3**0.5
    assert brightness.std().item() == pytest.approx(0.2, abs=0.01)
    other = torch.tensor([1.0, -1.0, 0.0]) / 2**0.5
    saturation = (matrices[:, :3, :3] @ other).norm(dim=1) / slope.abs()
    assert saturation.log2().std().item() == pytest.approx(1.0, abs=0.05)


def test_recoloring_is_the_matrix_at_every_pixel() -> None:
    x, matrices = images(5, 3, 4, 6), colors(5, ONE)
    homogeneous = torch.cat([x, torch.ones(5, 1, 4, 6)], 1)
    torch.testing.assert_close(recolor(x, matrices), torch.einsum("nij,njhw->nihw", matrices, homogeneous)[:, :3])


def test_sampling_is_twice_differentiable() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    matrices = geometries(2, ONE, (5, 6)).double()
    assert torch.autograd.gradcheck(lambda t: warp(t, matrices), (x,))
    assert torch.autograd.gradgradcheck(lambda t: warp(t, matrices).pow(2), (x,))


def test_p_follows_r_t() -> None:
    """From 0 to 1 in 500,000 images, down likewise, within bounds."""
    augment = Augment()
    for _ in range(500_000 // 2500):
        augment.update(torch.ones(2500))
    assert augment.p.item() == pytest.approx(1.0, abs=1e-4)
    augment.update(torch.ones(25_000))
    assert augment.p.item() == 1
    augment.update(torch.tensor([1.0, -1.0]).repeat(12_500))
    assert augment.p.item() == pytest.approx(0.95)
    augment.update(torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0]).repeat(5_000))  # r_t is 0.6, its target
    assert augment.p.item() == pytest.approx(0.95)
    for _ in range(30):
        augment.update(-torch.ones(25_000))
    assert augment.p.item() == 0


def test_p_is_part_of_the_state() -> None:
    augment, other = Augment(), Augment()
    augment.p.fill_(0.25)
    other.load_state_dict(augment.state_dict())
    assert other.p.item() == 0.25


def numbered(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def test_pool_returns_the_first_images_without_gradient() -> None:
    pool = ImagePool(4)
    fresh = numbered(1, 2, 3).requires_grad_()
    exchanged = pool.exchange(fresh)
    assert torch.equal(exchanged, fresh)
    assert not exchanged.requires_grad
    assert torch.equal(pool.exchange(numbered(4)), numbered(4))
    assert [image.item() for image in pool.images] == [1, 2, 3, 4]


def test_full_pool_swaps_half_of_the_images() -> None:
    torch.manual_seed(0)
    pool = ImagePool(10)
    pool.exchange(numbered(*range(10)))
    count, old = 1000, 0
    for value in range(10, 10 + count):
        before = {image.item() for image in pool.images}
        (exchanged,) = pool.exchange(numbered(value)).flatten().tolist()
        after = {image.item() for image in pool.images}
        if exchanged == value:
            assert after == before
        else:
            old += 1
            assert exchanged in before
            assert after == before - {exchanged} | {value}
    assert old / count == pytest.approx(0.5, abs=4 * (0.25 / count) ** 0.5)


def test_pool_of_size_zero_returns_new_images() -> None:
    pool = ImagePool(0)
    for _ in range(3):
        assert torch.equal(pool.exchange(numbered(1, 2)), numbered(1, 2))


def test_pool_continues_from_its_state() -> None:
    pool, other = ImagePool(11), ImagePool(11)
    pool.exchange(numbered(*range(11)))
    other.load_state(pool.state(), torch.device("cpu"))
    torch.manual_seed(3)
    expected = [pool.exchange(numbered(value)).item() for value in range(20, 40)]
    torch.manual_seed(3)
    assert [other.exchange(numbered(value)).item() for value in range(20, 40)] == expected
    assert min(expected) < 20 <= max(expected)
