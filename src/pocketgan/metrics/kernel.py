"""Kernel distance (unbiased squared maximum mean discrepancy), and a bounded sample of features to compute it on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pocketgan.metrics.statistics import F64, feature_pair, feature_rows

BLOCK = 2048  # rows of the kernel matrix at hand at a time: 32 MiB a block


@dataclass(frozen=True)
class KernelDistance:
    """``value``: squared MMD, as it is (KID tables often show 1000 times it). ``spread``: its standard deviation."""

    value: float
    spread: float


def kernel_distance(fakes: npt.ArrayLike | torch.Tensor, reals: npt.ArrayLike | torch.Tensor) -> KernelDistance:
    """Unbiased squared MMD of M x D and N x D features with the kernel ``(x . y / D + 1)^3``, on all of both sets.

    Binkowski et al. 2018, section 4 (KID); Gretton et al. 2012, eq. 3. Unbiased, so it may fall below zero for equal
    distributions. It has no noise from drawing subsets; ``spread`` is the delete-one jackknife's standard error
    (Arvesen 1969), the noise from having just these images. Memory is a block of the kernel matrix.

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


def kernel_distance_of_subsets(
    fakes: npt.ArrayLike | torch.Tensor,
    reals: npt.ArrayLike | torch.Tensor,
    *,
    size: int = 1000,
    subsets: int = 100,
    seed: int = 0,
) -> KernelDistance:
    """The published convention of KID: mean and standard deviation (divisor ``subsets``) over random subsets.

    Each draws ``size`` rows a side without repetition. Noisier than ``kernel_distance``, for comparing with tables.
    Raises ``ValueError`` where a side has fewer than ``size`` rows.
    """
    x, y = feature_pair(fakes, reals, least=3, measure="a kernel distance")
    most = min(len(x), len(y))
    if not 2 <= size <= most:
        raise ValueError(f"subset size must be 2 to {most}, the smaller set's number of images; found {size}")
    if subsets < 1:
        raise ValueError(f"subsets must be at least 1, found {subsets}")
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        a, b = x[draw.choice(len(x), size, replace=False)], y[draw.choice(len(y), size, replace=False)]
        within = (_own_sums(a).sum() + _own_sums(b).sum()) / (size * (size - 1))
        values.append(within - 2 * _cross_sums(a, b)[0].sum() / size**2)
    return KernelDistance(float(np.mean(values)), float(np.std(values)))


class FeatureSample:
    """Keeps at most ``limit`` rows of features that arrive in batches, for measures that need the rows themselves.

    All rows while they are no more than ``limit``, then a uniform random sample of the distinct ones. Which rows
    stay is decided by a hash of each row, so neither the order nor the merging of parts matters.
    10,000 rows of 2048 numbers are 160 MB.
    """

    def __init__(self, *, limit: int = 10_000) -> None:
        if limit < 2:
            raise ValueError(f"limit must be at least 2 rows, found {limit}")
        self.limit = limit
        self.count = 0
        self._keys = np.empty(0, dtype=np.uint64)
        self._rows: F64 | None = None

    def update(self, features: npt.ArrayLike | torch.Tensor) -> None:
        """Add N x D features (NaN, infinity or another D raise ``ValueError``)."""
        rows = feature_rows(features)
        self._take(rows, np.array([_key(row) for row in rows], dtype=np.uint64), count=len(rows))

    def merge(self, other: FeatureSample) -> FeatureSample:
        """A sample of both sets together, with the smaller limit; the two stay as they are."""
        merged = FeatureSample(limit=min(self.limit, other.limit))
        for part in (self, other):
            if part._rows is not None:
                merged._take(part._rows, part._keys, count=part.count)
        return merged

    def rows(self) -> F64:
        """The rows kept, at most ``limit`` x D, in the order of their hashes; ``ValueError`` for none."""
        if self._rows is None:
            raise ValueError("no features were added yet")
        return self._rows

    def _take(self, rows: F64, keys: npt.NDArray[np.uint64], *, count: int) -> None:
        if self._rows is not None and rows.shape[1] != self._rows.shape[1]:
            raise ValueError(f"features of {rows.shape[1]} numbers cannot join features of {self._rows.shape[1]}")
        keys = np.concatenate([self._keys, keys])
        rows = rows if self._rows is None else np.concatenate([self._rows, rows])
        kept = np.argsort(keys, kind="stable")[: self.limit]
        self._keys, self._rows, self.count = keys[kept], rows[kept], self.count + count


def _key(row: F64) -> int:
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little")


def _kernel(x: F64, y: F64) -> F64:
    similarity = x @ y.T
    similarity /= x.shape[1]
    similarity += 1.0
    cubed: F64 = similarity * similarity * similarity  # `** 3` calls pow, many times slower
    return cubed


def _own_sums(x: F64) -> F64:
    """For each row the sum of its kernel values with the other rows of the same set."""
    own: F64 = (np.square(x).sum(axis=1) / x.shape[1] + 1.0) ** 3
    return _cross_sums(x, x)[0] - own


def _cross_sums(x: F64, y: F64) -> tuple[F64, F64]:
    """Row sums and column sums of the kernel matrix, block by block."""
    rows, columns = np.zeros(len(x)), np.zeros(len(y))
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            block = _kernel(x[i : i + BLOCK], y[j : j + BLOCK])
            rows[i : i + BLOCK] += block.sum(axis=1)
            columns[j : j + BLOCK] += block.sum(axis=0)
    return rows, columns
