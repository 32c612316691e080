"""Distances between two sets of features: Frechet distance, kernel distance, precision and recall; exact, block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pocketgan.metrics.statistics import F64, Moments, feature_pair, feature_rows
from pocketgan.utils.registry import check_at_least

Features = npt.ArrayLike | torch.Tensor
"""N x D numbers, one row an image."""

BLOCK = 2048
"""Rows of a matrix of pairs in memory at a time: 32 MiB a block."""
ROUNDING = 1e-12
"""Share of the squared lengths of two rows below which their squared distance is 0: the same image."""


def frechet_distance(fakes: Moments, reals: Moments) -> float:
    """Squared Frechet distance of the Gaussians with these moments; never negative.

    ``|mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`` (Dowson and Landau 1982; Heusel et al. 2017, eq. 6). With
    ``S1 = R.T R`` the last trace is the sum of the square roots of the eigenvalues of ``R S2 R.T``, which is symmetric
    and r x r: no square root of a matrix, no complex part, and 300 images with 2048 features are a 300 x 300 problem.
    Rounding of about 1e-8 of the traces can push the distance of equal sets below zero; it is returned as 0.

    The name FID is for the standard Inception features only. Raises ``ValueError`` for different D or other extractors.
    """
    a, b = fakes.features, reals.features
    if a is not None and b is not None and a != b:
        raise ValueError(f"features of '{a}' cannot be compared with features of '{b}': use one extractor for both")
    if fakes.dim != reals.dim:
        raise ValueError(f"features of {fakes.dim} and of {reals.dim} numbers have no distance: use one extractor")
    gap = fakes.mu - reals.mu
    distance = float(gap @ gap) + fakes.trace + reals.trace - 2.0 * trace_of_root(fakes, reals)
    return max(0.0, distance)


def trace_of_root(a: Moments, b: Moments) -> float:
    """``tr (Sa Sb)^(1/2)``, the common spread of two sets."""
    if a.factor is not None and b.factor is not None:
        # Singular values of Ra Rb.T are those roots, without squaring the condition number.
        return float(np.linalg.svd(a.factor @ b.factor.T, compute_uv=False).sum())
    # `root` is cached: one decomposition of the reals serves every student.
    root, sigma = (a.factor, b.sigma) if a.factor is not None else (b.root, a.sigma)
    eigenvalues = np.linalg.eigvalsh(root @ sigma @ root.T)
    return float(np.sqrt(eigenvalues.clip(min=0.0)).sum())


class KernelDistance(NamedTuple):
    """``value``: squared MMD (KID tables often print 1000 times it). ``spread``: its standard deviation."""

    value: float
    spread: float


def kernel_distance(fakes: Features, reals: Features) -> KernelDistance:
    """Unbiased squared MMD of M x D and N x D features with the kernel ``(x . y / D + 1)^3``, on all of both sets.

    Binkowski et al. 2018, section 4 (KID); Gretton et al. 2012, eq. 3. Unbiased, so it may fall below zero for equal
    distributions. It has no noise from drawing subsets; ``spread`` is the delete-one jackknife's standard error
    (Arvesen 1969), the noise of this sample of images.

    Raises ``ValueError`` for different D, fewer than 3 rows a side, or NaN.
    """
    x, y = feature_pair(fakes, reals, least=3, measure="a kernel distance")
    xx, yy, (xy, yx) = _own_sums(x), _own_sums(y), _cross_sums(x, y)
    m, n = len(x), len(y)
    within_x, within_y, between = xx.sum() / (m * (m - 1)), yy.sum() / (n * (n - 1)), xy.sum() / (m * n)
    without_x = (xx.sum() - 2 * xx) / ((m - 1) * (m - 2)) + within_y - 2 * (xy.sum() - xy) / ((m - 1) * n)
    without_y = within_x + (yy.sum() - 2 * yy) / ((n - 1) * (n - 2)) - 2 * (yx.sum() - yx) / (m * (n - 1))
    variance = (m - 1) * without_x.var() + (n - 1) * without_y.var()
    return KernelDistance(float(within_x + within_y - 2 * between), float(np.sqrt(variance)))


def precision(fakes: Features, reals: Features, *, k: int = 3) -> float:
    """Share of M x D fakes that lie in the support of N x D reals, 0 to 1: how many fakes look real.

    Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", eqs. 1 and 2, k = 3 as
    published. The support is the union of balls around the reals, each as far as its ``k``-th nearest among the other reals,
    the border included. Balls shrink as their number grows: compare figures of equal numbers of images only.

    Raises ``ValueError`` for different D, fewer than ``k + 1`` rows a side, ``k`` below 1, or NaN.
    """
    check_at_least({"k": k}, k=1)
    x, y = feature_pair(fakes, reals, least=k + 1, measure=f"precision or recall of k={k}")
    radii, inside = _squared_radii(y, k), np.zeros(len(x), dtype=np.bool_)
    for rows, columns in _blocks(x, y):
        inside[rows] |= (_squared_distances(x[rows], y[columns]) <= radii[columns]).any(axis=1)
    return float(inside.mean())


def recall(fakes: Features, reals: Features, *, k: int = 3) -> float:
    """Share of the reals that lie in the support of the fakes, 0 to 1: `precision` with the sides exchanged."""
    return precision(reals, fakes, k=k)


class FeatureSample:
    """Sample of at most ``limit`` rows of features that arrive in batches, for metrics that need the rows themselves.

    All rows while they are no more than ``limit``, then a uniform random sample of the distinct ones, selected by a hash of
    each row: the order of the batches does not matter. 10,000 rows of 2048 numbers are 160 MB.
    """

    def __init__(self, *, limit: int = 10_000) -> None:
        check_at_least({"limit": limit}, limit=2)
        self.limit = limit
        self.count = 0
        self._keys = np.empty(0, dtype=np.uint64)
        self._rows: F64 | None = None

    def update(self, features: Features) -> None:
        """Add N x D features (NaN, infinity or another D raise ``ValueError``)."""
        rows = feature_rows(features)
        if self._rows is not None and rows.shape[1] != self._rows.shape[1]:
            raise ValueError(f"features of {rows.shape[1]} numbers cannot join features of {self._rows.shape[1]}")
        self.count += len(rows)
        hashes = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
        keys = np.concatenate([self._keys, np.frombuffer(hashes, dtype="<u8")])
        rows = rows if self._rows is None else np.concatenate([self._rows, rows])
        kept = np.argsort(keys, kind="stable")[: self.limit]
        self._keys, self._rows = keys[kept], rows[kept]

    def rows(self) -> F64:
        """Rows of the sample, at most ``limit`` x D, in the order of their hashes; ``ValueError`` for none."""
        if self._rows is None:
            raise ValueError("no features were added yet")
        return self._rows


def _blocks(x: F64, y: F64) -> Iterator[tuple[slice, slice]]:
    """Rows of ``x`` and of ``y``, `BLOCK` of each at a time."""
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            yield slice(i, i + BLOCK), slice(j, j + BLOCK)


def _kernel(x: F64, y: F64) -> F64:
    similarity = x @ y.T
    similarity /= x.shape[1]
    similarity += 1.0
    cubed: F64 = similarity * similarity * similarity  # `** 3` calls pow, many times slower
    return cubed


def _own_sums(x: F64) -> F64:
    """Sum of the kernel values of each row with the other rows of the same set."""
    diagonal: F64 = (np.square(x).sum(axis=1) / x.shape[1] + 1.0) ** 3
    return _cross_sums(x, x)[0] - diagonal


def _cross_sums(x: F64, y: F64) -> tuple[F64, F64]:
    """Row sums and column sums of the kernel matrix."""
    row_sums, column_sums = np.zeros(len(x)), np.zeros(len(y))
    for rows, columns in _blocks(x, y):
        block = _kernel(x[rows], y[columns])
        row_sums[rows] += block.sum(axis=1)
        column_sums[columns] += block.sum(axis=0)
    return row_sums, column_sums


def _squared_radii(x: F64, k: int) -> F64:
    """Squared distance of each row to its ``k``-th nearest among the others."""
    nearest = np.full((len(x), k), np.inf)
    for rows, columns in _blocks(x, x):
        block = _squared_distances(x[rows], x[columns])
        if rows == columns:
            np.fill_diagonal(block, np.inf)  # a row is not its own neighbor
        nearest[rows] = np.partition(np.concatenate([nearest[rows], block], axis=1), k - 1, axis=1)[:, :k]
    return nearest[:, k - 1]


def _squared_distances(x: F64, y: F64) -> F64:
    norms: F64 = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)
    distances: F64 = norms - 2.0 * (x @ y.T)
    distances[distances < ROUNDING * norms] = 0.0
    return distances
