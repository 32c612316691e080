"""Search of a run: plots with captions, the pruning rate of every layer, and the candidates that were scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pocketgan.report.curves import History, histories
from pocketgan.report.figures import LARGE, TALL, Panel, Point, curve_figure, distribution_figure, pareto_figure
from pocketgan.report.numbers import plain, si, tick
from pocketgan.report.read import RunFiles, mapping, real
from pocketgan.report.tables import COSTS, Cell, Table, cost_cell

KINDS = {key: title for title, key, _, _ in COSTS}
SUFFIXES = (".conv", ".pointwise")
FACTOR = 2.0
"""Ratio of costs from which on their axis is logarithmic."""
SMALL = {
    "boundary": ("Boundary", "Half-width of the band in which a mask is neither open nor closed."),
    "strength": ("Strength", "Weight of the sparsity term, which closes channels."),
    "zeros": ("Zeros", "Part of all scales that is exactly 0."),
    "largest": ("Largest", "Distance of the largest network's images from their targets, on held-out inputs."),
    "smallest": ("Smallest", "Distance of the smallest network's images; training for one size can harm the other."),
}
DISTRIBUTIONS = {
    "masks": ("Masks", "Share of all masks at each value, from 0, closed, to 1, open."),
    "scales": ("Scales", "Share of all scales at each absolute value; 2 includes all above."),
}
BEST = 10
"""Number of candidates in the table of the best."""


@dataclass(frozen=True)
class Candidate:
    """Readable line of ``candidates.jsonl``."""

    configuration: str
    generation: int
    macs: float
    score: float
    images: float
    widths: dict[str, Any]

    @property
    def point(self) -> Point:
        """Point of the candidate in the plot, colored by generation."""
        return Point(self.macs, self.score, self.generation)


def search_views(run: RunFiles, *, color: int, name: str) -> list[dict[str, Any]]:
    """Title (if there are several), plots and pruning rates of each generator; ``name`` is the prefix of plot ids."""
    found, groups = histories(run.log), mapping(mapping(run.result.get("widths")).get("teacher"))
    return [
        {
            "title": history.generator if len(found) > 1 else "",
            "large": _large(history, color, f"{name}g{i}"),
            "small": [
                Panel(*words, curve_figure([(series, color)], name=f"{name}g{i}{key}", moment=history.met, ratio=10.0))
                for key, words in SMALL.items()
                if (series := history.curves.get(key))
            ],
            "rates": pruning_rates(history.closed, groups),
        }
        for i, history in enumerate(found)
    ]


def shared_costs(runs: Sequence[RunFiles], colors: Sequence[int]) -> list[Panel]:
    """Plot for each generator and unit of cost that several searches share."""
    groups: dict[tuple[str, str], list[tuple[History, int]]] = {}
    for run, color in zip(runs, colors, strict=True):
        for history in histories(run.log):
            if "cost" in history.curves:
                groups.setdefault((history.kind, history.generator), []).append((history, color))
    generators = {generator for _, generator in groups}
    shared = {key: lines for key, lines in groups.items() if len(lines) > 1}
    return [
        Panel(_cost_title(kind) + (f" · {generator}" if len(generators) > 1 else ""), "", _cost_svg(lines, f"q{i}"))
        for i, ((kind, generator), lines) in enumerate(shared.items())
    ]


def pruning_rates(closed: Mapping[str, float], groups: Iterable[str]) -> dict[str, float]:
    """Part of each layer's channels that the search closed, from input to output as far as that order is known.

    The log has layers in the order of the network's modules, which differs from that of the computation if a module is
    registered early (decoder of a U-Net): if all layers are named as ``groups`` are, the order of ``groups`` counts. Names
    lose the suffix of the convolution, unless two layers would have one name.
    """
    short = {layer: _short(layer) for layer in closed}
    count, place = Counter(short.values()), {group: i for i, group in enumerate(groups)}
    order = sorted(closed, key=lambda layer: place[short[layer]]) if short and place.keys() >= count.keys() else list(closed)
    return {short[layer] if count[short[layer]] == 1 else layer: closed[layer] for layer in order}


def _short(layer: str) -> str:
    return next((layer.removesuffix(end) for end in SUFFIXES if layer.endswith(end)), layer) or layer


def _large(history: History, color: int, name: str) -> list[Panel]:
    panels = []
    if "cost" in history.curves:
        panels.append(Panel(_cost_title(history.kind), _cost_words(history), _cost_svg([(history, color)], f"{name}c")))
    if shown := history.distribution:
        svg = distribution_figure(shown, color=color, moment=history.met, name=f"{name}d")
        panels.append(Panel(*DISTRIBUTIONS[shown.of], svg))
    return panels


def _cost_title(kind: str) -> str:
    return KINDS.get(kind, f"Cost in {kind}" if kind else "Cost")


def _cost_words(history: History) -> str:
    if history.budget is None:
        return "Cost of the open channels."
    budget = si(history.budget).replace(" ", "\N{NO-BREAK SPACE}")
    words = f"Cost of the open channels; dashed, the budget of {budget}."
    if history.met is None:
        until = history.curves["cost"].steps[-1]
        return f"{words} Up to step {until} the budget is not met; a threshold at the end of the search enforces it."
    froze = " and the masks froze" if history.distribution and history.distribution.of == "masks" else ""
    return f"{words} The budget was met{froze} by step {history.met}, dotted."


def _cost_svg(lines: Sequence[tuple[History, int]], name: str) -> str:
    marks = []
    for history, color in lines:
        if (step := history.met) is not None:
            cost = history.curves["cost"]
            marks.append(Point(step, cost.values[cost.steps.index(step)], color))
    return curve_figure(
        [(history.curves["cost"], color) for history, color in lines],
        name=name,
        levels=list(dict.fromkeys(history.budget for history, _ in lines if history.budget is not None)),
        marks=marks,
        moment=lines[0][0].met if len(lines) == 1 else None,
        ratio=FACTOR,
        inches=TALL if len(lines) == 1 else LARGE,
    )


def scored(run: RunFiles) -> list[Candidate]:
    """Candidates of a run in the order of the file, without lines that have no cost or no score."""
    found = []
    for line in run.candidates:
        macs, scores = real(mapping(line.get("cost")).get("macs")), line.get("scores")
        score = real(scores[0]) if isinstance(scores, list) and scores else None
        if macs is not None and macs > 0 and score is not None:
            found.append(
                Candidate(
                    configuration=str(line.get("configuration", "")),
                    generation=int(real(line.get("generation")) or 0),
                    macs=macs,
                    score=score,
                    images=real(line.get("images")) or 0,
                    widths=mapping(line.get("widths")),
                )
            )
    return found


def candidates_view(run: RunFiles, *, name: str) -> dict[str, Any] | None:
    """Plot of all candidates, with a star on the student's widths, and table of the best; None without candidates."""
    found = scored(run)
    if not found:
        return None
    most = max(candidate.images for candidate in found)
    complete = [candidate for candidate in found if candidate.images == most]
    chosen = selected(found, mapping(mapping(run.result.get("widths")).get("student")))
    svg = pareto_figure(
        [candidate.point for candidate in complete],
        [chosen.point] if chosen else [],
        pale=[candidate.point for candidate in found if candidate.images < most],
        cost_text=tick,
        higher_is_better=False,
        name=name,
    )
    words = (
        f"{len(found)} candidates scored with the shared weights on held-out images, lower is better; one color for each "
        "generation, dashed the Pareto front" + ("; the star is the selected candidate." if chosen else ".")
    )
    if len(complete) < len(found):
        words += f" {len(complete)} of them were scored on all {most:g} images, the pale ones on fewer."
    panel = Panel("Score against exact MACs", words, svg)
    return {"panel": panel, "noise": noise_words(run.search), "best": _best(complete, standard_errors(run.search))}


