"""``pocketgan report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan.cli.console import say


def run(runs: Annotated[tuple[Path, ...], tyro.conf.Positional], /, *, out: Path | None = None) -> None:
    """One self-contained HTML page from one run, or from several side by side with their Pareto front.

    Args:
        runs: run directories of train, compress or compare.
        out: the file to write; by default report.html in the first run.
    """
    from pocketgan.report import write_report

    if not runs:
        raise ValueError("no run given: name at least one run directory")
    say(str(write_report(runs, out or runs[0] / "report.html")))
