"""Optimizers and learning-rate schedules against closed forms and torch's own."""

import pytest
import torch
from torch import nn

from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer
from pocketgan.training.optimizers import AcceleratedProximal, Adam
from pocketgan.training.schedule import lr_factor
from toy_tasks import CPU, batch, generator, make_discriminator

TARGETS = torch.tensor([1.0, 0.6, 0.2, 0.05, 0.01, -0.4])


def minimize(strength: float, *, scale: float = 1.0, steps: int = 200, lr: float = 0.01, momentum: float = 0.9) -> torch.Tensor:
    """Minimize scale / 2 * |x - target|^2 + L1 from x = 1."""
    x = nn.Parameter(torch.ones(len(TARGETS)))
    optimizer = AcceleratedProximal([x], lr, strength=lambda: torch.tensor(strength), momentum=momentum)
    for _ in range(steps):
        (scale / 2 * (x - TARGETS).square().sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return x.detach()


def test_one_step_by_hand() -> None:
    """g = x - target; in its root mean square; a step; the soft threshold."""
    g = 1 - TARGETS
    z = 1 - 0.1 * g / g.square().mean().sqrt()
    expected = z.sign() * (z.abs() - 0.1 * 0.3).clamp_min(0)
    torch.testing.assert_close(minimize(0.3, steps=1, lr=0.1, momentum=0.0), expected)


def test_two_steps_with_momentum_by_hand() -> None:
    x, v, lr, s, mean = torch.ones(len(TARGETS)), torch.zeros(len(TARGETS)), 0.05, 0.2, 0.0
    for step in (1, 2):
        g = x - TARGETS
        mean = 0.99 * mean + 0.01 * g.square().mean()
        z = x - lr * g / (mean / (1 - 0.99**step)).sqrt()
        shrunk = z.sign() * (z.abs() - lr * s).clamp_min(0)
        v = shrunk - x + 0.9 * v
        x = shrunk + 0.9 * v
    torch.testing.assert_close(minimize(s, steps=2, lr=lr), x)


def test_zeros_are_exact_and_increase_with_the_strength() -> None:
    zeros = [int((minimize(strength) == 0).sum()) for strength in (0.0, 0.3, 1.0, 30.0)]
    assert zeros == sorted(zeros)
    assert zeros[0] == 0
    assert zeros[-1] == len(TARGETS)
    assert 0 < zeros[1] < len(TARGETS)
    kept = minimize(0.3) != 0
    assert TARGETS[kept].abs().min() > TARGETS[~kept].abs().max()


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_result_is_independent_of_the_scale_of_the_loss(scale: float) -> None:
    torch.testing.assert_close(minimize(0.3, scale=scale, steps=50), minimize(0.3, steps=50), rtol=1e-4, atol=1e-6)


def test_proximal_continues_from_its_state() -> None:
    def run(x: nn.Parameter, optimizer: AcceleratedProximal, steps: int) -> None:
        for _ in range(steps):
            (x - TARGETS).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    def begin(values: torch.Tensor) -> tuple[nn.Parameter, AcceleratedProximal]:
        x = nn.Parameter(values.clone())
        return x, AcceleratedProximal([x], 0.02, strength=lambda: torch.tensor(0.2))

    complete, first = begin(torch.ones(len(TARGETS))), begin(torch.ones(len(TARGETS)))
    run(*complete, 20)
    run(*first, 8)
    second = begin(first[0].detach())
    second[1].load_state_dict(first[1].state_dict())
    run(*second, 12)
    assert torch.equal(second[0], complete[0])


def test_adam_equals_torchs() -> None:
    """Bit for bit, over a reloaded state."""
    ours, theirs = (nn.Parameter(TARGETS.clone()) for _ in range(2))
    optimizer = Adam([ours], 1e-2, (0.5, 0.9), weight_decay=0.1)
    reference = torch.optim.Adam([theirs], 1e-2, (0.5, 0.9), weight_decay=0.1, fused=True)
    for step in range(4):
        for x, adam in ((ours, optimizer), (theirs, reference)):
            (x.sin() * (step + 1)).sum().backward()
            adam.step()
            adam.zero_grad(set_to_none=True)
        optimizer.load_state_dict(optimizer.state_dict())
    assert torch.equal(ours, theirs)


def factors(**fields: object) -> list[float]:
    config = TrainingConfig(**fields)
    return [lr_factor(step, config) for step in range(config.steps)]


def test_linear_decay() -> None:
    assert factors(steps=8) == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert factors(steps=4, decay_start=0.0) == [1, 0.75, 0.5, 0.25]
    assert factors(steps=3, decay_start=1.0) == [1, 1, 1]


def test_cosine_decay() -> None:
    values = factors(steps=100, decay="cosine")
    assert values[0] == 1
    assert values[50] == pytest.approx(0.5)
    assert values[25] == pytest.approx((1 + 2**-0.5) / 2)
    assert 0 < values[99] < 3e-4
    assert values == sorted(values, reverse=True)


def test_no_decay() -> None:
    assert factors(steps=3, decay="none") == [1, 1, 1]


def test_halving() -> None:
    assert factors(steps=7, decay="halving", halve_every=3) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_optimizers_use_the_schedule() -> None:
    fit = Trainer(Pix2PixTask(generator(), make_discriminator(6)), TrainingConfig(steps=4, lr=0.01, decay_start=0.0), CPU)
    for expected in (0.01, 0.0075, 0.005, 0.0025):
        fit.advance(batch())
        assert [optimizer.param_groups[0]["lr"] for optimizer in fit.optimizers.values()] == [pytest.approx(expected)] * 2


@pytest.mark.parametrize(("name", "least"), [("steps", 0), ("batch", 1), ("log_every", 1), ("checkpoint_every", 1)])
def test_numbers_below_the_least_are_refused(name: str, least: int) -> None:
    with pytest.raises(ValueError, match=f"{name}={least - 1}: the least is {least}"):
        TrainingConfig(**{name: least - 1})


def test_a_decay_that_starts_after_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"decay_start=1.5: a part of the steps, from 0 to 1"):
        TrainingConfig(decay_start=1.5)


def test_bf16_trains_and_keeps_float32_weights() -> None:
    task = Pix2PixTask(generator(), make_discriminator(6))
    fit = Trainer(task, TrainingConfig(steps=2, precision="bf16"), CPU)
    exact = Trainer(Pix2PixTask(generator(), make_discriminator(6)), TrainingConfig(steps=2), CPU)
    rough, fine = fit.advance(batch()), exact.advance(batch())
    for name, value in fine.items():
        assert rough[name].item() == pytest.approx(value.item(), rel=0.05)
        assert rough[name].item() != value.item()
    assert {parameter.dtype for parameter in task.networks["G"].parameters()} == {torch.float32}
