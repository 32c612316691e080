"""Our Frechet distance beside the usual one with scipy's square root of a matrix, in one run.

Run: OMP_NUM_THREADS=1 python benchmarks/frechet.py [--out FILE]. About a minute; scipy comes with the `dev` extra.
"""

import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch

from _common import publish
from pocketgan.metrics.frechet import frechet_distance
from pocketgan.metrics.statistics import F64, Moments


def features(n: int, dim: int, seed: int) -> F64:
    """Correlated, positive, with a decaying spectrum, as pooled activations are."""
    draw = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(dim, dim)) * np.geomspace(1.0, 0.01, dim)[:, None] / np.sqrt(dim)
    rows: F64 = draw.normal(size=(n, dim)) @ mixing + 0.02 * draw.random((n, dim)) + 0.05 * seed
    return rows.clip(min=0.0)


def with_sqrtm(a: Moments, b: Moments) -> float:
    """The published evaluators' way: the square root of the product of two full covariances."""
    root = scipy.linalg.sqrtm(a.sigma @ b.sigma).real
    gap = a.mu - b.mu
    return float(gap @ gap + np.trace(a.sigma) + np.trace(b.sigma) - 2 * np.trace(root))


def by_eigenvalues(a: Moments, b: Moments) -> float:
    """The reference value: square roots of the eigenvalues of the product."""
    values = scipy.linalg.eigvals(a.sigma @ b.sigma).real.clip(min=0)
    gap = a.mu - b.mu
    return float(gap @ gap + np.trace(a.sigma) + np.trace(b.sigma) - 2 * np.sqrt(values).sum())


def seconds(run: Callable[[], float], repeats: int) -> tuple[float, float]:
    """The value and the shortest time of `repeats` calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = run()
        times.append(time.perf_counter() - start)
    return value, min(times)


def compare(dim: int, fakes: int, reals: int) -> dict[str, float | int | str]:
    """One row: `reals` beyond `dim` stand for a file with full (mu, sigma)."""
    a, b = Moments.of(features(fakes, dim, seed=1)), Moments.of(features(reals, dim, seed=2))
    reference = by_eigenvalues(a, b)  # also forms both sigmas, so that neither side is charged for it
    ours, ours_seconds = seconds(lambda: frechet_distance(a, b), 5)
    theirs, theirs_seconds = seconds(lambda: with_sqrtm(a, b), 1)
    return {
        "dim": dim,
        "fakes": fakes,
        "reals": f"full (mu, sigma) of {reals}" if reals > dim else f"{reals} rows",
        "ours": ours,
        "sqrtm": theirs,
        "eigenvalues": reference,
        "relative_error_ours": abs(ours - reference) / reference,
        "relative_error_sqrtm": abs(theirs - reference) / reference,
        "ours_seconds": ours_seconds,
        "sqrtm_seconds": theirs_seconds,
        "speedup": theirs_seconds / ours_seconds,
    }


def main() -> None:
    torch.set_num_threads(1)
    rows = [compare(dim, 300, reals) for dim in (768, 2048) for reals in (300, 5000)]
    publish("frechet", {"rows": rows}, packages=("numpy", "scipy"))


if __name__ == "__main__":
    main()
