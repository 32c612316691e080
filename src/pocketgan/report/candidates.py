"""The candidates of a search: every one as a point, the chosen one marked, the best ten in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pocketgan.report.figures import Panel, Point, pareto_figure
from pocketgan.report.numbers import plain, tick
from pocketgan.report.read import RunFiles, mapping, real
from pocketgan.report.tables import Cell, Table, cost_cell

BEST = 10


@dataclass(frozen=True)
class Scored:
    """One line of ``candidates.jsonl`` that can be read."""

    configuration: str
    generation: int
    macs: float
    score: float
    widths: dict[str, Any]


@dataclass(frozen=True)
class CandidatesView:
    """What the page shows of them."""

    panel: Panel
    best: Table


def scored(run: RunFiles) -> list[Scored]:
    """The candidates of a run, in the order in which they were proposed; lines without cost or score are left out."""
    found = []
    for line in run.candidates:
        macs, scores = real(mapping(line.get("cost")).get("macs")), line.get("scores")
        score = real(scores[0]) if isinstance(scores, list) and scores else None
        if macs is not None and macs > 0 and score is not None:
            words, generation = str(line.get("configuration", "")), real(line.get("generation"))
            found.append(Scored(words, int(generation or 0), macs, score, mapping(line.get("widths"))))
    return found


def candidates_view(run: RunFiles, *, name: str) -> CandidatesView | None:
    """Points coloured by generation, a star on the one whose widths the student has; None where nothing was scored."""
    found = scored(run)
    if not found:
        return None
    chosen = chosen_of(found, mapping(mapping(run.result.get("widths")).get("student")))
    points = [Point(one.macs, one.score, one.generation) for one in found]
    star = [Point(chosen.macs, chosen.score, 0)] if chosen is not None else []
    svg = pareto_figure(points, star, cost_text=tick, higher_is_better=False, name=name)
    words = (
        f"{len(found)} candidates scored with the shared weights on held-out images, lower is better; a colour for each "
        "generation, dashed the front" + ("; the star is the chosen one." if chosen is not None else ".")
    )
    return CandidatesView(Panel("Score against exact MACs", words, svg), _best(found))


def chosen_of(found: Sequence[Scored], widths: dict[str, Any]) -> Scored | None:
    """The candidate of those widths."""
    return next((one for one in found if one.widths and one.widths == widths), None)


def _best(found: Sequence[Scored]) -> Table:
    """The ten best by score, of equals the cheaper first: what they are, what they cost, how wide their groups are."""
    ranked = sorted(found, key=lambda one: (one.score, one.macs))[:BEST]
    groups = list(ranked[0].widths)
    rows = [
        (
            Cell(one.configuration),
            Cell(plain(one.score, 4), one.score),
            cost_cell(one.macs),
            *(Cell(str(one.widths.get(group, "")), real(one.widths.get(group))) for group in groups),
        )
        for one in ranked
    ]
    return Table(("configuration", "score", "MACs", *groups), tuple(rows))
