"""What scores candidates: a number from their widths alone, or one that is made of rows, one for each of some images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from pocketgan.metrics.statistics import F64

Score = Callable[[Mapping[str, int]], float]
"""``{group: width}`` -> how good that network is."""

NONE = range(0)
"""No images."""

HELD = 1 << 16
"""Rows that are held for the next rung, at most: half a gigabyte of a thousand features. What is not held is made again."""


@runtime_checkable
class ByImages(Protocol):
    """A score that can be had from a part of the images, and made better by more of them."""

    @property
    def images(self) -> int:
        """How many there are."""

    @property
    def least(self) -> int:
        """The fewest that give a score."""

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """What the network makes of these images, N x D, a row an image: its own score, or its features."""

    def score(self, rows: F64, without: range = NONE) -> float:
        """One number of some images' rows. Of the images ``without`` nothing counts, no real image either."""


def on_all(fitness: ByImages, widths: Mapping[str, int]) -> float:
    """The score of a network on all images."""
    return fitness.score(fitness.rows(widths, range(fitness.images)))


class Plain:
    """A `Score` as one that has a single image."""

    images = least = 1

    def __init__(self, score: Score):
        self._score = score

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """The score itself."""
        return np.full((len(images), 1), self._score(widths), np.float64)

    def score(self, rows: F64, without: range = NONE) -> float:
        """What `rows` gave."""
        return float(rows[0, 0])


class Scorer:
    """Scores candidates on more and more images, each of which a candidate is given once."""

    def __init__(self, fitness: ByImages, against: Sequence[Score], rungs: tuple[int, ...], maximize: tuple[bool, ...]):
        self.fitness, self.against, self.rungs, self.maximize = fitness, against, rungs, maximize
        self._parts = [range(start, stop) for start, stop in pairwise((0, *rungs))]
        self._rows: dict[int, list[F64]] = {}

    def __contains__(self, number: int) -> bool:
        """Whether rows of that candidate are at hand."""
        return number in self._rows

    def keep(self, numbers: Sequence[int]) -> None:
        """Forget the rows of all other candidates."""
        self._rows = {number: rows for number, rows in self._rows.items() if number in numbers}

    def __call__(self, number: int, widths: Mapping[str, int], rung: int, before: Sequence[float] | None) -> list[float]:
        """All scores of a candidate on the images up to a rung; what is no number is the worst.

        ``before`` are its scores on the first rung: all but the first of them know no images and are taken over.
        """
        rows = self._rows.pop(number, [])
        rows += [self.fitness.rows(widths, images) for images in self._parts[len(rows) : rung + 1]]
        if rung < len(self.rungs) - 1 and (len(self._rows) + 1) * self.rungs[rung] <= HELD:
            self._rows[number] = rows
        exact = before[1:] if before is not None else [float(score(widths)) for score in self.against]
        scores = [self.fitness.score(np.concatenate(rows)), *exact]
        worst = (-math.inf if up else math.inf for up in self.maximize)
        return [bad if math.isnan(score) else score for score, bad in zip(scores, worst, strict=True)]
