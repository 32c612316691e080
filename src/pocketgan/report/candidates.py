"""The candidates of a search: every one as a point, the chosen one marked, the best ten in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    images: float
    widths: dict[str, Any]


@dataclass(frozen=True)
class CandidatesView:
    """What the page shows of them."""

    panel: Panel
    noise: str
    """How far the best can be told apart; empty where that is not known."""
    best: Table


def scored(run: RunFiles) -> list[Scored]:
    """The candidates of a run, in the order in which they were proposed; lines without cost or score are left out."""
    found = []
    for line in run.candidates:
        macs, scores = real(mapping(line.get("cost")).get("macs")), line.get("scores")
        score = real(scores[0]) if isinstance(scores, list) and scores else None
        if macs is not None and macs > 0 and score is not None:
            words, generation, images = (
                str(line.get("configuration", "")),
                real(line.get("generation")),
                real(line.get("images")),
            )
            found.append(Scored(words, int(generation or 0), macs, score, images or 0, mapping(line.get("widths"))))
    return found


def candidates_view(run: RunFiles, *, name: str) -> CandidatesView | None:
    """Points colored by generation, a star on the one whose widths the student has; None where nothing was scored."""
    found = scored(run)
    if not found:
        return None
    whole = whole_of(found)
    chosen = chosen_of(found, mapping(mapping(run.result.get("widths")).get("student")))
    star = [Point(chosen.macs, chosen.score, 0)] if chosen is not None else []
    svg = pareto_figure(
        [_point(one) for one in whole],
        star,
        pale=[_point(one) for one in found if one.images < whole[0].images],
        cost_text=tick,
        higher_is_better=False,
        name=name,
    )
    words = (
        f"{len(found)} candidates scored with the shared weights on held-out images, lower is better; a color for each "
        "generation, dashed the front" + ("; the star is the chosen one." if chosen is not None else ".")
    )
    if len(whole) < len(found):
        words += f" {len(whole)} of them saw all {whole[0].images:g} images, the pale others fewer: estimates."
    panel, errors = Panel("Score against exact MACs", words, svg), rivals(run.search)
    return CandidatesView(panel, noise_words(run.search), _best(whole, errors))


def whole_of(found: Sequence[Scored]) -> list[Scored]:
    """Those that were scored on the most images."""
    most = max(one.images for one in found)
    return [one for one in found if one.images == most]


def chosen_of(found: Sequence[Scored], widths: dict[str, Any]) -> Scored | None:
    """The candidate of those widths."""
    return next((one for one in found if one.widths and one.widths == widths), None)


def rivals(search: Mapping[str, Any]) -> dict[str, float]:
    """``{configuration: standard error of its score}`` of those that were compared."""
    listed = search.get("rivals")
    every = [mapping(one) for one in listed] if isinstance(listed, list) else []
    errors = {str(one.get("configuration", "")): real(one.get("error")) for one in every}
    return {words: error for words, error in errors.items() if error is not None}


def noise_words(search: Mapping[str, Any]) -> str:
    """How many of the best these images do not tell apart."""
    errors, images, tied = rivals(search), real(search.get("images")), real(search.get("tied"))
    if len(errors) < 2 or images is None or tied is None:
        return ""
    return (
        f"± is the standard error over the {images:g} held-out images. {tied:g} of the best {len(errors)} lie within two "
        "standard errors of the best: of the difference to it, on the same images."
    )


def _point(one: Scored) -> Point:
    return Point(one.macs, one.score, one.generation)


def _best(found: Sequence[Scored], errors: Mapping[str, float]) -> Table:
    """The ten best by score, of equals the cheaper first: what they are, what they cost, how wide their groups are."""
    ranked = sorted(found, key=lambda one: (one.score, one.macs))[:BEST]
    groups = list(ranked[0].widths)
    rows = [
        (
            Cell(one.configuration),
            Cell(plain(one.score, 4), one.score, _error(errors.get(one.configuration))),
            cost_cell(one.macs),
            *(Cell(str(one.widths.get(group, "")), real(one.widths.get(group))) for group in groups),
        )
        for one in ranked
    ]
    return Table(("configuration", "score", "MACs", *groups), tuple(rows))


def _error(error: float | None) -> str:
    return "" if error is None else f"± {plain(error, 2)}"
