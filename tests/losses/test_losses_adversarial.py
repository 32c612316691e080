"""Adversarial losses and penalties on gradients against closed forms and torch's own losses."""

import pytest
import torch
import torch.nn.functional as F

from pocketgan.losses.adversarial import discriminator_loss, generator_loss, path_lengths, r1_penalty

REAL, FAKE = torch.tensor([[2.0, -0.5], [0.25, 1.0]]), torch.tensor([[-3.0, 0.5], [1.5, -1.0]])


def test_lsgan_is_the_squared_distance_to_1_and_0() -> None:
    assert generator_loss("lsgan", FAKE).item() == pytest.approx((16 + 0.25 + 0.25 + 4) / 4)
    real, fake = (1 + 2.25 + 0.5625 + 0) / 4, (9 + 0.25 + 2.25 + 1) / 4
    assert discriminator_loss("lsgan", REAL, FAKE).item() == pytest.approx(real + fake)


def test_hinge_is_0_beyond_the_margin() -> None:
    assert generator_loss("hinge", FAKE).item() == pytest.approx(0.5)
    real, fake = (0 + 1.5 + 0.75 + 0) / 4, (0 + 1.5 + 2.5 + 0) / 4
    assert discriminator_loss("hinge", REAL, FAKE).item() == pytest.approx(real + fake)
    assert discriminator_loss("hinge", torch.ones(3), -torch.ones(3)).item() == 0


def test_vanilla_is_the_cross_entropy_of_torch() -> None:
    real, fake = 30 * torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(0)), FAKE[None]
    ones, zeros = torch.ones_like, torch.zeros_like
    bce = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(discriminator_loss("vanilla", real, fake), bce(real, ones(real)) + bce(fake, zeros(fake)))
    torch.testing.assert_close(generator_loss("vanilla", real), bce(real, ones(real)))


@pytest.mark.parametrize("mode", ["lsgan", "hinge", "vanilla"])
def test_the_two_networks_move_the_logits_of_fakes_apart(mode: str) -> None:
    fake = torch.zeros(4, requires_grad=True)
    (towards_real,) = torch.autograd.grad(generator_loss(mode, fake), fake)
    (towards_fake,) = torch.autograd.grad(discriminator_loss(mode, torch.zeros(4), fake), fake)
    assert (towards_real < 0).all()
    if mode != "lsgan":  # at its target already
        assert (towards_fake > 0).all()
    real = torch.zeros(4, requires_grad=True)
    assert (torch.autograd.grad(discriminator_loss(mode, real, torch.zeros(4)), real)[0] < 0).all()


@pytest.mark.parametrize(("mode", "share"), [("lsgan", 1.0), ("hinge", 0.5), ("vanilla", 0.5)])
def test_scales_are_added_for_lsgan_and_averaged_for_the_others(mode: str, share: float) -> None:
    """Each scale counts by its own mean, whatever its size."""
    real, fake = (REAL, REAL[:1] - 0.3), (FAKE, FAKE[:1] + 0.2)
    one, other = (discriminator_loss(mode, *pair) for pair in zip(real, fake, strict=True))
    torch.testing.assert_close(discriminator_loss(mode, real, fake), share * (one + other))
    torch.testing.assert_close(generator_loss(mode, fake), share * sum(generator_loss(mode, x) for x in fake))
    with pytest.raises(ValueError, match=r"longer|shorter"):
        discriminator_loss(mode, real, fake[:1])


def test_r1_of_a_linear_discriminator_is_half_its_squared_norm() -> None:
    weight = torch.randn(1, 3 * 4 * 4, requires_grad=True)
    reals = torch.randn(5, 3, 4, 4, requires_grad=True)
    penalty = r1_penalty(reals.flatten(1) @ weight.T, reals)
    torch.testing.assert_close(penalty, weight.square().sum() / 2)
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, weight)


def test_r1_is_the_mean_over_images_of_the_gradient_of_each() -> None:
    """D(x) = |x|^2 has the gradient 2x; logits of several patches are summed."""
    reals = torch.randn(4, 1, 6, 6, requires_grad=True)
    expected = (2 * reals).square().sum((1, 2, 3)).mean() / 2
    torch.testing.assert_close(r1_penalty(reals.square().sum(), reals), expected)
    torch.testing.assert_close(r1_penalty(reals.square(), reals), expected)


def test_lengths_of_a_linear_generator_are_those_of_its_transpose() -> None:
    """J^T y for images J w, y divided by the root of the number of pixels."""
    jacobian, w = torch.randn(3 * 4 * 8, 6, requires_grad=True), torch.randn(5, 6, requires_grad=True)
    noise = torch.randn(5, 3, 4, 8)
    lengths = path_lengths((w @ jacobian.T).view(5, 3, 4, 8), w, noise)
    torch.testing.assert_close(lengths, (noise.flatten(1) @ jacobian).norm(dim=1) / 32**0.5)
    assert torch.autograd.grad((lengths - 1).square().mean(), jacobian)[0].any()


def test_lengths_of_styles_by_layer_are_the_root_of_the_mean_square() -> None:
    """Each of L layers has the same share: the gradient of each is that of one, divided by L."""
    jacobian, noise = torch.randn(2 * 2, 6), torch.randn(3, 1, 2, 2)
    one, layers = torch.randn(3, 6, requires_grad=True), torch.randn(3, 4, 6, requires_grad=True)
    whole = path_lengths((one @ jacobian.T).view(3, 1, 2, 2), one, noise)
    shared = path_lengths((layers.mean(1) @ jacobian.T).view(3, 1, 2, 2), layers, noise)
    torch.testing.assert_close(shared, whole / 4)


def test_an_isometry_has_the_lengths_of_the_noise() -> None:
    """With an orthonormal J the expected squared length is the number of numbers in w, over that of pixels."""
    torch.manual_seed(0)
    w = torch.randn(2000, 8, requires_grad=True)
    jacobian, _ = torch.linalg.qr(torch.randn(16, 8))
    lengths = path_lengths((w @ jacobian.T).view(-1, 1, 4, 4), w)
    assert lengths.square().mean().item() == pytest.approx(8 / 16, rel=0.05)
