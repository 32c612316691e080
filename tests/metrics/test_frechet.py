import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.fid import _compute_fid

from pocketgan.metrics.frechet import frechet_distance, trace_of_root
from pocketgan.metrics.statistics import Moments


def gaussian(n, d, seed=0, shift=0.0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(n, d)) @ draw.normal(size=(d, d)) / np.sqrt(d) + shift


def full(rows):
    """The same moments as from a file: no factor."""
    moments = Moments.of(rows)
    return Moments(moments.mu, covariance=moments.sigma)


def by_eigenvalues(a, b):
    values = scipy.linalg.eigvals(a.sigma @ b.sigma)
    root = np.sqrt(values.real.clip(min=0)).sum()
    return ((a.mu - b.mu) ** 2).sum() + np.trace(a.sigma) + np.trace(b.sigma) - 2 * root


@pytest.mark.parametrize("kind", [Moments.of, full])
@pytest.mark.parametrize("other", [Moments.of, full])
@pytest.mark.parametrize(("m", "n"), [(20, 30), (20, 300), (300, 20), (300, 400)])
def test_every_route_equals_the_eigenvalues(kind, other, m, n):
    a, b = kind(gaussian(m, 64, 1)), other(gaussian(n, 64, 2, shift=0.3))
    assert frechet_distance(a, b) == pytest.approx(by_eigenvalues(a, b), rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-7)


def test_full_rank_equals_torchmetrics_and_sqrtm():
    a, b = full(gaussian(300, 32, 3)), full(gaussian(400, 32, 4, shift=0.5))
    assert _torchmetrics(a, b) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    root = scipy.linalg.sqrtm(a.sigma @ b.sigma)
    assert trace_of_root(a, b) == pytest.approx(np.trace(root).real, rel=1e-9)


def _torchmetrics(a, b):
    return float(_compute_fid(*map(torch.from_numpy, (a.mu, a.sigma, b.mu, b.sigma))))


def test_equal_covariances_leave_the_squared_distance_of_the_means():
    rows = gaussian(200, 16)
    shift = np.linspace(-1, 1, 16)
    for kind in (Moments.of, full):
        assert frechet_distance(kind(rows), kind(rows + shift)) == pytest.approx(shift @ shift, rel=1e-9)
        assert frechet_distance(kind(rows[:9]), kind(rows[:9] + shift)) == pytest.approx(shift @ shift, rel=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9), st.floats(-3, 3)), min_size=1, max_size=8))
def test_diagonal_covariances_have_a_closed_form(columns):
    s, t, gap = np.array(columns).T
    zero = np.zeros_like(gap)
    found = frechet_distance(Moments(gap, covariance=np.diag(s**2)), Moments(zero, covariance=np.diag(t**2)))
    assert found == pytest.approx((gap**2).sum() + ((s - t) ** 2).sum(), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("n", [5, 100])
@pytest.mark.parametrize("kind", [Moments.of, full])
def test_a_set_is_at_distance_zero_from_itself(kind, n):
    moments = kind(gaussian(n, 40))
    assert 0.0 <= frechet_distance(moments, moments) <= 1e-6 * moments.trace


def test_low_rank_against_full_at_the_real_size():
    draw = np.random.default_rng(0)
    scale = np.geomspace(2.0, 0.01, 2048)
    reals = draw.normal(size=(2500, 2048)) * scale
    few, many = Moments.of(draw.normal(size=(60, 2048)) * scale), full(reals)
    # Only the span of the few matters: in a basis of it, both covariances are 60 x 60 and sqrtm is at home.
    basis = np.linalg.qr(few.factor.T)[0]
    inner = basis.T @ few.sigma @ basis
    root = scipy.linalg.sqrtm(inner @ (basis.T @ many.sigma @ basis))
    assert trace_of_root(few, many) == pytest.approx(np.trace(root).real, rel=1e-6)


def test_what_has_no_distance_is_refused():
    with pytest.raises(ValueError, match="of 3 and of 4 numbers"):
        frechet_distance(Moments.of(gaussian(9, 3)), Moments.of(gaussian(9, 4)))
    with pytest.raises(ValueError, match="'a' cannot be compared with features of 'b'"):
        frechet_distance(Moments.of(gaussian(9, 3), features="a"), Moments.of(gaussian(9, 3), features="b"))