def selected(found: Sequence[Candidate], widths: dict[str, Any]) -> Candidate | None:
    """Candidate with the given widths."""
    return next((candidate for candidate in found if candidate.widths and candidate.widths == widths), None)


def standard_errors(search: Mapping[str, Any]) -> dict[str, float]:
    """``{configuration: standard error of its score}`` of the best candidates."""
    listed = search.get("rivals")
    every = [mapping(one) for one in listed] if isinstance(listed, list) else []
    errors = {str(one.get("configuration", "")): real(one.get("error")) for one in every}
    return {configuration: error for configuration, error in errors.items() if error is not None}


def noise_words(search: Mapping[str, Any]) -> str:
    """Sentence on the number of candidates that do not differ significantly from the best; empty if unknown."""
    errors, images, tied = standard_errors(search), real(search.get("images")), real(search.get("tied"))
    if len(errors) < 2 or images is None or tied is None:
        return ""
    return (
        f"± is the standard error over the {images:g} held-out images. {tied:g} of the best {len(errors)} lie within two "
        "standard errors of the best, by the difference to it on the same images."
    )


def _best(found: Sequence[Candidate], errors: Mapping[str, float]) -> Table:
    """Best candidates by score, then by cost: configuration, score, cost, widths."""
    ranked = sorted(found, key=lambda candidate: (candidate.score, candidate.macs))[:BEST]
    groups = list(ranked[0].widths)
    rows = []
    for candidate in ranked:
        error = errors.get(candidate.configuration)
        score = Cell(plain(candidate.score, 4), candidate.score, "" if error is None else f"± {plain(error, 2)}")
        widths = (candidate.widths.get(group, "") for group in groups)
        cells = (Cell(str(width), real(width)) for width in widths)
        rows.append((Cell(candidate.configuration), score, cost_cell(candidate.macs), *cells))
    return Table(("configuration", "score", "MACs", *groups), tuple(rows))
