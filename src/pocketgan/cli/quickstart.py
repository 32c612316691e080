"""Command ``pocketgan quickstart``: the main job on built-in data."""

from __future__ import annotations

from pathlib import Path

from pocketgan import api
from pocketgan.cli.console import say


def run(*, out: Path = Path("runs/quickstart")) -> None:
    """The main job on built-in data: train a teacher, compress it, evaluate, export, report. Resumes by itself.

    Args:
        out: the directory for both runs.
    """
    from pocketgan.recipes.quickstart import quickstart

    done = quickstart(out, reporter=api.reporter(True))
    small, large = done.result["student"], done.result["teacher"]
    say(f"{large['macs'] / small['macs']:.1f}x fewer MACs, {large['params'] / small['params']:.1f}x fewer parameters")
    quality = [("student", small), ("teacher", large), ("input", done.result["input"])]
    say("PSNR to the target: " + ", ".join(f"{name} {facts['quality']['psnr']:.2f} dB" for name, facts in quality))
    say(f"{done.path / 'report.html'}")
