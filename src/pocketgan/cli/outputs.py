"""``pocketgan generate`` and ``pocketgan report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan import api
from pocketgan.cli.console import say


def generate(
    artifacts: Annotated[tuple[str, ...], tyro.conf.Positional],
    /,
    *,
    out: Path,
    seeds: str | None = None,
    columns: int = 8,
    truncation: float | None = None,
    interpolate: str | None = None,
    frames: int = 24,
    fps: int = 12,
    source: str | None = None,
    reference: str | None = None,
) -> None:
    """Write images of generators that read latents, or images in many styles.

    A seed gives the same latents to every generator of equal latent size, so a teacher and its student show the same image.

    Args:
        artifacts: artifacts (.safetensors) or published checkpoints; each has a row.
        out: .png for one sheet, .gif or .webp for a video of an interpolation, no ending for a folder of one PNG a seed.
        seeds: one image each: 0-15, or 0,3,7; by default 0-7.
        columns: seeds in a row.
        truncation: psi of a generator with a mapping network (stylegan2): 0 is the average image, 1 changes nothing.
        interpolate: seeds between which the images go: 0,1,2; in a .png each pair has a row.
        frames: images from one seed to the next, both included.
        fps: frames a second of a video.
        source: input image or folder, generated in the style of each seed (munit).
        reference: image whose style replaces the seeds (munit).
    """
    from pocketgan.pipeline.generate import parse_seeds

    count = api.generate(
        artifacts,
        out,
        seeds=parse_seeds(seeds) if seeds is not None else None,
        interpolate=parse_seeds(interpolate) if interpolate is not None else None,
        source=source,
        reference=reference,
        columns=columns,
        truncation=truncation,
        frames=frames,
        fps=fps,
    )
    say(f"{out}: {count} images")


def report(runs: Annotated[tuple[Path, ...], tyro.conf.Positional], /, *, out: Path | None = None) -> None:
    """Write one self-contained HTML page from one run, or from several side by side with their Pareto front.

    Args:
        runs: run directories of train, compress or compare.
        out: file to write; by default report.html in the first run.
    """
    from pocketgan.report import write_report

    if not runs:
        raise ValueError("no run given: name at least one run directory")
    say(str(write_report(runs, out or runs[0] / "report.html")))
