"""Plots of the page as inline SVG: curves by step, quality against cost, and distributions by step.

Matplotlib draws with placeholder colors that are then replaced by CSS variables, so that one plot serves the light and the
dark scheme. Text stays text in the page's font. Names of losses, runs, layers and metrics stand in the page around a plot,
where they are escaped, and never in the plot.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from pocketgan.metrics.pareto import pareto_front
from pocketgan.report.curves import Distribution, Series, smooth, thin
from pocketgan.report.numbers import finite, tick

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = 8
INK, FAINT = "#010203", "#010204"
LINES = tuple(f"#0a0b{index:02x}" for index in range(COLORS))
VARIABLES = {INK: "var(--muted)", FAINT: "var(--line)"} | {color: f"var(--c{index})" for index, color in enumerate(LINES)}
ANONYMOUS = ("Date", "Creator", "Format", "Type")
"""Metadata that are left out: the same run makes the same page."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pocketgan",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "grid.linewidth": 0.6,
    "lines.solid_capstyle": "round",
    **dict.fromkeys(("axes.grid", "axes.axisbelow", "axes.unicode_minus"), True),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "text.parse_math"), False),
    **dict.fromkeys(("axes.edgecolor", "grid.color"), FAINT),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **{f"{axis}tick.{kind}.size": 0 for axis in "xy" for kind in ("major", "minor")},
}
SMALL, LARGE, TALL = (3.3, 1.9), (4.6, 2.9), (4.6, 3.6)
WIDE = 100.0
"""Ratio of values from which on the axis of curves is logarithmic."""
SHADES = 20
SHARES = (0.01, 0.1, 0.25, 0.5, 1.0)
"""Ticks of the scale of a heat map."""
RULE: dict[str, Any] = {"color": INK, "linewidth": 1.1, "linestyle": (0, (3, 2)), "alpha": 0.7, "zorder": 1}


@dataclass(frozen=True)
class Panel:
    """Plot with its title and caption."""

    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Point:
    """Point of a plot: step or cost, value, and index of a line color of the page."""

    x: float
    y: float
    color: int


