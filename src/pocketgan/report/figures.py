"""The page's plots: curves by step, quality against cost, and how a distribution moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from pocketgan.metrics.pareto import pareto_front
from pocketgan.report.curves import Series, smooth, thin, wide
from pocketgan.report.history import Spread
from pocketgan.report.measures import finite
from pocketgan.report.numbers import tick
from pocketgan.report.svg import COLORS, INK, LINES, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALL, LARGE, TALL = (3.3, 1.9), (4.6, 2.9), (4.6, 3.6)
BROAD = 100.0
"""Curves that span more than this have a logarithmic axis."""
SHADES = 20
SHARES = (0.01, 0.1, 0.25, 0.5, 1.0)
"""What the scale of a heat map names."""
RULE: dict[str, Any] = {"color": INK, "linewidth": 1.1, "linestyle": (0, (3, 2)), "alpha": 0.7, "zorder": 1}


@dataclass(frozen=True)
class Panel:
    """One plot and the words around it."""

    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Point:
    """One network in a Pareto plot; ``color`` counts the page's line colors."""

    cost: float
    value: float
    color: int


@dataclass(frozen=True)
class Mark:
    """A dot on a curve, at a moment worth seeing."""

    step: int
    value: float
    color: int


def curve_figure(
    lines: Sequence[tuple[Series, int]],
    *,
    name: str,
    levels: Sequence[float] = (),
    marks: Sequence[Mark] = (),
    moment: int | None = None,
    ratio: float = BROAD,
    inches: tuple[float, float] = SMALL,
) -> str:
    """Curves by step. A single noisy one is drawn pale under its smoothed self; of several, the smoothed alone.

    ``lines`` are series with their colors; ``name`` tells this figure's ids from those of the page's others. ``levels``
    are dashed across, ``moment`` is ruled down. The axis is logarithmic where values and levels span more than ``ratio``.
    """

    def draw(axes: Axes) -> None:
        drawn = [(series, smooth(series.values) if series.dense else series.values, c) for series, c in lines]
        shown = [value for _, values, _ in drawn for value in values if finite(value)] + list(levels)
        if wide(shown, ratio=ratio):
            _logarithmic(axes, "y", tick, subs=_subs(max(shown) / min(shown)))
        else:
            axes.yaxis.set_major_formatter(lambda value, _: tick(value))
        for series, values, color in drawn:
            if series.dense and len(lines) == 1:
                _line(axes, series.steps, series.values, color, linewidth=0.8, alpha=0.25)
            few = len(values) <= 25
            _line(axes, series.steps, values, color, linewidth=1.6, marker="o" if few else "", markersize=3)
        for level in levels:
            axes.axhline(level, **RULE)
        _by_step(axes, moment)
        for mark in marks:
            axes.plot([mark.step], [mark.value], "o", color=LINES[mark.color % COLORS], markersize=7)
        # What is smoothed sets the limits: one early spike of a batch must not flatten the rest.
        if shown and axes.get_yscale() == "linear":
            margin = 0.25 * (max(shown) - min(shown)) or 0.1 * abs(max(shown)) or 1.0
            axes.set_ylim(min(shown) - margin, max(shown) + margin)

    return svg(draw, inches, name)


def pareto_figure(
    students: Sequence[Point],
    teachers: Sequence[Point],
    *,
    pale: Sequence[Point] = (),
    cost_text: Callable[[float], str],
    higher_is_better: bool,
    name: str,
) -> str:
    """Quality against cost on a logarithmic axis: students as dots, their front as a stair, teachers as stars.

    ``pale`` are dots that are less sure, and no part of the front. Up is always better: the axis of a metric where lower is
    better points down.
    """

    def draw(axes: Axes) -> None:
        everyone = [*students, *teachers, *pale]
        costs = [point.cost for point in everyone]
        if min(costs) > 0 and max(costs) > 2 * min(costs):
            _logarithmic(axes, "x", cost_text, subs=(1.0, 2.0, 5.0))
        else:
            axes.xaxis.set_major_formatter(lambda value, _: cost_text(value))
            axes.locator_params(axis="x", nbins=4)
        front = pareto_front([(p.cost, p.value) for p in students], higher_is_better=higher_is_better)
        corners = [students[i] for i in front]
        axes.step([p.cost for p in corners], [p.value for p in corners], where="post", **RULE)
        for points, look in ((pale, {"s": 26, "alpha": 0.3}), (students, {"s": 52}), (teachers, {"s": 130, "marker": "*"})):
            colors = [INK if points is teachers else LINES[p.color % COLORS] for p in points]
            axes.scatter([p.cost for p in points], [p.value for p in points], c=colors, zorder=2, **look)
        axes.margins(0.09, 0.14)
        axes.locator_params(axis="y", nbins=6)
        if not higher_is_better:
            axes.invert_yaxis()

    return svg(draw, LARGE, name)


