"""Successive halving: few images for all candidates of a bracket, more for the leading ones.

Jamieson and Talwalkar 2016. All candidates of a bracket are scored on the images of the first rung, the leading part of them
on those up to the next rung and so on; with the defaults 5.3 times fewer images than all on all. Only scores on equal images
are compared, so neither the difficulty of an image nor the bias of a distance in their number favors a candidate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketgan.metrics.pareto import pareto_front

WorkUnit = tuple[int, int]
"""Number of a candidate and the rung, counted from 0, on which it is scored."""
UnitScores = Mapping[WorkUnit, Sequence[float]]
"""Scores of the finished work units."""


@dataclass(frozen=True)
class Halving:
    """Schedule of images for the candidates of a bracket. ``Halving(first=1)`` scores all of them on all images."""

    first: float = 1 / 16
    """Part of the images on which every candidate is scored."""
    keep: float = 0.5
    """Part of the candidates that continues to the next rung, which has 1/``keep`` times as many images."""

    def __post_init__(self) -> None:
        if not (0 < self.first <= 1 and 0 < self.keep < 1):
            raise ValueError(f"first={self.first}, keep={self.keep}: parts between 0 and 1; first=1 scores all on everything")

    def rungs(self, images: int, least: int = 1) -> tuple[int, ...]:
        """Number of images of each rung, at least ``least``."""
        steps = math.ceil(round(math.log(self.first) / math.log(self.keep), 9))
        shares = (math.ceil(images * self.keep**step - 1e-9) for step in range(steps, -1, -1))
        return tuple(dict.fromkeys(min(images, max(least, share)) for share in shares))

    def survivors(self, count: int) -> int:
        """Number of candidates that continue, of ``count``."""
        return math.ceil(self.keep * count)


NO_HALVING = Halving(first=1)


class HalvingBracket:
    """Candidates that are compared with one another, and their progress over the rungs."""

    def __init__(self, numbers: range, rungs: int, halving: Halving):
        self.numbers, self.rungs, self.halving = numbers, rungs, halving
        self.members: Sequence[int] = numbers
        """Candidates that are scored on the current rung."""
        self.rung = 0
        self.last_rung = dict.fromkeys(numbers, 0)
        """Last rung of each candidate."""
        self._scored = 0  # leading members that are scored

    @property
    def finished(self) -> bool:
        """True if all members are scored on the current rung, the last one after `advance`."""
        return self._scored == len(self.members)

    @property
    def pending(self) -> Sequence[int]:
        """Members from the first one that is not scored."""
        return self.members[self._scored :]

    def advance(self, scored: UnitScores) -> None:
        """Advance as far as the scores allow: to the last rung's last member."""
        while True:
            while self._scored < len(self.members) and (self.members[self._scored], self.rung) in scored:
                self._scored += 1
            if not self.finished or self.rung == self.rungs - 1:
                return
            scores = [scored[number, self.rung] for number in self.members]
            leaders = ranked(scores)[: self.halving.survivors(len(scores))]
            self.rung, self._scored = self.rung + 1, 0
            self.members = sorted(self.members[index] for index in leaders)
            self.last_rung |= dict.fromkeys(self.members, self.rung)

    def final_scores(self, scored: UnitScores) -> dict[int, tuple[float, ...]]:
        """Scores of every candidate of a finished bracket; for those that were stopped, an estimate.

        The estimate is the score on the last rung of the candidate plus the mean change, over the candidates with scores on
        all images, that the other images brought: a control variate, as the images are the same for all. It removes the
        difficulty of the first images, and the bias of a Frechet distance in their number. Leaders on few images are lucky
        more often than not, so the estimate errs a little against stopped candidates; their order on a rung is kept.
        """
        last = self.rungs - 1
        full = np.array([scored[number, last] for number in self.members])
        shifts = {rung: _finite_mean_gap(full, [scored[number, rung] for number in self.members]) for rung in range(last)}
        return {
            number: tuple(scored[number, rung] if rung == last else (np.array(scored[number, rung]) + shifts[rung]).tolist())
            for number, rung in self.last_rung.items()
        }


def _finite_mean_gap(full: npt.NDArray[np.float64], part: Iterable[Sequence[float]]) -> npt.NDArray[np.float64]:
    """Mean difference by column over the finite ones; 0 where there is none."""
    with np.errstate(invalid="ignore"):  # inf - inf
        gaps = full - np.array(part)
    finite = np.isfinite(gaps)
    return np.asarray(np.where(finite, gaps, 0.0).sum(axis=0) / finite.sum(axis=0).clip(min=1), np.float64)


def ranked(scores: Sequence[Sequence[float]]) -> list[int]:
    """Indices, the lowest first; of equal scores the earlier one first.

    By one score; of several, front after front, and within a front by crowding distance, the largest first (NSGA-II, Deb et
    al. 2002): the best by quality alone would all be large networks.
    """
    count = len(scores[0]) if scores else 1
    if count == 1:
        return sorted(range(len(scores)), key=lambda index: scores[index][0])
    order, left = list[int](), list(range(len(scores)))
    while front := sorted(left[index] for index in pareto_front([scores[i] for i in left], higher_is_better=[False] * count)):
        distances = dict(zip(front, crowding([scores[i] for i in front]).tolist(), strict=True))
        order += sorted(front, key=lambda i: -distances[i])
        left = [i for i in left if i not in distances]
    return order + left  # scores that are not finite are on no front


def crowding(scores: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """Crowding distance: gap between the neighbors, summed over the scores in parts of their span; infinite at both ends."""
    table, distances = np.array(scores, np.float64), np.zeros(len(scores))
    for column in table.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distances[order[[0, -1]]] = np.inf
        if span > 0:
            distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distances