def curve_figure(
    lines: Sequence[tuple[Series, int]],
    *,
    name: str,
    levels: Sequence[float] = (),
    marks: Sequence[Point] = (),
    moment: int | None = None,
    ratio: float = WIDE,
    inches: tuple[float, float] = SMALL,
) -> str:
    """Curves by step; noisy ones are smoothed, and a single noisy one is drawn pale behind its smoothed curve.

    ``lines`` are series with their colors, ``name`` is the prefix of the element ids. ``levels`` are dashed horizontal lines,
    ``moment`` is the step of a dotted vertical line. The axis is logarithmic if values and levels span more than ``ratio``.
    """

    def draw(axes: Axes) -> None:
        smoothed = [(series, smooth(series.values) if series.dense else series.values, color) for series, color in lines]
        shown = [value for _, values, _ in smoothed for value in values if finite(value)] + list(levels)
        if shown and min(shown) > 0 and max(shown) > ratio * min(shown):
            _logarithmic(axes, "y", tick, subs=_subs(max(shown) / min(shown)))
        else:
            axes.yaxis.set_major_formatter(lambda value, _: tick(value))
        for series, values, color in smoothed:
            if series.dense and len(lines) == 1:
                _line(axes, series.steps, series.values, color, linewidth=0.8, alpha=0.25)
            few = len(values) <= 25
            _line(axes, series.steps, values, color, linewidth=1.6, marker="o" if few else "", markersize=3)
        for level in levels:
            axes.axhline(level, **RULE)
        _by_step(axes, moment)
        for mark in marks:
            axes.plot([mark.x], [mark.y], "o", color=LINES[mark.color % COLORS], markersize=7)
        # The smoothed curves set the limits: one early spike of a batch must not flatten the rest.
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

    ``pale`` are dots of estimates, which are no part of the front. Up is always better: the axis is inverted for a metric
    where lower is better.
    """

    def draw(axes: Axes) -> None:
        costs = [point.x for point in (*students, *teachers, *pale)]
        if min(costs) > 0 and max(costs) > 2 * min(costs):
            _logarithmic(axes, "x", cost_text, subs=(1.0, 2.0, 5.0))
        else:
            axes.xaxis.set_major_formatter(lambda value, _: cost_text(value))
            axes.locator_params(axis="x", nbins=4)
        front = pareto_front([(p.x, p.y) for p in students], higher_is_better=higher_is_better)
        corners = [students[i] for i in front]
        axes.step([p.x for p in corners], [p.y for p in corners], where="post", **RULE)
        for points, look in ((pale, {"s": 26, "alpha": 0.3}), (students, {"s": 52}), (teachers, {"s": 130, "marker": "*"})):
            colors = [INK if points is teachers else LINES[p.color % COLORS] for p in points]
            axes.scatter([p.x for p in points], [p.y for p in points], c=colors, zorder=2, **look)
        axes.margins(0.09, 0.14)
        axes.locator_params(axis="y", nbins=6)
        if not higher_is_better:
            axes.invert_yaxis()

    return svg(draw, LARGE, name)


def distribution_figure(distribution: Distribution, *, color: int, moment: int | None, name: str) -> str:
    """Heat map, steps horizontal and values vertical, with its scale: the stronger the color, the larger the share."""

    def draw(axes: Axes) -> None:
        axes.grid(False)
        columns = [[shade(share) for share in column] for column in distribution.shares]
        _shade(axes, _edges(distribution.steps), distribution.top, columns, color, "map")
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
    """Shade of a share: 0 for 0, else 1 to ``SHADES`` by its square root, so that a hundredth is visible beside a half."""
    return math.ceil(SHADES * math.sqrt(share))


def _shade(axes: Axes, edges: Sequence[float], top: float, columns: Sequence[Sequence[int]], color: int, name: str) -> None:
    """Draw the cells of a grid: one path for each shade, with a box for each run of equal cells."""
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
    """Edges of the columns of a heat map: half-way between steps, and as far beyond the first and the last."""
    inner = [(a + b) / 2 for a, b in pairwise(steps)]
    first, last = (steps[1] - steps[0], steps[-1] - steps[-2]) if inner else (1, 1)
    return [steps[0] - first / 2, *inner, steps[-1] + last / 2]


def _by_step(axes: Axes, moment: int | None) -> None:
    """Format the axis of steps, and draw the vertical line at ``moment``."""
    axes.xaxis.set_major_formatter(lambda value, _: tick(value))
    axes.locator_params(axis="x", nbins=5)
    if moment is not None:
        axes.axvline(moment, **RULE | {"linestyle": (0, (1, 2))})


def _line(axes: Axes, steps: Sequence[int], values: Sequence[float], color: int, **style: Any) -> None:
    kept = thin(len(values))
    axes.plot([steps[i] for i in kept], [values[i] for i in kept], color=LINES[color % COLORS], **style)


def _subs(span: float) -> tuple[float, ...]:
    """Multiples of powers of ten that have a tick on an axis of this span."""
    return (1.0,) if span > WIDE else (1.0, 2.0, 5.0) if span > 10 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


def _logarithmic(axes: Axes, which: str, text: Callable[[float], str], *, subs: Sequence[float]) -> None:
    """Make an axis logarithmic, with plain numbers at some multiples of powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_major_formatter(lambda value, _: text(value))
    axis.set_minor_formatter(NullFormatter())


def svg(draw: Callable[[Axes], None], inches: tuple[float, float], name: str) -> str:
    """Plot that ``draw`` makes on given axes, as SVG; ``name`` is the prefix of the element ids, unique in the page."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the axes of strange values
        figure = Figure(figsize=inches)
        # Fixed margins are faster than a layout engine and align the axes of neighboring panels.
        width, height = inches
        figure.subplots_adjust(left=0.45 / width, right=1 - 0.12 / width, bottom=0.26 / height, top=1 - 0.08 / height)
        draw(figure.add_subplot())
        return _inline(figure, name)


def _inline(figure: Figure, name: str) -> str:
    """Figure as an element of the page: no file header, no addresses, CSS colors, prefixed ids."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(ANONYMOUS))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for size in ("width", "height"):
        text = re.sub(rf'^<svg([^>]*?) {size}="[^"]*"', r"<svg\1", text)
    for color, variable in VARIABLES.items():
        text = text.replace(color, variable)
    return text
