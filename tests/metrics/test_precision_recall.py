from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.metrics import precision_recall
from pocketgan.metrics.precision_recall import precision, recall

some = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def features(n, d=4, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def by_pairs(fakes, reals, k):
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
    monkeypatch.setattr(precision_recall, "BLOCK", block)
    shares = set()
    for seed in range(5):
        x, y = features(m, 2, seed, shift=0.7), features(n, 2, seed + 100)
        assert precision(x, y, k=k) == by_pairs(x, y, k)
        assert recall(x, y, k=k) == by_pairs(y, x, k)
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
    """Fakes of half of the reals are all real, and half of what is real: what one distance cannot tell apart."""
    one, other = features(20, seed=1), features(20, seed=2, shift=100.0)
    reals = np.concatenate([one, other])
    assert (precision(one, reals), recall(one, reals)) == (1, 0.5)
    assert (precision(reals, one), recall(reals, one)) == (0.5, 1)
    assert (precision(one, other), recall(one, other)) == (0, 0)


def test_images_that_are_the_same_are_near():
    """Also where rounding would put them a little way apart, and no neighbor gives room."""
    rows = np.repeat(features(3, 64, seed=3, shift=10.0), 4, axis=0)
    assert precision(rows[[0, 5, 9]].repeat(2, axis=0), rows) == 1
    assert recall(rows[:8], rows) == 8 / 12


@some
@given(seed=st.integers(0, 999), m=st.integers(4, 30), n=st.integers(4, 30))
def test_no_order_place_scale_or_rotation_matters(seed, m, n):
    x, y = features(m, seed=seed, shift=0.3), features(n, seed=seed + 1000)
    draw = np.random.default_rng(seed)
    rotation = np.linalg.qr(draw.normal(size=(4, 4)))[0]
    moved = [draw.permutation(rows) @ rotation * 7 + 3 for rows in (x, y)]
    for measure, k in product((precision, recall), (1, 3)):
        assert measure(*moved, k=k) == measure(x, y, k=k)


@some
@given(seed=st.integers(0, 999))
def test_a_wider_neighborhood_reaches_no_less(seed):
    x, y = features(20, seed=seed, shift=1.0), features(15, seed=seed + 1000)
    shares = [precision(x, y, k=k) for k in range(1, 15)]
    assert shares == sorted(shares)
    assert precision(x, x) == recall(x, x) == 1


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="of 4 and of 5 numbers"):
        precision(features(9), features(9, 5))
    with pytest.raises(ValueError, match="precision or recall of k=3 needs at least 4 images a side, found 9 and 3"):
        precision(features(9), features(3))
    with pytest.raises(ValueError, match="k=0: the nearest neighbor is the first"):
        recall(features(9), features(9), k=0)
    with pytest.raises(ValueError, match="NaN"):
        precision(torch.full((4, 2), torch.nan), features(4, 2))
