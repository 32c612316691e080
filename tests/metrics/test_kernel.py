from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.kid import poly_mmd

from pocketgan.metrics import kernel
from pocketgan.metrics.kernel import FeatureSample, kernel_distance, kernel_distance_of_subsets


def features(n, d=8, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_equal_sizes_equal_torchmetrics():
    x, y = features(50, 16, 1, shift=0.4), features(50, 16, 2)
    oracle = float(poly_mmd(torch.from_numpy(y), torch.from_numpy(x)))
    assert kernel_distance(x, y).value == pytest.approx(oracle, rel=1e-12)
    assert kernel_distance_of_subsets(x, y, size=50, subsets=2).value == pytest.approx(oracle, rel=1e-12)


def by_pairs(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    within = [np.mean([k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    return sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])


def test_unequal_sizes_equal_the_definition_in_any_blocks(monkeypatch):
    x, y = features(7, seed=1, shift=0.5), features(11, seed=2)
    assert kernel_distance(x, y).value == pytest.approx(by_pairs(x, y), rel=1e-12)
    whole = kernel_distance(x, y)
    monkeypatch.setattr(kernel, "BLOCK", 3)
    assert kernel_distance(x, y).value == pytest.approx(whole.value, rel=1e-12)
    assert kernel_distance(x, y).spread == pytest.approx(whole.spread, rel=1e-12)


def test_spread_is_the_jackknife():
    x, y = features(6, seed=1, shift=0.5), features(9, seed=2)
    without_x = [by_pairs(np.delete(x, i, axis=0), y) for i in range(len(x))]
    without_y = [by_pairs(x, np.delete(y, j, axis=0)) for j in range(len(y))]
    expected = np.sqrt((len(x) - 1) * np.var(without_x) + (len(y) - 1) * np.var(without_y))
    assert kernel_distance(x, y).spread == pytest.approx(expected, rel=1e-9)


def test_unbiased_and_the_spread_is_honest():
    equal = [kernel_distance(features(40, seed=s), features(30, seed=1000 + s)) for s in range(200)]
    values = np.array([one.value for one in equal])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).any()
    apart = [kernel_distance(features(40, seed=s, shift=0.7), features(30, seed=1000 + s)) for s in range(200)]
    stated, true = np.mean([one.spread for one in apart]), np.std([one.value for one in apart])
    assert stated == pytest.approx(true, rel=0.25)


def test_subsets_are_drawn_by_seed_and_agree_with_the_whole():
    x, y = features(80, seed=1, shift=0.5), features(90, seed=2)
    subsets = kernel_distance_of_subsets(x, y, size=30, subsets=200, seed=3)
    assert subsets == kernel_distance_of_subsets(x, y, size=30, subsets=200, seed=3)
    assert subsets != kernel_distance_of_subsets(x, y, size=30, subsets=200, seed=4)
    assert subsets.value == pytest.approx(kernel_distance(x, y).value, abs=4 * subsets.spread / np.sqrt(200))


def test_what_has_no_distance_is_refused():
    with pytest.raises(ValueError, match="of 8 and of 5 numbers"):
        kernel_distance(features(9), features(9, 5))
    with pytest.raises(ValueError, match="at least 3 images a side, found 9 and 2"):
        kernel_distance(features(9), features(2))
    with pytest.raises(ValueError, match=r"must be 2 to 9, .* found 1000"):
        kernel_distance_of_subsets(features(9), features(12))
    with pytest.raises(ValueError, match="subsets must be at least 1, found 0"):
        kernel_distance_of_subsets(features(9), features(12), size=4, subsets=0)
    with pytest.raises(ValueError, match="NaN"):
        kernel_distance(np.full((4, 2), np.nan), features(4, 2))


def sample(rows, limit, cuts=()):
    kept = FeatureSample(limit=limit)
    for part in np.split(rows, sorted(cuts)):
        kept.update(part)
    return kept


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 40), limit=st.integers(2, 40), cut=st.integers(0, 40), seed=st.integers(0, 99))
def test_a_sample_depends_on_no_order_and_no_parts(n, limit, cut, seed):
    rows = features(n, 3, seed)
    whole = sample(rows, limit)
    assert len(whole.rows()) == min(n, limit)
    assert {tuple(row) for row in whole.rows()} <= {tuple(row) for row in rows}
    shuffled = np.random.default_rng(seed).permutation(rows)
    np.testing.assert_array_equal(sample(shuffled, limit, [min(cut, n)]).rows(), whole.rows())
    parts = sample(rows[:cut], limit).merge(sample(rows[cut:], limit))
    np.testing.assert_array_equal(parts.rows(), whole.rows())
    assert parts.count == whole.count == n


def test_a_sample_is_uniform():
    rows = np.arange(2000.0)[:, None]
    kept = sample(rows, 500, range(100, 2000, 100)).rows()
    assert kept.mean() == pytest.approx(999.5, abs=4 * 577 / np.sqrt(500))


def test_a_sample_refuses_what_does_not_fit():
    kept = sample(features(4), 9)
    with pytest.raises(ValueError, match="features of 5 numbers cannot join features of 8"):
        kept.update(features(4, 5))
    with pytest.raises(ValueError, match="limit must be at least 2 rows, found 1"):
        FeatureSample(limit=1)
    with pytest.raises(ValueError, match="no features were added yet"):
        FeatureSample().rows()


def test_the_whole_is_the_mean_of_all_subsets():
    """So the published protocol of 100 subsets of 100 draws around this value: no number of its own is needed for it."""
    x, y, size = features(5, seed=1, shift=0.5), features(6, seed=2), 3
    parts = [[list(part) for part in combinations(range(len(side)), size)] for side in (x, y)]
    values = [kernel_distance(x[a], y[b]).value for a in parts[0] for b in parts[1]]
    assert np.mean(values) == pytest.approx(kernel_distance(x, y).value, rel=1e-12)
