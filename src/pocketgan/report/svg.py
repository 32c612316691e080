"""Plots as inline SVG whose colors are the page's own, so that one image serves the light and the dark scheme.

Matplotlib draws with stand-in colors; they are then replaced by CSS variables. Text stays text in the page's font.
All names (of losses, runs, layers, metrics) stand in the page around a plot, where they are escaped, and never in it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = 8
INK, FAINT = "#010203", "#010204"
LINES = tuple(f"#0a0b{index:02x}" for index in range(COLORS))
VARIABLES = {INK: "var(--muted)", FAINT: "var(--line)"} | {color: f"var(--c{index})" for index, color in enumerate(LINES)}
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


def svg(draw: Callable[[Axes], None], inches: tuple[float, float], name: str) -> str:
    """What ``draw`` draws on the axes it is given; ``name`` tells its ids from those of the page's other plots."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=inches)
        # Fixed margins: quicker than a layout engine, and the axes of neighboring panels are aligned.
        width, height = inches
        figure.subplots_adjust(left=0.45 / width, right=1 - 0.12 / width, bottom=0.26 / height, top=1 - 0.08 / height)
        draw(figure.add_subplot())
        return _inline(figure, name)


def _inline(figure: Figure, name: str) -> str:
    """The figure as an element of the page: no file header, no addresses, the page's colors, ids of its own."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=_anonymous())
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r'^<svg([^>]*?) width="[^"]*"', r"<svg\1", text)
    text = re.sub(r'^<svg([^>]*?) height="[^"]*"', r"<svg\1", text)
    for color, variable in VARIABLES.items():
        text = text.replace(color, variable)
    return text


def _anonymous() -> Mapping[str, None]:
    # No date and no program's version: the same run makes the same page.
    return dict.fromkeys(("Date", "Creator", "Format", "Type"))