def spread_figure(spread: Spread, *, color: int, moment: int | None, name: str) -> str:
    """A heat map, steps across and values up, with its scale beside it: the stronger the color, the larger the share."""

    def draw(axes: Axes) -> None:
        axes.grid(False)
        columns = [[shade(share) for share in column] for column in spread.shares]
        _shade(axes, _edges(spread.steps), spread.top, columns, color, "map")
        axes.yaxis.set_major_formatter(lambda value, _: tick(value))
        axes.locator_params(axis="y", nbins=4)
        _by_step(axes, moment)
        axes.figure.subplots_adjust(right=1 - 0.78 / TALL[0])
        scale = axes.inset_axes((1.03, 0, 0.04, 1))
        scale.grid(False)
        scale.set_frame_on(False)
        _shade(scale, [0.0, 1.0], 1.0, [list(range(1, SHADES + 1))], color, "scale")
        scale.yaxis.tick_right()
        scale.set_yticks([share**0.5 for share in SHARES], [f"{100 * share:g} %" for share in SHARES])
        scale.set_xticks([])

    return svg(draw, TALL, name)


def shade(share: float) -> int:
    """0 for nothing, then 1 to ``SHADES`` by the root of the share, so that a hundredth is seen beside a half."""
    return math.ceil(SHADES * math.sqrt(share))


def _shade(axes: Axes, edges: Sequence[float], top: float, columns: Sequence[Sequence[int]], color: int, name: str) -> None:
    """Fill the cells of a grid with their shades: a path for each shade, and in it a box for each run of equal cells."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    boxes: dict[int, list[Path]] = {}
    for row, cells in enumerate(zip(*columns, strict=True)):
        low, high, start = row * top / len(columns[0]), (row + 1) * top / len(columns[0]), 0
        for strength, run in groupby(cells):
            end = start + len(list(run))
            corners = [(edges[start], low), (edges[end], low), (edges[end], high), (edges[start], high), (edges[start], low)]
            boxes.setdefault(strength, []).append(Path(corners, closed=True))
            start = end
    for strength in sorted(boxes.keys() - {0}):
        path = Path.make_compound_path(*boxes[strength])
        look = {"facecolor": LINES[color % COLORS], "linewidth": 0, "alpha": strength / SHADES}
        axes.add_patch(PathPatch(path, gid=f"{name}-shade{strength}", **look))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, top)


def _edges(steps: Sequence[int]) -> list[float]:
    """Where the columns of a heat map begin and end: half-way between steps, and as far beyond the first and the last."""
    inner = [(a + b) / 2 for a, b in pairwise(steps)]
    first, last = (steps[1] - steps[0], steps[-1] - steps[-2]) if inner else (1, 1)
    return [steps[0] - first / 2, *inner, steps[-1] + last / 2]


def _by_step(axes: Axes, moment: int | None) -> None:
    """Steps across, and the moment ruled down."""
    axes.xaxis.set_major_formatter(lambda value, _: tick(value))
    axes.locator_params(axis="x", nbins=5)
    if moment is not None:
        axes.axvline(moment, **RULE | {"linestyle": (0, (1, 2))})


def _line(axes: Axes, steps: Sequence[int], values: Sequence[float], color: int, **style: Any) -> None:
    kept = thin(len(values))
    axes.plot([steps[i] for i in kept], [values[i] for i in kept], color=LINES[color % COLORS], **style)


def _subs(span: float) -> tuple[float, ...]:
    """Which multiples of powers of ten have a tick on an axis that spans so much."""
    return (1.0,) if span > BROAD else (1.0, 2.0, 5.0) if span > 10 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


def _logarithmic(axes: Axes, which: str, text: Callable[[float], str], *, subs: Sequence[float]) -> None:
    """A logarithmic axis with ticks at some multiples of powers of ten, and plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_major_formatter(lambda value, _: text(value))
    axis.set_minor_formatter(NullFormatter())
