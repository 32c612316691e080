"""HTML page from run directories: a single file that needs no network, with the same bytes for the same runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketgan.report.comparison import compare, experiments, folded, over_seeds
from pocketgan.report.gallery import SAMPLE_BYTES, gallery
from pocketgan.report.headline import headline, tiles
from pocketgan.report.read import RunFiles, read_runs
from pocketgan.report.searches import shared_costs
from pocketgan.report.views import curve_panels, pareto_panels, run_colors, run_view
from pocketgan.utils.files import atomic

HERE = Path(__file__).parent
FEW = 6


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write the page of one run, or of several side by side, to ``out`` and return ``out``.

    Reads ``config.json``, ``log.jsonl``, ``result.json``, ``images/`` and ``samples/`` of each run. Any of them may
    be missing or half-written: the page says so and shows the rest. The page holds everything it needs (images as
    data, plots as SVG), stays below about 10 MB, and follows the reader's light or dark scheme.

    Raises ``ValueError`` for no runs, for a path that is no run directory, and for an ``out`` that cannot be written.
    """
    if out.is_dir():
        raise ValueError(f"{out} is a directory: name the file to write, such as {out / 'report.html'}")
    text = render(read_runs(runs))
    with atomic(out) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")  # JSON can hold halves of characters
    return out


def render(runs: Sequence[RunFiles]) -> str:
    """Page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["safe_svg"] = Markup  # our own SVG has no text from the run
    several = len(runs) > 1
    with_images = _with_images(runs)
    colors, legend = run_colors(runs)
    return environment.get_template("page.html").render(
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        js=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        headline=headline(runs),
        tiles=[] if several else tiles(runs[0]),
        runs=[
            run_view(run, sample_bytes=SAMPLE_BYTES // len(runs), color=color, name=f"r{i}")
            for i, (run, color) in enumerate(zip(runs, colors, strict=True))
        ],
        gallery=gallery(with_images),
        without_images=len(runs) - len(with_images),
        comparison=folded(compare(runs)) if several else None,
        seeds=over_seeds(runs) if several else None,
        pareto=pareto_panels(runs, colors) if several else [],
        costs=shared_costs(runs, colors) if several else [],
        stages=curve_panels(runs, colors),
        legend=legend if several else [],
    )


def _with_images(runs: Sequence[RunFiles]) -> Sequence[RunFiles]:
    """Runs with images on the page: all of up to ``FEW``, else the first of each experiment, not every seed."""
    return [group[0] for group in experiments(runs)] or runs if len(runs) > FEW else runs
