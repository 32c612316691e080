"""Frechet distance, kernel distance, precision and recall against closed forms, definitions and other libraries."""

from itertools import combinations, product

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from pocketgan.metrics import distances
from pocketgan.metrics.distances import (
    FeatureSample,
    frechet_distance,
    kernel_distance,
    precision,
    recall,
    trace_of_root,
)
from pocketgan.metrics.statistics import Moments


def features(n, d=8, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


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
    oracle = float(_compute_fid(*map(torch.from_numpy, (a.mu, a.sigma, b.mu, b.sigma))))
    assert oracle == pytest.approx(frechet_distance(a, b), rel=1e-9)
    root = scipy.linalg.sqrtm(a.sigma @ b.sigma)
    assert trace_of_root(a, b) == pytest.approx(np.trace(root).real, rel=1e-9)


def test_equal_covariances_leave_the_squared_distance_of_the_means():
    rows = gaussian(200, 16)
    shift = np.linspace(-1, 1, 16)
    for kind in (Moments.of, full):
        assert frechet_distance(kind(rows), kind(rows + shift)) == pytest.approx(shift @ shift, rel=1e-9)
        assert frechet_distance(kind(rows[:9]), kind(rows[:9] + shift)) == pytest.approx(shift @ shift, rel=1e-6)


@settings(deadline=None, max_examples=20)
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


def test_low_rank_against_full():
    draw = np.random.default_rng(0)
    scale = np.geomspace(2.0, 0.01, 256)
    reals = draw.normal(size=(300, 256)) * scale
    few, many = Moments.of(draw.normal(size=(30, 256)) * scale), full(reals)
    # Only the span of the few matters: in a basis of it, both covariances are 30 x 30 and sqrtm is exact.
    basis = np.linalg.qr(few.factor.T)[0]
    inner = basis.T @ few.sigma @ basis
    root = scipy.linalg.sqrtm(inner @ (basis.T @ many.sigma @ basis))
    assert trace_of_root(few, many) == pytest.approx(np.trace(root).real, rel=1e-6)


def test_moments_without_a_distance_are_refused():
    with pytest.raises(ValueError, match="of 3 and of 4 numbers"):
        frechet_distance(Moments.of(gaussian(9, 3)), Moments.of(gaussian(9, 4)))
    with pytest.raises(ValueError, match="'a' cannot be compared with features of 'b'"):
        frechet_distance(Moments.of(gaussian(9, 3), features="a"), Moments.of(gaussian(9, 3), features="b"))


def test_equal_sizes_equal_torchmetrics():
    x, y = features(50, 16, 1, shift=0.4), features(50, 16, 2)
    oracle = float(poly_mmd(torch.from_numpy(y), torch.from_numpy(x)))
    assert kernel_distance(x, y).value == pytest.approx(oracle, rel=1e-12)


def kernel_by_pairs(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    within = [np.mean([k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    return sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])


def test_unequal_sizes_equal_the_definition_in_any_blocks(monkeypatch):
    x, y = features(7, seed=1, shift=0.5), features(11, seed=2)
    assert kernel_distance(x, y).value == pytest.approx(kernel_by_pairs(x, y), rel=1e-12)
    whole = kernel_distance(x, y)
    monkeypatch.setattr(distances, "BLOCK", 3)
    assert kernel_distance(x, y).value == pytest.approx(whole.value, rel=1e-12)
    assert kernel_distance(x, y).spread == pytest.approx(whole.spread, rel=1e-12)


def test_spread_is_the_jackknife():
    x, y = features(6, seed=1, shift=0.5), features(9, seed=2)
    without_x = [kernel_by_pairs(np.delete(x, i, axis=0), y) for i in range(len(x))]
    without_y = [kernel_by_pairs(x, np.delete(y, j, axis=0)) for j in range(len(y))]
    expected = np.sqrt((len(x) - 1) * np.var(without_x) + (len(y) - 1) * np.var(without_y))
    assert kernel_distance(x, y).spread == pytest.approx(expected, rel=1e-9)


def test_unbiased_and_the_spread_is_honest():
    equal = [kernel_distance(features(40, seed=s), features(30, seed=1000 + s)) for s in range(100)]
    values = np.array([one.value for one in equal])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).any()
    apart = [kernel_distance(features(40, seed=s, shift=0.7), features(30, seed=1000 + s)) for s in range(100)]
    stated, true = np.mean([one.spread for one in apart]), np.std([one.value for one in apart])
    assert stated == pytest.approx(true, rel=0.25)


def test_features_without_a_kernel_distance_are_refused():
    with pytest.raises(ValueError, match="of 8 and of 5 numbers"):
        kernel_distance(features(9), features(9, 5))
    with pytest.raises(ValueError, match="at least 3 images a side, found 9 and 2"):
        kernel_distance(features(9), features(2))
    with pytest.raises(ValueError, match="NaN"):
        kernel_distance(np.full((4, 2), np.nan), features(4, 2))


def sample(rows, limit, cuts=()):
    kept = FeatureSample(limit=limit)
    for part in np.split(rows, sorted(cuts)):
        kept.update(part)
    return kept


@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 40), limit=st.integers(2, 40), cut=st.integers(0, 40), seed=st.integers(0, 99))
def test_a_sample_depends_on_no_order_and_no_batches(n, limit, cut, seed):
    rows = features(n, 3, seed)
    whole = sample(rows, limit)
    assert len(whole.rows()) == min(n, limit)
    assert {tuple(row) for row in whole.rows()} <= {tuple(row) for row in rows}
    shuffled = np.random.default_rng(seed).permutation(rows)
    np.testing.assert_array_equal(sample(shuffled, limit, [min(cut, n)]).rows(), whole.rows())
    assert whole.count == n


