"""How far the best candidates can be told apart on the images that there are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pocketgan.metrics.statistics import F64
from pocketgan.search.result import Candidate, SearchResult
from pocketgan.search.scoring import ByImages
from pocketgan.utils.files import write_json

RIVALS, GROUPS, ERRORS = 10, 10, 2.0
"""How many of the best are compared, in how many groups images are left out, how many standard errors are no difference."""


@dataclass(frozen=True)
class Rival:
    """One of the best, beside the best."""

    configuration: str
    score: float
    error: float
    """Standard error of the score over the images."""
    behind: float
    """How much worse it scored than the best."""
    behind_error: float
    """Standard error of that: of the difference on the same images, mostly far less than that of either score."""

    @property
    def tied(self) -> bool:
        """Whether these images do not tell it from the best."""
        return self.behind <= ERRORS * self.behind_error


@dataclass(frozen=True)
class Noise:
    """What a search's first ranks are worth."""

    images: int
    groups: int
    rivals: tuple[Rival, ...]
    """The best first."""

    @property
    def tied(self) -> int:
        """How many lie within `ERRORS` standard errors of the best; it is one of them."""
        return sum(rival.tied for rival in self.rivals)

    def write(self, path: Path) -> None:
        """``search.json``, atomically."""
        write_json(path, {**dataclasses.asdict(self), "tied": self.tied})

    def __str__(self) -> str:
        best, several = self.rivals[0], len(self.rivals) > 1
        told = f"search: the best scores {best.score:.4g} ± {best.error:.2g} on {self.images} images"
        return f"{told}; {self.tied} of the best {len(self.rivals)} lie within two standard errors of it" if several else told


def measure_noise(found: SearchResult, fitness: ByImages) -> Noise | None:
    """Score the best anew and leave out one group of images after the other; None where too few images would be left."""
    groups = leave_out(fitness.images)
    if fitness.images - max(map(len, groups)) < fitness.least:
        return None
    best, sign = found.ranking[:RIVALS], -1.0 if found.maximize[0] else 1.0
    rows = [fitness.rows(candidate.widths, range(fitness.images)) for candidate in best]
    without = [sign * np.array([scored_without(fitness, own, group) for group in groups]) for own in rows]
    gaps = [sign * (candidate.scores[0] - best[0].scores[0]) for candidate in best]
    rivals = [_rival(*one, without[0]) for one in zip(best, gaps, without, strict=True)]
    return Noise(fitness.images, len(groups), tuple(rivals))


def _rival(candidate: Candidate, behind: float, own: F64, first: F64) -> Rival:
    errors = standard_error(own), standard_error(own - first)
    return Rival(candidate.configuration, candidate.scores[0], errors[0], behind, errors[1])


def leave_out(images: int) -> list[range]:
    """The groups: neighbors together, as they may be alike (tiles of one map, frames of one film)."""
    groups = min(GROUPS, images)
    return [range(start, stop) for start, stop in pairwise(images * k // groups for k in range(groups + 1))]


def scored_without(fitness: ByImages, rows: F64, group: range) -> float:
    """The score of all images' rows but those of a group."""
    return fitness.score(np.delete(rows, group, axis=0), group)


def standard_error(without: F64) -> float:
    """The jackknife's standard error of a statistic, from its values without each group (Quenouille 1956; Tukey 1958).

    It holds for smooth statistics of the images: means, and the Frechet and the kernel distance, whose bias in the number of
    images is the same in all values.
    """
    count = len(without)
    return float(np.sqrt((count - 1) / count * np.sum((without - np.mean(without)) ** 2)))
