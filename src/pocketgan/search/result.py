"""Results of a search, and the uncertainty of the ranking of its best candidates."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pocketgan.metrics.cost import Cost
from pocketgan.metrics.pareto import pareto_front
from pocketgan.metrics.statistics import F64
from pocketgan.search.fitness import ImageFitness
from pocketgan.utils.files import atomic, write_json

RIVALS, GROUPS, ERRORS = 10, 10, 2.0
"""Number of best candidates that are compared, of groups of images in the jackknife, of standard errors that mean a tie."""


@dataclass(frozen=True)
class Candidate:
    """Configuration with its scores."""

    number: int
    generation: int | None
    configuration: str
    widths: Mapping[str, int]
    cost: Cost
    scores: tuple[float, ...]
    """Scores on all images, or an estimate of them from ``images`` images (`HalvingBracket.final_scores`)."""
    images: int
    """Number of images that the candidate was scored on; 1 where the fitness uses none."""


@dataclass(frozen=True)
class SearchResult:
    """All scored candidates, by number."""

    candidates: tuple[Candidate, ...]

    @property
    def fully_scored(self) -> tuple[Candidate, ...]:
        """Candidates with scores on the most images, by number: the scores of the others are estimates."""
        most = max(c.images for c in self.candidates)
        return tuple(c for c in self.candidates if c.images == most)

    @property
    def ranking(self) -> tuple[Candidate, ...]:
        """`fully_scored` by the first score, best first; equal scores by MACs."""
        return tuple(sorted(self.fully_scored, key=lambda c: (c.scores[0], c.cost.macs, c.number)))

    @property
    def best(self) -> Candidate:
        """First of `ranking`."""
        return self.ranking[0]

    @property
    def front(self) -> tuple[Candidate, ...]:
        """Pareto front of `fully_scored`: of score and MACs, or of all scores where there are several."""
        complete = self.fully_scored
        points = [c.scores if len(c.scores) > 1 else (c.cost.macs, c.scores[0]) for c in complete]
        return tuple(complete[i] for i in pareto_front(points, higher_is_better=[False] * len(points[0])))

    def summary(self) -> str:
        """Summary in one line: number of candidates, the best, and the ends of the front of first score against MACs."""
        best, front = self.best, sorted(self.front, key=lambda c: c.cost.macs)
        ends = " to ".join(f"{c.scores[0]:.4g} at {c.cost.macs:,}" for c in (*front[:1], *front[1:][-1:]))
        return (
            f"{len(self.candidates)} candidates: best {best.scores[0]:.4g} at {best.cost.macs:,} MACs, {best.configuration}; "
            f"{len(front)} on the front{', ' if front else ''}{ends}"
        )

    def write(self, path: Path) -> None:
        """Write one JSON line per candidate (``candidates.jsonl``), atomically."""
        with atomic(path) as temporary, open(temporary, "w") as file:
            for candidate in self.candidates:
                file.write(json.dumps({**dataclasses.asdict(candidate), "cost": candidate.cost._asdict()}) + "\n")


@dataclass(frozen=True)
class Rival:
    """Candidate among the best, compared with the best."""

    configuration: str
    score: float
    error: float
    """Standard error of the score over the images."""
    behind: float
    """Distance of the score to the best one."""
    behind_error: float
    """Standard error of ``behind``: on the same images, mostly far less than that of either score."""

    @property
    def tied(self) -> bool:
        """True if the images do not separate the candidate from the best."""
        return self.behind <= ERRORS * self.behind_error


@dataclass(frozen=True)
class Noise:
    """Uncertainty of the ranking of the best candidates."""

    images: int
    groups: int
    rivals: tuple[Rival, ...]
    """Best candidates, in order."""

    @property
    def tied(self) -> int:
        """Number of candidates within `ERRORS` standard errors of the best, with the best."""
        return sum(rival.tied for rival in self.rivals)

    def write(self, path: Path) -> None:
        """Write ``search.json``, atomically."""
        write_json(path, {**dataclasses.asdict(self), "tied": self.tied})

    def __str__(self) -> str:
        best, count = self.rivals[0], len(self.rivals)
        text = f"search: the best scores {best.score:.4g} ± {best.error:.2g} on {self.images} images"
        return f"{text}; {self.tied} of the best {count} lie within two standard errors of it" if count > 1 else text


def measure_noise(result: SearchResult, fitness: ImageFitness) -> Noise | None:
    """Jackknife of the best candidates, scored anew without each group of images; None where too few images would be left."""
    groups = jackknife_groups(fitness.images)
    if fitness.images - max(map(len, groups)) < fitness.least:
        return None
    best = result.ranking[:RIVALS]
    rows = [fitness.rows(candidate.widths, range(fitness.images)) for candidate in best]
    without = [np.array([score_without(fitness, found, group) for group in groups]) for found in rows]
    rivals = tuple(
        Rival(
            candidate.configuration,
            candidate.scores[0],
            standard_error(values),
            candidate.scores[0] - best[0].scores[0],
            standard_error(values - without[0]),
        )
        for candidate, values in zip(best, without, strict=True)
    )
    return Noise(fitness.images, len(groups), rivals)


def jackknife_groups(images: int) -> list[range]:
    """Groups of neighboring images, as neighbors may be alike (tiles of one map, frames of one film)."""
    groups = min(GROUPS, images)
    return [range(start, stop) for start, stop in pairwise(images * k // groups for k in range(groups + 1))]


def score_without(fitness: ImageFitness, rows: F64, group: range) -> float:
    """Score of the rows of all images outside a group."""
    return fitness.score(np.delete(rows, group, axis=0), group)


def standard_error(without: F64) -> float:
    """Jackknife standard error of a statistic, from its values without each group (Quenouille 1956; Tukey 1958).

    Valid for smooth statistics of the images: means, and the Frechet and the kernel distance, whose bias in the number of
    images is the same in all values.
    """
    count = len(without)
    return float(np.sqrt((count - 1) / count * np.sum((without - np.mean(without)) ** 2)))