def test_a_sample_is_uniform():
    rows = np.arange(2000.0)[:, None]
    kept = sample(rows, 500, range(100, 2000, 100)).rows()
    assert kept.mean() == pytest.approx(999.5, abs=4 * 577 / np.sqrt(500))


def test_a_sample_refuses_other_widths():
    kept = sample(features(4), 9)
    with pytest.raises(ValueError, match="features of 5 numbers cannot join features of 8"):
        kept.update(features(4, 5))
    with pytest.raises(ValueError, match="limit=1: the least is 2"):
        FeatureSample(limit=1)
    with pytest.raises(ValueError, match="no features were added yet"):
        FeatureSample().rows()


def test_the_whole_is_the_mean_of_all_subsets():
    """The published protocol of 100 subsets estimates this value."""
    x, y, size = features(5, seed=1, shift=0.5), features(6, seed=2), 3
    parts = [[list(part) for part in combinations(range(len(side)), size)] for side in (x, y)]
    values = [kernel_distance(x[a], y[b]).value for a in parts[0] for b in parts[1]]
    assert np.mean(values) == pytest.approx(kernel_distance(x, y).value, rel=1e-12)


def precision_by_pairs(fakes, reals, k):
    """Eqs. 1 and 2, pair by pair."""
    found = 0
    for fake in fakes:
        for i, real in enumerate(reals):
            others = sorted(np.linalg.norm(real - other) for j, other in enumerate(reals) if j != i)
            if np.linalg.norm(fake - real) <= others[k - 1]:
                found += 1
                break
    return found / len(fakes)


@pytest.mark.parametrize(("k", "m", "n"), [(1, 9, 6), (3, 7, 11), (4, 12, 5)])
@pytest.mark.parametrize("block", [2048, 4, 3])
def test_equal_to_the_definition_in_any_blocks(monkeypatch, k, m, n, block):
    monkeypatch.setattr(distances, "BLOCK", block)
    shares = set()
    for seed in range(5):
        x, y = features(m, 2, seed, shift=0.7), features(n, 2, seed + 100)
        assert precision(x, y, k=k) == precision_by_pairs(x, y, k)
        assert recall(x, y, k=k) == precision_by_pairs(y, x, k)
        shares.add(precision(x, y, k=k))
    assert len(shares) > 1


def test_on_a_line():
    """Reals 0 ... 9: the third nearest is 2 away, 3 at the ends, so their support is [-3, 12], the border included."""
    reals = np.arange(10.0)[:, None]
    fakes = np.array([-3.01, -3.0, 4.4, 12.0, 12.01])[:, None]
    assert precision(fakes, reals) == 3 / 5
    assert precision(fakes, reals, k=1) == 1 / 5  # [-1, 10]
    # The fakes' third nearest are 15.01, 15, 7.6, 15 and 15.01 away, so their support is all of the reals and more.
    assert recall(fakes, reals) == 1
    # With one neighbor and none in the middle it is 0.01 at either end.
    assert recall(np.array([-3.01, -3.0, 12.0, 12.01])[:, None], reals, k=1) == 0


def test_one_of_two_modes():
    """Fakes of half of the reals: precision 1, recall 1/2."""
    one, other = features(20, seed=1), features(20, seed=2, shift=100.0)
    reals = np.concatenate([one, other])
    assert (precision(one, reals), recall(one, reals)) == (1, 0.5)
    assert (precision(reals, one), recall(reals, one)) == (0.5, 1)
    assert (precision(one, other), recall(one, other)) == (0, 0)


def test_equal_images_are_inside():
    """Also where rounding would give them a distance, and the radius is 0."""
    rows = np.repeat(features(3, 64, seed=3, shift=10.0), 4, axis=0)
    assert precision(rows[[0, 5, 9]].repeat(2, axis=0), rows) == 1
    assert recall(rows[:8], rows) == 8 / 12


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 999), m=st.integers(4, 30), n=st.integers(4, 30))
def test_no_order_place_scale_or_rotation_matters(seed, m, n):
    x, y = features(m, 4, seed=seed, shift=0.3), features(n, 4, seed=seed + 1000)
    draw = np.random.default_rng(seed)
    rotation = np.linalg.qr(draw.normal(size=(4, 4)))[0]
    moved = [draw.permutation(rows) @ rotation * 7 + 3 for rows in (x, y)]
    for measure, k in product((precision, recall), (1, 3)):
        assert measure(*moved, k=k) == measure(x, y, k=k)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 999))
def test_a_wider_neighborhood_reaches_no_less(seed):
    x, y = features(20, seed=seed, shift=1.0), features(15, seed=seed + 1000)
    shares = [precision(x, y, k=k) for k in range(1, 15)]
    assert shares == sorted(shares)
    assert precision(x, x) == recall(x, x) == 1


def test_features_without_precision_are_refused():
    with pytest.raises(ValueError, match="of 8 and of 5 numbers"):
        precision(features(9), features(9, 5))
    with pytest.raises(ValueError, match="precision or recall of k=3 needs at least 4 images a side, found 9 and 3"):
        precision(features(9), features(3))
    with pytest.raises(ValueError, match="k=0: the least is 1"):
        recall(features(9), features(9), k=0)
    with pytest.raises(ValueError, match="NaN"):
        precision(torch.full((4, 2), torch.nan), features(4, 2))
