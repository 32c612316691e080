"""Seconds and error of our Fréchet distance and of the usual one with scipy's matrix square root, in one run.

OMP_NUM_THREADS=1 python benchmarks/frechet.py [--out FILE]

About a minute; scipy comes with the `dev` extra.
"""

import time
from collections.abc import Callable

import numpy as np
import scipy.linalg

from _common import parse, publish, sqrtm_distance
from pocketgan.metrics.distances import frechet_distance
from pocketgan.metrics.statistics import F64, Moments


def features(n: int, dim: int, seed: int) -> F64:
    """Features like pooled activations: correlated, positive, with a decaying spectrum."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(dim, dim)) * np.geomspace(1.0, 0.01, dim)[:, None] / np.sqrt(dim)
    rows: F64 = rng.normal(size=(n, dim)) @ mixing + 0.02 * rng.random((n, dim)) + 0.05 * seed
    return rows.clip(min=0.0)


def by_eigenvalues(a: Moments, b: Moments) -> float:
    """Reference value, by square roots of the eigenvalues of the product."""
    values = scipy.linalg.eigvals(a.sigma @ b.sigma).real.clip(min=0)
    gap = a.mu - b.mu
    return float(gap @ gap + np.trace(a.sigma) + np.trace(b.sigma) - 2 * np.sqrt(values).sum())


def seconds(run: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Value and shortest time of `repeats` calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = run()
        times.append(time.perf_counter() - start)
    return value, min(times)


def compare(dim: int, fakes: int, reals: int) -> dict[str, float | int | str]:
    """Row of the table; `reals` above `dim` are those of a file with full (mu, sigma)."""
    a, b = Moments.of(features(fakes, dim, seed=1)), Moments.of(features(reals, dim, seed=2))
    reference = by_eigenvalues(a, b)  # also computes both sigmas, outside of both timings
    ours, ours_seconds = seconds(lambda: frechet_distance(a, b), 5)
    theirs, theirs_seconds = seconds(lambda: sqrtm_distance(a.mu, a.sigma, b.mu, b.sigma), 1)
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
    arguments = parse(__doc__)
    rows = [compare(dim, 300, reals) for dim in (768, 2048) for reals in (300, 5000)]
    publish("frechet", {"rows": rows}, arguments.out, packages=("numpy", "scipy"))


if __name__ == "__main__":
    main()
