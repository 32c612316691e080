"""The learning rate over the steps."""

import pytest
import torch

from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig, lr_factor
from pocketgan.training.loop import Fit
from toy_tasks import CPU, batch, generator, make_discriminator


def factors(**fields: object) -> list[float]:
    config = TrainingConfig(**fields)
    return [lr_factor(step, config) for step in range(config.steps)]


def test_linear_is_whole_for_half_and_then_falls_evenly_to_almost_0() -> None:
    assert factors(steps=8) == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert factors(steps=4, decay_start=0.0) == [1, 0.75, 0.5, 0.25]
    assert factors(steps=3, decay_start=1.0) == [1, 1, 1]


def test_cosine_begins_at_1_passes_a_half_and_ends_just_above_0() -> None:
    found = factors(steps=100, decay="cosine")
    assert found[0] == 1
    assert found[50] == pytest.approx(0.5)
    assert found[25] == pytest.approx((1 + 2**-0.5) / 2)
    assert 0 < found[99] < 3e-4
    assert found == sorted(found, reverse=True)


def test_none_stays() -> None:
    assert factors(steps=3, decay="none") == [1, 1, 1]


def test_the_optimizers_follow() -> None:
    fit = Fit(Pix2PixTask(generator(), make_discriminator(6)), TrainingConfig(steps=4, lr=0.01, decay_start=0.0), CPU)
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
    fit = Fit(task, TrainingConfig(steps=2, precision="bf16"), CPU)
    exact = Fit(Pix2PixTask(generator(), make_discriminator(6)), TrainingConfig(steps=2), CPU)
    rough, fine = fit.advance(batch()), exact.advance(batch())
    for name, value in fine.items():
        assert rough[name].item() == pytest.approx(value.item(), rel=0.05)
        assert rough[name].item() != value.item()
    assert {parameter.dtype for parameter in task.networks["G"].parameters()} == {torch.float32}
