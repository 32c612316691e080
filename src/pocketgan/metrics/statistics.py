"""Mean and covariance of features: streamed, in float64, with bounded memory."""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pocketgan.utils.files import atomic

F64 = npt.NDArray[np.float64]

_KINDS = {"mu": "fiu", "sigma": "fiu", "n": "iu", "features": "U", "reals": "U"}
"""Arrays in a file of statistics, and the kinds of numpy's types that each may have."""
_MOST_BYTES = 2**30  # of an array: D = 11,585
_LARGEST = 1e100  # a value whose square is no infinity, and far beyond any feature


def feature_rows(features: npt.ArrayLike | torch.Tensor) -> F64:
    """Features as a finite N x D float64 array.

    Raises ``ValueError`` for another rank, no columns, or a NaN or infinite value (naming the first bad row).
    """
    array = features.detach().cpu().numpy() if isinstance(features, torch.Tensor) else features
    rows = np.asarray(array, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"features must be N x D, one row an image; found shape {rows.shape}")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(
            f"feature row {bad[0]} of {len(rows)} holds NaN or infinity ({len(bad)} such rows): "
            "check that image, or the generator that made it"
        )
    return rows


def feature_pair(
    fakes: npt.ArrayLike | torch.Tensor, reals: npt.ArrayLike | torch.Tensor, *, least: int, measure: str
) -> tuple[F64, F64]:
    """Two sets of features, M x D and N x D, of at least ``least`` rows each; ``measure`` is the metric's name in errors.

    Raises ``ValueError`` for different D, too few rows, and as `feature_rows` does.
    """
    x, y = feature_rows(fakes), feature_rows(reals)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"features of {x.shape[1]} and of {y.shape[1]} numbers have no distance: use one extractor")
    if min(len(x), len(y)) < least:
        raise ValueError(f"{measure} needs at least {least} images a side, found {len(x)} and {len(y)}")
    return x, y


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance (divisor n - 1) of a set of features, D numbers each.

    Either ``covariance`` (D x D) or ``factor`` (r x D, with ``factor.T @ factor`` the covariance) is given. Few samples
    come with a factor, which makes the Frechet distance quick. ``n`` is the number of samples, ``features`` the name of
    the extractor and ``reals`` that of the images (``test``, ``train+test``); None where a file does not state it.
    """

    mu: F64
    covariance: F64 | None = None
    factor: F64 | None = None
    n: int | None = None
    features: str | None = None
    reals: str | None = None

    def __post_init__(self) -> None:
        assert (self.covariance is None) != (self.factor is None)
        assert self.n is None or self.n > 1

    @property
    def dim(self) -> int:
        """D, the number of features of an image."""
        return len(self.mu)

    @cached_property
    def sigma(self) -> F64:
        """Covariance, D x D."""
        if self.covariance is not None:
            return self.covariance
        assert self.factor is not None
        return self.factor.T @ self.factor

    @cached_property
    def root(self) -> F64:
        """Matrix R, r x D, with ``R.T @ R == sigma``, r its numerical rank; from ``eigh`` where there is no factor.

        Eigenvalues below ``D * eps`` times the largest are rounding noise (numpy's ``matrix_rank`` rule) and dropped.
        """
        if self.factor is not None:
            return self.factor
        values, vectors = np.linalg.eigh(self.sigma)
        kept = values > self.dim * np.finfo(np.float64).eps * max(values[-1], 0.0)
        root: F64 = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
        return root

    @property
    def trace(self) -> float:
        """Sum of the variances."""
        return float(np.sum(self.factor**2) if self.factor is not None else np.trace(self.sigma))

    @classmethod
    def of(cls, rows: npt.ArrayLike | torch.Tensor, *, features: str | None = None) -> Moments:
        """Moments of N x D features."""
        statistics = FeatureStatistics(features=features)
        statistics.update(rows)
        return statistics.moments()

    def save(self, path: str | Path) -> None:
        """Write ``mu`` and ``sigma`` (the ecosystem's names), ``n``, ``features``, ``reals`` to an ``.npz``, all or nothing.

        Raises ``ValueError`` where the disk refuses; an older file is kept then.
        """
        facts = {"n": self.n, "features": self.features, "reals": self.reals}
        known = {name: np.asarray(value) for name, value in facts.items() if value is not None}
        with atomic(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(file, mu=self.mu, sigma=self.sigma, **known)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path, *, features: str | None = None) -> Moments:
        """Read an ``.npz`` with ``mu`` (D) and ``sigma`` (D x D), of pocketgan or of other code.

        With ``features``, a file that names another extractor is refused. Raises ``ValueError`` for a file that is no
        ``.npz``, lacks a name, or holds shapes or values that cannot be moments; ``FileNotFoundError`` for none.
        """
        content = _read_npz(Path(path))
        mu, sigma = (content[name].astype(np.float64) for name in ("mu", "sigma"))
        if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
            raise ValueError(f"{path}: mu must have shape (D,) and sigma (D, D); found {mu.shape} and {sigma.shape}")
        if not all((np.abs(values) < _LARGEST).all() for values in (mu, sigma)):  # not true of NaN either
            raise ValueError(f"{path}: mu or sigma holds NaN, infinity or more than {_LARGEST:g}: compute the statistics again")
        tolerance = 1e-6 * float(np.abs(sigma).max(initial=0.0))
        if not np.allclose(sigma, sigma.T, rtol=1e-4, atol=tolerance) or (sigma.diagonal() < -tolerance).any():
            raise ValueError(f"{path}: sigma is not symmetric, or a variance is negative, so it is no covariance")
        n = int(content["n"].item()) if "n" in content else None
        if n is not None and n < 2:
            raise ValueError(f"{path}: a covariance needs at least 2 images, found n={n}")
        name, reals = (str(content[key].item()) if key in content else None for key in ("features", "reals"))
        if features is not None and name is not None and name != features:
            raise ValueError(f"{path} holds features of '{name}', not of '{features}': compute them with that one")
        # Symmetrized: files in float32, or of other code, may differ across the diagonal by rounding.
        return cls(mu, covariance=(sigma + sigma.T) / 2, n=n, features=name or features, reals=reals)


class FeatureStatistics:
    """Accumulator of ``Moments`` of features that arrive in batches.

    Holds at most D rows and one D x D matrix, whatever the number of images. Up to D rows are kept as they are, so few
    samples give a low-rank factor; more are folded into mean and scatter (Chan, Golub and LeVeque 1983, eq. 2.1,
    centered, so no digits are lost to a large mean). The order of batches changes the last bits only.
    """

    def __init__(self, *, features: str | None = None) -> None:
        self.features = features
        self._rows: list[F64] = []
        self._folded: tuple[int, F64, F64] | None = None  # count, mean, scatter about it

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(map(len, self._rows)) + (self._folded[0] if self._folded else 0)

    def update(self, features: npt.ArrayLike | torch.Tensor) -> None:
        """Add N x D features (NaN, infinity or another D raise ``ValueError``, and nothing is added)."""
        rows = feature_rows(features)
        dim = len(self._folded[1]) if self._folded else self._rows[0].shape[1] if self._rows else None
        if dim not in (None, rows.shape[1]):
            raise ValueError(f"features of {rows.shape[1]} numbers cannot join features of {dim}: use one extractor")
        if len(rows) == 0:
            return
        self._rows.append(rows.copy())  # the caller may reuse its buffer
        if sum(map(len, self._rows)) > rows.shape[1]:
            self._folded = _combine(self._folded, _scatter(np.concatenate(self._rows)))
            self._rows = []

    def moments(self) -> Moments:
        """Mean and covariance of all images; ``ValueError`` for fewer than 2."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 images, found {self.count}")
        if self._folded is None:
            rows = np.concatenate(self._rows)
            mu = rows.mean(axis=0)
            factor = (rows - mu) / np.sqrt(len(rows) - 1)
            return Moments(mu, factor=factor, n=len(rows), features=self.features)
        total = _combine(self._folded, _scatter(np.concatenate(self._rows)) if self._rows else None)
        assert total is not None
        return Moments(total[1], covariance=total[2] / (total[0] - 1), n=total[0], features=self.features)


def _scatter(rows: F64) -> tuple[int, F64, F64]:
    mu = rows.mean(axis=0)
    centered = rows - mu
    return len(rows), mu, centered.T @ centered


def _combine(a: tuple[int, F64, F64] | None, b: tuple[int, F64, F64] | None) -> tuple[int, F64, F64] | None:
    if a is None or b is None:
        return a or b
    n = a[0] + b[0]
    gap = b[1] - a[1]
    return n, a[1] + gap * (b[0] / n), a[2] + b[2] + np.outer(gap, gap) * (a[0] * b[0] / n)


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Arrays of `_KINDS` in an ``.npz``, of those kinds; bounded, whatever the file claims."""
    if not path.is_file():
        if path.exists():
            raise ValueError(f"{path} is a pipe, folder or device, not a file")
        raise FileNotFoundError(f"no statistics file {path}; `pocketgan stats` writes one")
    content = {}
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")  # of numpy, about the age of a file
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
            for name in (name for name in _KINDS if name in sizes):
                if sizes[name] > _MOST_BYTES:
                    raise ValueError(f"{name} has {sizes[name]:,} bytes, more than the {_MOST_BYTES:,} that are read")
                with archive.open(f"{name}.npy") as member:
                    content[name] = np.lib.format.read_array(member, allow_pickle=False)
    except Exception as error:  # of a damaged zip or header there are a dozen types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is no readable .npz of plain arrays ({reason})") from error
    missing = [name for name in ("mu", "sigma") if name not in content]
    if missing:
        raise ValueError(f"{path} lacks {' and '.join(missing)}; it holds: {', '.join(sizes) or 'nothing'}")
    for name, array in content.items():
        if array.dtype.kind not in _KINDS[name] or (name not in ("mu", "sigma") and array.size != 1):
            raise ValueError(f"{path}: {name} is {array.dtype} of shape {array.shape}; `pocketgan stats` writes it anew")
    return content
