"""Sparsity controller: for losses of any scale, the threshold comes down its path and ends at 0."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.pruning.allocation import SparsityController

UPDATES, FULL = 300, 0.01


def simulated_thresholds(balance: float, noise: float, start: float, seed: int) -> list[float]:
    """Plant whose scores fall at full speed where the strength is far above ``balance``, and rise where far below."""
    controller, generator = SparsityController(1e-3), torch.Generator().manual_seed(seed)
    threshold, path = start, []
    for update in range(UPDATES):
        controller.update_(threshold, left=1 - update / UPDATES, full=FULL)
        pull = math.tanh(math.log(float(controller.strength) / balance))
        threshold -= FULL * (0.6 * pull + noise * float(torch.randn((), generator=generator)))
        path.append(threshold)
    return path


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(
    balance=st.floats(-4, 1).map(lambda exponent: 10**exponent),
    noise=st.floats(0, 0.3),
    start=st.floats(-0.3, 0.8),
    seed=st.integers(0, 99),
)
def test_the_threshold_follows_its_path_to_0(balance: float, noise: float, start: float, seed: int) -> None:
    path = simulated_thresholds(balance, noise, start, seed)
    assert abs(path[-1]) < 0.1
    late = [abs(value - start * (1 - (update + 1) / UPDATES)) for update, value in enumerate(path)][UPDATES // 2 :]
    assert max(late) < 0.25


def test_two_updates_by_hand() -> None:
    """strength *= exp(0.5 (wanted - actual speed)); wanted: the distance to the path within 10 updates, at most full speed."""
    controller = SparsityController(0.5)
    controller.update_(0.04, left=1.0, full=FULL)  # on its path, without a speed yet
    assert controller.strength.item() == pytest.approx(0.5)
    controller.update_(0.038, left=0.25, full=FULL)  # 0.028 above its path: 0.28 of full speed; it fell by 0.2
    assert controller.strength.item() == pytest.approx(0.5 * math.exp(0.5 * (0.28 - 0.2)))
    controller.update_(0.538, left=0.0, full=FULL)  # both beyond full speed: downwards wanted, upwards found
    assert controller.strength.item() == pytest.approx(0.5 * math.exp(0.5 * (0.28 - 0.2 + 2)))


def test_the_strength_is_bounded() -> None:
    for start, threshold, bound in ((999.0, 1.0, 1e3), (1.1e-6, -1.0, 1e-6)):
        controller = SparsityController(start)
        for _ in range(3):
            controller.update_(threshold, left=0.0, full=FULL)
        assert controller.strength.item() == pytest.approx(bound)


def test_the_state_is_in_buffers() -> None:
    first = SparsityController(0.5)
    for threshold in (0.4, 0.5):
        first.update_(threshold, left=0.9, full=FULL)
    second = SparsityController(9.0)
    second.load_state_dict(first.state_dict())
    for controller in (first, second):
        controller.update_(0.45, left=0.8, full=FULL)
    assert first.strength == second.strength != 0.5
