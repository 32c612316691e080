"""Plots as inline SVG whose colours are the page's own, so that one picture serves the light and the dark scheme.

Matplotlib draws with stand-in colours; they are then replaced by CSS variables. Text stays text in the page's font.
All names (of losses, runs, metrics) stand in the page around a plot, where they are escaped, and never in it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pocketgan.metrics.pareto import pareto_front
from pocketgan.report.curves import Series, smooth, thin, wide
from pocketgan.report.measures import finite
from pocketgan.report.numbers import tick

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = 8
INK, FAINT = "#010203", "#010204"
LINES = tuple(f"#0a0b{index:02x}" for index in range(COLOURS))
VARIABLES = {INK: "var(--muted)", FAINT: "var(--line)"} | {colour: f"var(--c{index})" for index, colour in enumerate(LINES)}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pocketgan",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Point:
    """One network in a Pareto plot; ``colour`` counts the page's line colours."""

    cost: float
    value: float
    colour: int


def curve_figure(lines: Sequence[tuple[Series, int]], *, name: str) -> str:
    """Curves by step. A single noisy one is drawn pale under its smoothed self; of several, the smoothed alone.

    ``lines`` are series with their colours; ``name`` tells this figure's ids from those of the page's others.
    """

    def draw(axes: Axes) -> None:
        drawn = [(series, smooth(series.values) if series.dense else series.values, c) for series, c in lines]
        if wide(value for _, values, _ in drawn for value in values):
            _logarithmic(axes, "y", tick)
        else:
            axes.yaxis.set_major_formatter(lambda value, _: tick(value))
        for series, values, colour in drawn:
            if series.dense and len(lines) == 1:
                _line(axes, series.steps, series.values, colour, linewidth=0.8, alpha=0.25)
            few = len(values) <= 25
            _line(axes, series.steps, values, colour, linewidth=1.6, marker="o" if few else "", markersize=3)
        axes.xaxis.set_major_formatter(lambda value, _: tick(value))
        axes.locator_params(axis="x", nbins=5)
        # What is smoothed sets the limits: one early spike of a batch must not flatten the rest.
        shown = [value for _, values, _ in drawn for value in values if finite(value)]
        if shown and axes.get_yscale() == "linear":
            margin = 0.25 * (max(shown) - min(shown)) or 0.1 * abs(max(shown)) or 1.0
            axes.set_ylim(min(shown) - margin, max(shown) + margin)

    return _svg(draw, (3.3, 1.9), name)


def pareto_figure(
    students: Sequence[Point],
    teachers: Sequence[Point],
    *,
    cost_text: Callable[[float], str],
    higher_is_better: bool,
    name: str,
) -> str:
    """Quality against cost on a logarithmic axis: students as dots, their front as a stair, teachers as stars.

    Up is always better: the axis of a metric where lower is better points down.
    """

    def draw(axes: Axes) -> None:
        everyone = [*students, *teachers]
        costs = [point.cost for point in everyone]
        if min(costs) > 0 and max(costs) > 2 * min(costs):
            _logarithmic(axes, "x", cost_text)
        else:
            axes.xaxis.set_major_formatter(lambda value, _: cost_text(value))
            axes.locator_params(axis="x", nbins=4)
        front = pareto_front([(p.cost, p.value) for p in students], higher_is_better=higher_is_better)
        corners = [students[i] for i in front]
        x, y = [p.cost for p in corners], [p.value for p in corners]
        axes.step(x, y, where="post", color=INK, linewidth=1.1, linestyle=(0, (3, 2)), alpha=0.7, zorder=1)
        for marker, size, points in (("o", 52, students), ("*", 130, teachers)):
            colours = [INK if points is teachers else LINES[p.colour % COLOURS] for p in points]
            axes.scatter([p.cost for p in points], [p.value for p in points], c=colours, s=size, marker=marker, zorder=2)
        axes.margins(0.09, 0.14)
        axes.locator_params(axis="y", nbins=6)
        if not higher_is_better:
            axes.invert_yaxis()

    return _svg(draw, (4.6, 2.9), name)


def _line(axes: Axes, steps: Sequence[int], values: Sequence[float], colour: int, **style: Any) -> None:
    kept = thin(len(values))
    axes.plot([steps[i] for i in kept], [values[i] for i in kept], color=LINES[colour % COLOURS], **style)


def _logarithmic(axes: Axes, which: str, text: Callable[[float], str]) -> None:
    """A logarithmic axis with ticks at 1, 2, 5 (or powers of ten alone where it spans many) and plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if which == "x" else (1.0,), numticks=8))
    axis.set_major_formatter(lambda value, _: text(value))
    axis.set_minor_formatter(NullFormatter())


def _svg(draw: Callable[[Axes], None], inches: tuple[float, float], name: str) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=inches)
        # Fixed margins: quicker than a layout engine, and the axes of neighbouring panels are aligned.
        width, height = inches
        figure.subplots_adjust(left=0.45 / width, right=1 - 0.12 / width, bottom=0.26 / height, top=1 - 0.08 / height)
        draw(figure.add_subplot())
        return _inline(figure, name)


def _inline(figure: Figure, name: str) -> str:
    """The figure as an element of the page: no file header, no addresses, the page's colours, ids of its own."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=_anonymous())
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r'^<svg([^>]*?) width="[^"]*"', r"<svg\1", text)
    text = re.sub(r'^<svg([^>]*?) height="[^"]*"', r"<svg\1", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    return text


def _anonymous() -> Mapping[str, None]:
    # No date and no program's version: the same run makes the same page.
    return dict.fromkeys(("Date", "Creator", "Format", "Type"))
