"""Penalties on gradients in closed form: of linear networks, and of one that is not."""

import pytest
import torch

from pocketgan.losses import path_lengths, r1_penalty


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
    wanted = (2 * reals).square().sum((1, 2, 3)).mean() / 2
    torch.testing.assert_close(r1_penalty(reals.square().sum(), reals), wanted)
    torch.testing.assert_close(r1_penalty(reals.square(), reals), wanted)


def test_lengths_of_a_linear_generator_are_those_of_its_transpose() -> None:
    """J^T y for images J w, y divided by the root of the number of pixels."""
    jacobian, w = torch.randn(3 * 4 * 8, 6, requires_grad=True), torch.randn(5, 6, requires_grad=True)
    noise = torch.randn(5, 3, 4, 8)
    lengths = path_lengths((w @ jacobian.T).view(5, 3, 4, 8), w, noise)
    torch.testing.assert_close(lengths, (noise.flatten(1) @ jacobian).norm(dim=1) / 32**0.5)
    assert torch.autograd.grad((lengths - 1).square().mean(), jacobian)[0].any()


def test_lengths_of_styles_by_layer_are_the_root_of_the_mean_square() -> None:
    """Each of L layers generates the same share: the gradient of each is that of one, divided by L."""
    jacobian, noise = torch.randn(2 * 2, 6), torch.randn(3, 1, 2, 2)
    one, layers = torch.randn(3, 6, requires_grad=True), torch.randn(3, 4, 6, requires_grad=True)
    whole = path_lengths((one @ jacobian.T).view(3, 1, 2, 2), one, noise)
    shared = path_lengths((layers.mean(1) @ jacobian.T).view(3, 1, 2, 2), layers, noise)
    torch.testing.assert_close(shared, whole / 4)


def test_an_isometry_has_the_lengths_of_the_noise() -> None:
    """With an orthonormal J the expected squared length is the number of numbers in w, over that of pixels."""
    torch.manual_seed(0)
    w = torch.randn(4000, 8, requires_grad=True)
    jacobian, _ = torch.linalg.qr(torch.randn(16, 8))
    lengths = path_lengths((w @ jacobian.T).view(-1, 1, 4, 4), w)
    assert lengths.square().mean().item() == pytest.approx(8 / 16, rel=0.05)
