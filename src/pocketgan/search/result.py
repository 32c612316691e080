"""What a search has found."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pocketgan.metrics.cost import Cost
from pocketgan.metrics.pareto import pareto_front
from pocketgan.utils.files import atomic


@dataclass(frozen=True)
class Candidate:
    """One scored configuration."""

    number: int
    generation: int | None
    configuration: str
    widths: Mapping[str, int]
    cost: Cost
    scores: tuple[float, ...]
    """On all images, or what they would be: an estimate from ``images`` of them (`Round.final`)."""
    images: int
    """How many images it was scored on; 1 where the fitness knows none."""


@dataclass(frozen=True)
class SearchResult:
    """All scored candidates, by number."""

    candidates: tuple[Candidate, ...]
    maximize: tuple[bool, ...]

    @property
    def whole(self) -> tuple[Candidate, ...]:
        """Those that were scored on the most images, by number: the others' scores are estimates."""
        most = max(c.images for c in self.candidates)
        return tuple(c for c in self.candidates if c.images == most)

    @property
    def ranking(self) -> tuple[Candidate, ...]:
        """`whole` by the first score, the best first; of equals the ones with fewer MACs."""
        sign = -1 if self.maximize[0] else 1
        return tuple(sorted(self.whole, key=lambda c: (sign * c.scores[0], c.cost.macs, c.number)))

    @property
    def best(self) -> Candidate:
        """The first of `ranking`."""
        return self.ranking[0]

    @property
    def front(self) -> tuple[Candidate, ...]:
        """Those of `whole` that no other of them beats: in score and MACs, or in all scores where there are several."""
        if len(self.maximize) == 1:
            points = [(c.cost.macs, c.scores[0]) for c in self.whole]
            chosen = pareto_front(points, higher_is_better=self.maximize[0])
        else:
            chosen = pareto_front([c.scores for c in self.whole], higher_is_better=self.maximize)
        return tuple(self.whole[i] for i in chosen)

    def summary(self) -> str:
        """One line: how many, the best of them, and the ends of the front of its first score against exact MACs."""
        best, front = self.best, sorted(self.front, key=lambda c: c.cost.macs)
        ends = " to ".join(f"{c.scores[0]:.4g} at {c.cost.macs:,}" for c in (*front[:1], *front[1:][-1:]))
        return (
            f"{len(self.candidates)} candidates: best {best.scores[0]:.4g} at {best.cost.macs:,} MACs, {best.configuration}; "
            f"{len(front)} on the front{', ' if front else ''}{ends}"
        )

    def write(self, path: Path) -> None:
        """One JSON line a candidate (``candidates.jsonl``), atomically."""
        with atomic(path) as temporary, open(temporary, "w") as file:
            for candidate in self.candidates:
                file.write(json.dumps({**dataclasses.asdict(candidate), "cost": candidate.cost._asdict()}) + "\n")
