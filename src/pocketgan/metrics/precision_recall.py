"""Precision and recall of a set of images: how many of the fakes look real, and how many of the reals could be generated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from pocketgan.metrics.statistics import F64, feature_pair

BLOCK = 2048  # rows of the matrix of distances at hand at a time: 32 MiB a block
ROUNDING = 1e-12  # of the squared lengths of two rows: what is nearer is the same image, whose distance is to be 0


def precision(fakes: npt.ArrayLike | torch.Tensor, reals: npt.ArrayLike | torch.Tensor, *, k: int = 3) -> float:
    """The share of M x D fakes that lie in the support of N x D reals, 0 to 1: do they look real?

    Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", eqs. 1 and 2, k = 3 as
    published. The support is the union of balls around the reals, each as far as its ``k``-th nearest among the other reals,
    the border included. Balls shrink as their number grows: compare figures of equal numbers of images only.
    Memory is a block of the distances.

    Raises ``ValueError`` for different D, fewer than ``k + 1`` rows a side, ``k`` below 1, or NaN.
    """
    if k < 1:
        raise ValueError(f"k={k}: the nearest neighbor is the first; the published k is 3")
    x, y = feature_pair(fakes, reals, least=k + 1, measure=f"precision or recall of k={k}")
    return float(_reached(x, y, _radii(y, k)).mean())


def recall(fakes: npt.ArrayLike | torch.Tensor, reals: npt.ArrayLike | torch.Tensor, *, k: int = 3) -> float:
    """The share of the reals that lie in the support of the fakes, 0 to 1: could they have been generated?

    `precision` with the sides exchanged.
    """
    return precision(reals, fakes, k=k)


def _radii(x: F64, k: int) -> F64:
    """For each row the squared distance to its ``k``-th nearest among the others."""
    radii = np.empty(len(x))
    for i in range(0, len(x), BLOCK):
        rows = x[i : i + BLOCK]
        nearest = np.full((len(rows), k), np.inf)
        for j in range(0, len(x), BLOCK):
            block = _squared_distances(rows, x[j : j + BLOCK])
            if i == j:
                np.fill_diagonal(block, np.inf)  # nothing is its own neighbor
            nearest = np.partition(np.concatenate([nearest, block], axis=1), k - 1, axis=1)[:, :k]
        radii[i : i + BLOCK] = nearest[:, k - 1]
    return radii


def _reached(x: F64, y: F64, radii: F64) -> npt.NDArray[np.bool_]:
    """Which rows of ``x`` are within the squared radius of some row of ``y``."""
    reached = np.zeros(len(x), dtype=np.bool_)
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            block = _squared_distances(x[i : i + BLOCK], y[j : j + BLOCK])
            reached[i : i + BLOCK] |= (block <= radii[j : j + BLOCK]).any(axis=1)
    return reached


def _squared_distances(x: F64, y: F64) -> F64:
    norms: F64 = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)
    distances: F64 = norms - 2.0 * (x @ y.T)
    distances[distances < ROUNDING * norms] = 0.0
    return distances
