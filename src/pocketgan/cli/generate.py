"""``pocketgan generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan.cli.console import say


def run(
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
    """Images of generators that generate from random numbers, or images in many styles.

    A seed is the same numbers for every generator that reads as many, so a teacher and its student show the same image.

    Args:
        artifacts: artifacts of ours (.safetensors) or published checkpoints; several are shown one below the other.
        out: .png for all images side by side, .gif or .webp for a video of an interpolation, no ending for a folder of one
            PNG a seed.
        seeds: one image each: 0-15, or 0,3,7; by default 0-7.
        columns: seeds in a row.
        truncation: psi, of a generator with a mapping network (stylegan2): 0 is the average image, 1 changes nothing.
        interpolate: the way between the images of these seeds, such as 0,1,2; in a .png each a row.
        frames: images from one of them to the next, both included.
        fps: images a second of a video.
        source: an image or a folder, whose first images are generated in the style of each seed (munit).
        reference: an image whose style is taken in the place of seeds (munit).
    """
    from pocketgan.pipeline.generate import GenerateConfig, generate, parse_seeds
    from pocketgan.utils.progress import ConsoleReporter

    config = GenerateConfig(
        seeds=parse_seeds(seeds) if seeds is not None else None,
        columns=columns,
        truncation=truncation,
        interpolate=parse_seeds(interpolate) if interpolate is not None else None,
        frames=frames,
        fps=fps,
        source=source,
        reference=reference,
    )
    generated = generate(artifacts, out, config, reporter=ConsoleReporter())
    say(f"{out}: {generated} images")
