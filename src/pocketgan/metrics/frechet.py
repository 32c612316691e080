"""Frechet distance between two sets of features, exact and quick where the sets are small."""

from __future__ import annotations

import numpy as np

from pocketgan.metrics.statistics import F64, Moments, check_same_extractor


def frechet_distance(fakes: Moments, reals: Moments) -> float:
    """Squared Frechet distance of the Gaussians with these moments; never negative.

    ``|mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`` (Dowson and Landau 1982; Heusel et al. 2017, eq. 6). With
    ``S1 = R.T R`` the last trace is the sum of the square roots of the eigenvalues of ``R S2 R.T``, which is symmetric
    and r x r: no square root of a matrix, no complex part, and 300 images with 2048 features are a 300 x 300 problem.
    Rounding of about 1e-8 of the traces can push the distance of equal sets below zero; it is returned as 0.

    Call it FID only for the standard Inception features. Raises ``ValueError`` for different D or other extractors.
    """
    check_same_extractor(fakes.features, reals.features)
    if fakes.dim != reals.dim:
        raise ValueError(f"features of {fakes.dim} and of {reals.dim} numbers have no distance: use one extractor")
    gap = fakes.mu - reals.mu
    distance = float(gap @ gap) + fakes.trace + reals.trace - 2.0 * trace_of_root(fakes, reals)
    return max(0.0, distance)


def trace_of_root(a: Moments, b: Moments) -> float:
    """``tr (Sa Sb)^(1/2)``: how much of the spread of the two sets is shared."""
    if a.factor is not None and b.factor is not None:
        # Singular values of Ra Rb.T are those roots, without squaring the condition number.
        return float(np.linalg.svd(a.factor @ b.factor.T, compute_uv=False).sum())
    if a.factor is not None:
        return _sum_of_roots(a.factor, b.sigma)
    # `b.root` is remembered: one decomposition of the reals serves every student that is evaluated against them.
    return _sum_of_roots(b.root, a.sigma)


def _sum_of_roots(root: F64, sigma: F64) -> float:
    eigenvalues = np.linalg.eigvalsh(root @ sigma @ root.T)
    return float(np.sqrt(eigenvalues.clip(min=0.0)).sum())
