"""Steering: whatever strength the losses ask for, the threshold comes down its path and ends at 0."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.pruning.steering import Steering

TICKS, FULL = 300, 0.01


def ride(balance: float, noise: float, start: float, seed: int) -> list[float]:
    """A plant whose scores fall at full speed where the strength is far above ``balance``, and rise where far below."""
    steering, generator = Steering(1e-3), torch.Generator().manual_seed(seed)
    threshold, path = start, []
    for tick in range(TICKS):
        steering.adapt_(threshold, left=1 - tick / TICKS, full=FULL)
        pull = math.tanh(math.log(float(steering.strength) / balance))
        threshold -= FULL * (0.6 * pull + noise * float(torch.randn((), generator=generator)))
        path.append(threshold)
    return path


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    balance=st.floats(-4, 1).map(lambda exponent: 10**exponent),
    noise=st.floats(0, 0.3),
    start=st.floats(-0.3, 0.8),
    seed=st.integers(0, 99),
)
def test_the_threshold_follows_its_path_to_0(balance: float, noise: float, start: float, seed: int) -> None:
    path = ride(balance, noise, start, seed)
    assert abs(path[-1]) < 0.1
    late = [abs(value - start * (1 - (tick + 1) / TICKS)) for tick, value in enumerate(path)][TICKS // 2 :]
    assert max(late) < 0.25


def test_nothing_is_changed_where_all_is_on_its_path() -> None:
    steering = Steering(0.5)
    steering.adapt_(0.4, left=1.0, full=FULL)
    assert steering.strength.item() == pytest.approx(0.5)
    steering.adapt_(0.4, left=1.0, full=FULL)
    assert steering.strength.item() == pytest.approx(0.5)


def test_its_state_is_in_buffers() -> None:
    first = Steering(0.5)
    for threshold in (0.4, 0.5):
        first.adapt_(threshold, left=0.9, full=FULL)
    second = Steering(9.0)
    second.load_state_dict(first.state_dict())
    for steering in (first, second):
        steering.adapt_(0.45, left=0.8, full=FULL)
    assert first.strength == second.strength != 0.5
