"""Successive halving: few images for all candidates of a round, more for those that lead.

Jamieson and Talwalkar 2016. All candidates of a round are scored on the first rung's images, the leading part of them on those
up to the next rung and so on; with the defaults 5.3 times fewer images than all on all. Only scores on equal images are
compared, so neither an image's difficulty nor a distance's bias in their number tells for or against a candidate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketgan.metrics.pareto import pareto_front

Unit = tuple[int, int]
"""A candidate's number and the rung, counted from 0, on which it is scored."""
Scored = Mapping[Unit, Sequence[float]]
"""The scores of what is scored so far."""


@dataclass(frozen=True)
class Halving:
    """How much the candidates of a round are given. ``Halving(first=1)`` scores all of them on everything."""

    first: float = 1 / 16
    """The part of the images that every candidate is scored on."""
    keep: float = 0.5
    """The part of the candidates that goes on to the next rung, which has 1/``keep`` times as many images."""

    def __post_init__(self) -> None:
        if not (0 < self.first <= 1 and 0 < self.keep < 1):
            raise ValueError(f"first={self.first}, keep={self.keep}: parts between 0 and 1; first=1 scores all on everything")

    def rungs(self, images: int, least: int = 1) -> tuple[int, ...]:
        """On how many images the candidates are compared, time after time, never on fewer than ``least``."""
        steps = math.ceil(round(math.log(self.first) / math.log(self.keep), 9))
        shares = (math.ceil(images * self.keep**step - 1e-9) for step in range(steps, -1, -1))
        return tuple(dict.fromkeys(min(images, max(least, share)) for share in shares))

    def members(self, count: int) -> int:
        """How many of so many go on."""
        return math.ceil(self.keep * count)


WHOLE = Halving(first=1)


class HalvingBracket:
    """Candidates that are compared with one another, on their way over the rungs."""

    def __init__(self, numbers: range, rungs: int, plan: Halving, maximize: Sequence[bool]):
        self.numbers, self.rungs, self.plan, self.maximize = numbers, rungs, plan, maximize
        self.members: Sequence[int] = numbers
        """Who is scored on the rung."""
        self.rung = 0
        self.given = dict.fromkeys(numbers, 0)
        """The last rung of each."""
        self._passed = 0  # how many members, from the first, are scored

    @property
    def over(self) -> bool:
        """Whether nobody has anything left to be scored on."""
        return self._passed == len(self.members)

    @property
    def waiting(self) -> Sequence[int]:
        """The members from the first on that is not scored."""
        return self.members[self._passed :]

    def follow(self, scored: Scored) -> None:
        """Go as far as what is scored allows: to the last rung's last member."""
        while True:
            while self._passed < len(self.members) and (self.members[self._passed], self.rung) in scored:
                self._passed += 1
            if not self.over or self.rung == self.rungs - 1:
                return
            self.rung, self._passed = self.rung + 1, 0
            self.members = self._leaders(scored)
            self.given |= dict.fromkeys(self.members, self.rung)

    def _leaders(self, scored: Scored) -> list[int]:
        scores = [scored[number, self.rung - 1] for number in self.members]
        order = ranked(scores, self.maximize)[: self.plan.members(len(scores))]
        return sorted(self.members[place] for place in order)

    def final(self, scored: Scored) -> dict[int, tuple[float, ...]]:
        """The scores of every candidate once the round is over; for those that were stopped, an estimate.

        It is what a candidate had on its last rung and the mean, over those that were scored on everything, of what the other
        images changed: a control variate, since the images are the same for all. That takes out how hard the first images
        happen to be, and a Frechet distance's bias in their number. Who leads on few images is lucky on them more often than
        not, so the estimate errs a little against those that were stopped; their order on a rung stays.
        """
        last = self.rungs - 1
        whole = np.array([scored[number, last] for number in self.members])
        shifts = {rung: _finite_mean(whole, [scored[number, rung] for number in self.members]) for rung in range(last)}
        return {
            number: tuple(scored[number, rung] if rung == last else (np.array(scored[number, rung]) + shifts[rung]).tolist())
            for number, rung in self.given.items()
        }


def _finite_mean(whole: npt.NDArray[np.float64], part: Iterable[Sequence[float]]) -> npt.NDArray[np.float64]:
    """The mean difference by column over what is a number on both sides; 0 where nothing is."""
    with np.errstate(invalid="ignore"):  # inf - inf
        gaps = whole - np.array(part)
    known = np.isfinite(gaps)
    found: npt.NDArray[np.float64] = np.where(known, gaps, 0.0).sum(axis=0) / known.sum(axis=0).clip(min=1)
    return found


def ranked(scores: Sequence[Sequence[float]], maximize: Sequence[bool]) -> list[int]:
    """Indices, best first; of equals the earlier ones.

    By one score; of several, front after front, and within a front the loneliest first (NSGA-II, Deb et al. 2002): the best
    by quality alone would all be large.
    """
    if len(maximize) == 1:
        sign = -1 if maximize[0] else 1
        return sorted(range(len(scores)), key=lambda place: sign * scores[place][0])
    order, left = list[int](), list(range(len(scores)))
    while front := sorted(left[place] for place in pareto_front([scores[i] for i in left], higher_is_better=maximize)):
        distances = dict(zip(front, crowding([scores[i] for i in front]).tolist(), strict=True))
        order += sorted(front, key=lambda i: -distances[i])
        left = [i for i in left if i not in distances]
    return order + left  # what is not finite stands on no front


def crowding(scores: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """How far apart each one's neighbors are, summed over the scores in parts of their span; infinite at either end."""
    table, found = np.array(scores, np.float64), np.zeros(len(scores))
    for column in table.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        found[order[[0, -1]]] = np.inf
        if span > 0:
            found[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return found
