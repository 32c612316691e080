"""DMAD's masks: closed forms of equations 3 to 6."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.pruning.masks import boundary_at, group_coefficients, mask_value, polarization, sparsity

BOUNDARIES = st.floats(0.01, 1.0)
some = settings(max_examples=25, deadline=None, derandomize=True, database=None)


@some
@given(b=BOUNDARIES)
def test_mask_is_0_a_half_and_1_at_the_three_points(b: float) -> None:
    p = torch.tensor([-b, 0.0, b], dtype=torch.float64)
    for form in ("quadratic", "linear"):
        assert mask_value(p, b, form).tolist() == pytest.approx([0.0, 0.5, 1.0])


@some
@given(b=BOUNDARIES, where=st.floats(-3, 3))
def test_the_slope_is_that_of_the_paper(b: float, where: float) -> None:
    p = torch.tensor([where * b], dtype=torch.float64, requires_grad=True)
    mask_value(p, b).sum().backward()
    expected = max(0.0, b - abs(where * b)) / b**2
    assert p.grad is not None
    assert p.grad.item() == pytest.approx(expected, abs=1e-9)


@some
@given(b=BOUNDARIES, left=st.floats(-2, 2), right=st.floats(-2, 2))
def test_mask_rises_and_is_symmetric(b: float, left: float, right: float) -> None:
    low, high = sorted((left, right))
    values = mask_value(torch.tensor([low, high], dtype=torch.float64), b)
    assert values[0] <= values[1] + 1e-12
    both = mask_value(torch.tensor([left, -left], dtype=torch.float64), b)
    assert both.sum().item() == pytest.approx(1.0)


def test_a_closed_boundary_is_a_step_without_gradient() -> None:
    p = torch.tensor([-0.1, 0.0, 0.1], requires_grad=True)
    value = mask_value(p, 0.0)
    assert value.tolist() == [0.0, 0.0, 1.0]
    value.sum().backward()
    assert p.grad is None or not p.grad.any()


def test_boundary_schedule_has_the_published_values() -> None:
    """200 epochs, closed after 150 of them (the released code)."""
    published = {1: 0.812, 2: 0.763, 5: 0.678, 10: 0.594, 20: 0.489, 40: 0.356, 60: 0.263, 100: 0.126, 149: 0.0022, 150: 0.0}
    for epoch, value in published.items():
        assert boundary_at(epoch, 150) == pytest.approx(value, abs=6e-4)


def test_group_coefficients_of_ten_producers() -> None:
    p = torch.zeros(10, 4)
    p[:5, 1] = -1.0  # half are closed
    p[:, 2] = -1.0  # all are closed
    p[3, 3] = 1.0  # one is fully open
    assert group_coefficients(p, 0.5).tolist() == [1.0, 2.0, 0.0, 0.0]
    # The paper counts fully open masks among the non-zero ones, and keeps pushing the others.
    assert group_coefficients(p, 0.5, settling=False).tolist() == [1.0, 2.0, 0.0, 1.0]


def test_sparsity_and_polarization_act_inside_the_band_only() -> None:
    p = torch.tensor([[-0.9, -0.2, 0.3, 0.9]], requires_grad=True)
    coefficients = torch.ones(4)
    loss = sparsity(p, 0.5, coefficients)
    assert loss.item() == pytest.approx(0.3 + 0.8)
    loss.backward()
    assert p.grad is not None
    assert p.grad.tolist() == [[0.0, 1.0, 1.0, 0.0]]
    assert polarization(p, 0.5).item() == pytest.approx((0.3**2 + 0.2**2) ** 0.5)


def test_equation_5_as_printed_acts_everywhere() -> None:
    p = torch.tensor([-0.9, -0.2, 0.3, 0.9], requires_grad=True)
    loss = sparsity(p, 0.5, 1.0, everywhere=True)
    assert loss.item() == pytest.approx(0.4 + 0.3 + 0.8 + 1.4)
    loss.backward()
    assert p.grad is not None
    assert p.grad.tolist() == [-1.0, 1.0, 1.0, 1.0]
