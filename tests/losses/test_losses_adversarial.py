"""Each task against its formula, written out, and against torch's own losses."""

import pytest
import torch
import torch.nn.functional as F

from pocketgan.losses import discriminator_loss, generator_loss

REAL, FAKE = torch.tensor([[2.0, -0.5], [0.25, 1.0]]), torch.tensor([[-3.0, 0.5], [1.5, -1.0]])


def test_lsgan_is_the_squared_distance_to_1_and_0() -> None:
    assert generator_loss("lsgan", FAKE).item() == pytest.approx((16 + 0.25 + 0.25 + 4) / 4)
    real, fake = (1 + 2.25 + 0.5625 + 0) / 4, (9 + 0.25 + 2.25 + 1) / 4
    assert discriminator_loss("lsgan", REAL, FAKE).item() == pytest.approx((real + fake) / 2)


def test_hinge_forgives_what_is_beyond_the_margin() -> None:
    assert generator_loss("hinge", FAKE).item() == pytest.approx(0.5)
    real, fake = (0 + 1.5 + 0.75 + 0) / 4, (0 + 1.5 + 2.5 + 0) / 4
    assert discriminator_loss("hinge", REAL, FAKE).item() == pytest.approx((real + fake) / 2)
    assert discriminator_loss("hinge", torch.ones(3), -torch.ones(3)).item() == 0


def test_vanilla_is_the_cross_entropy_of_torch() -> None:
    real, fake = 30 * torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(0)), FAKE[None]
    ones, zeros = torch.ones_like, torch.zeros_like
    bce = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(discriminator_loss("vanilla", real, fake), (bce(real, ones(real)) + bce(fake, zeros(fake))) / 2)
    torch.testing.assert_close(generator_loss("vanilla", real), bce(real, ones(real)))


@pytest.mark.parametrize("mode", ["lsgan", "hinge", "vanilla"])
def test_the_networks_pull_the_logits_of_fakes_apart(mode: str) -> None:
    fake = torch.zeros(4, requires_grad=True)
    (towards_real,) = torch.autograd.grad(generator_loss(mode, fake), fake)
    (towards_fake,) = torch.autograd.grad(discriminator_loss(mode, torch.zeros(4), fake), fake)
    assert (towards_real < 0).all()
    if mode != "lsgan":  # at its target already
        assert (towards_fake > 0).all()
    real = torch.zeros(4, requires_grad=True)
    assert (torch.autograd.grad(discriminator_loss(mode, real, torch.zeros(4)), real)[0] < 0).all()
