"""The search of a run as the page shows it: images with their words, and the pruning rate of every layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pocketgan.report.figures import LARGE, TALL, Mark, Panel, curve_figure, spread_figure
from pocketgan.report.history import History, histories
from pocketgan.report.numbers import si
from pocketgan.report.read import RunFiles, mapping
from pocketgan.report.tables import COSTS

KINDS = {key: title for title, key, _, _ in COSTS}
SUFFIXES = (".conv", ".pointwise")
FACTOR = 2.0
"""Costs that span more than this are drawn on a logarithmic axis."""
SMALL = {
    "boundary": ("Boundary", "The half-width of the band in which a mask is neither open nor closed."),
    "strength": ("Strength", "How hard channels are pushed to close."),
    "zeros": ("Zeros", "The part of all scales that is exactly 0."),
    "largest": ("Largest", "How far the largest network of the space is from what it shall generate, on held-out images."),
    "smallest": ("Smallest", "The same of the smallest: what serves one may harm the other."),
}
SPREADS = {
    "masks": ("Masks", "The share of all masks at each value, from 0, closed, to 1, open."),
    "scales": ("Scales", "The share of all scales at each absolute value; 2 stands for all above."),
}


@dataclass(frozen=True)
class Rate:
    """The part of a layer's channels that the search closed."""

    layer: str
    part: float


@dataclass(frozen=True)
class SearchView:
    """The search of one generator."""

    title: str
    large: tuple[Panel, ...]
    small: tuple[Panel, ...]
    rates: tuple[Rate, ...]


def search_views(run: RunFiles, *, color: int, name: str) -> list[SearchView]:
    """A view for each generator that was searched, titled where there are several; ``name`` begins the plots' ids."""
    found, groups = histories(run.log), mapping(mapping(run.result.get("widths")).get("teacher"))
    return [
        SearchView(
            title=history.generator if len(found) > 1 else "",
            large=tuple(_large(history, color, f"{name}g{i}")),
            small=tuple(_small(history, color, f"{name}g{i}")),
            rates=tuple(pruning_rates(history.closed, groups)),
        )
        for i, history in enumerate(found)
    ]


def shared_costs(runs: Sequence[RunFiles], colors: Sequence[int]) -> list[Panel]:
    """One plot for each generator and count that several runs searched by."""
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


def pruning_rates(closed: Mapping[str, float], groups: Iterable[str]) -> list[Rate]:
    """A rate for each layer, from input to output as far as that is known.

    The log has layers as the network lists its parts, which is their order unless a part was listed early (a U-Net's way
    up): where all layers are named as ``groups`` are, that order counts. A layer is named without the part of it that makes
    the channels, unless that names another, too.
    """
    short = {layer: _short(layer) for layer in closed}
    count, place = Counter(short.values()), {group: i for i, group in enumerate(groups)}
    order = sorted(closed, key=lambda layer: place[short[layer]]) if short and place.keys() >= count.keys() else list(closed)
    return [Rate(short[layer] if count[short[layer]] == 1 else layer, closed[layer]) for layer in order]


def _short(layer: str) -> str:
    return next((layer.removesuffix(end) for end in SUFFIXES if layer.endswith(end)), layer) or layer


def _large(history: History, color: int, name: str) -> list[Panel]:
    panels = []
    if "cost" in history.curves:
        panels.append(Panel(_cost_title(history.kind), _cost_words(history), _cost_svg([(history, color)], f"{name}c")))
    if spread := history.spread:
        title, words = SPREADS[spread.of]
        panels.append(Panel(title, words, spread_figure(spread, color=color, moment=history.met, name=f"{name}d")))
    return panels


def _small(history: History, color: int, name: str) -> list[Panel]:
    known = [(key, history.curves[key]) for key in SMALL if key in history.curves]
    return [
        Panel(*SMALL[key], curve_figure([(series, color)], name=f"{name}{key}", moment=history.met, ratio=10.0))
        for key, series in known
    ]


def _cost_title(kind: str) -> str:
    return KINDS.get(kind, f"Cost in {kind}" if kind else "Cost")


def _cost_words(history: History) -> str:
    if history.budget is None:
        return "What the open channels cost."
    budget = si(history.budget).replace(" ", "\N{NO-BREAK SPACE}")
    words = f"What the open channels cost; dashed, the budget of {budget}."
    if history.met is None:
        until = history.curves["cost"].steps[-1]
        return f"{words} Up to step {until} it is not met; what a search leaves above it, one threshold takes at its end."
    froze = " and the masks froze" if history.spread and history.spread.of == "masks" else ""
    return f"{words} It was met{froze} by step {history.met}, dotted."


def _cost_svg(lines: Sequence[tuple[History, int]], name: str) -> str:
    budgets = dict.fromkeys(history.budget for history, _ in lines if history.budget is not None)
    met = [history.met for history, _ in lines]
    return curve_figure(
        [(history.curves["cost"], color) for history, color in lines],
        name=name,
        levels=list(budgets),
        marks=[_mark(history, color, step) for (history, color), step in zip(lines, met, strict=True) if step is not None],
        moment=met[0] if len(met) == 1 else None,
        ratio=FACTOR,
        inches=TALL if len(lines) == 1 else LARGE,
    )


def _mark(history: History, color: int, step: int) -> Mark:
    cost = history.curves["cost"]
    return Mark(step, cost.values[cost.steps.index(step)], color)
