"""Accelerated proximal gradient: one step by hand, exact zeros, and no scale of the loss."""

import pytest
import torch
from torch import nn

from pocketgan.training.proximal import AcceleratedProximal

AIMS = torch.tensor([1.0, 0.6, 0.2, 0.05, 0.01, -0.4])


def minimize(strength: float, *, scale: float = 1.0, steps: int = 400, lr: float = 0.01, momentum: float = 0.9) -> torch.Tensor:
    """x of scale / 2 * |x - aim|^2 + L1, from 1."""
    x = nn.Parameter(torch.ones(len(AIMS)))
    optimizer = AcceleratedProximal([x], lr, strength=lambda: torch.tensor(strength), momentum=momentum)
    for _ in range(steps):
        (scale / 2 * (x - AIMS).square().sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return x.detach()


def test_one_step_by_hand() -> None:
    """g = x - aim; in its root mean square; a step; the soft threshold."""
    g = 1 - AIMS
    z = 1 - 0.1 * g / g.square().mean().sqrt()
    expected = z.sign() * (z.abs() - 0.1 * 0.3).clamp_min(0)
    torch.testing.assert_close(minimize(0.3, steps=1, lr=0.1, momentum=0.0), expected)


def test_two_steps_with_momentum_by_hand() -> None:
    x, v, lr, s, mean = torch.ones(len(AIMS)), torch.zeros(len(AIMS)), 0.05, 0.2, 0.0
    for step in (1, 2):
        g = x - AIMS
        mean = 0.99 * mean + 0.01 * g.square().mean()
        z = x - lr * g / (mean / (1 - 0.99**step)).sqrt()
        shrunk = z.sign() * (z.abs() - lr * s).clamp_min(0)
        v = shrunk - x + 0.9 * v
        x = shrunk + 0.9 * v
    torch.testing.assert_close(minimize(s, steps=2, lr=lr), x)


def test_zeros_are_exact_and_rise_with_the_strength() -> None:
    zeros = [int((minimize(strength) == 0).sum()) for strength in (0.0, 0.3, 1.0, 30.0)]
    assert zeros == sorted(zeros)
    assert zeros[0] == 0
    assert zeros[-1] == len(AIMS)
    assert 0 < zeros[1] < len(AIMS)
    kept = minimize(0.3) != 0
    assert AIMS[kept].abs().min() > AIMS[~kept].abs().max()


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_losses_scale_does_not_matter(scale: float) -> None:
    torch.testing.assert_close(minimize(0.3, scale=scale, steps=50), minimize(0.3, steps=50), rtol=1e-4, atol=1e-6)


def test_the_state_goes_on_where_it_was() -> None:
    def run(x: nn.Parameter, optimizer: AcceleratedProximal, steps: int) -> None:
        for _ in range(steps):
            (x - AIMS).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    def begin(values: torch.Tensor) -> tuple[nn.Parameter, AcceleratedProximal]:
        x = nn.Parameter(values.clone())
        return x, AcceleratedProximal([x], 0.02, strength=lambda: torch.tensor(0.2))

    whole, first = begin(torch.ones(len(AIMS))), begin(torch.ones(len(AIMS)))
    run(*whole, 20)
    run(*first, 8)
    second = begin(first[0].detach())
    second[1].load_state_dict(first[1].state_dict())
    run(*second, 12)
    assert torch.equal(second[0], whole[0])
