"""Images of generators that read latents: sheets, folders and videos."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from pocketgan.pipeline.latent_sampler import LatentSampler, make_samplers
from pocketgan.utils.images import save_image, save_sheet, save_video, sheet
from pocketgan.utils.progress import Reporter

Rows = list[list[Tensor]]
"""Images, C x H x W in [-1, 1]."""
Kind = Literal["sheet", "video", "folder"]
KINDS: dict[str, Kind] = {".png": "sheet", ".gif": "video", ".webp": "video", "": "folder"}
"""Kind of output by the ending of its name."""


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Settings of a generation. Raises ``ValueError`` for values out of range, and for settings that exclude each other."""

    seeds: tuple[int, ...] | None = None
    """Seeds of the images; None is 0 to 7."""
    columns: int = 8
    """Seeds in a row of a sheet."""
    truncation: float | None = None
    """psi of networks with a mapping network: 0 is the average style, 1 changes nothing."""
    interpolate: tuple[int, ...] | None = None
    """Seeds to interpolate between, in place of ``seeds``."""
    frames: int = 24
    """Images from one seed to the next, both included."""
    fps: int = 12
    """Frames a second of a video."""
    source: str | None = None
    """Image or folder, for a generator of images in styles."""
    reference: str | None = None
    """Image whose style is encoded, in place of ``seeds``."""

    def __post_init__(self) -> None:
        chosen = [name for name in ("seeds", "interpolate", "reference") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"--{chosen[0]} and --{chosen[1]} exclude each other: give one of them")
        if self.interpolate is not None and len(self.interpolate) < 2:
            raise ValueError("--interpolate goes from seed to seed: give two or more, such as 0,1,2")
        for name, least in (("columns", 1), ("frames", 2), ("fps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} {getattr(self, name)}: the least is {least}")


def generate(artifacts: Sequence[str], out: Path, config: GenerateConfig, *, reporter: Reporter | None = None) -> int:
    """Generate images into ``out``; returns their number.

    A ``.png`` holds them all: each artifact (and each input image) has a row, the same seeds one below the other; of an
    interpolation, a row from one seed to the next. ``.gif`` and ``.webp`` show an interpolation as a video. A name without an
    ending is a folder of one PNG a seed. Nothing is written before all is generated. Raises ``ValueError`` for generators that
    read no latents, and for settings that do not fit together.
    """
    kind = _kind(out, config)
    generators = make_samplers(artifacts, source=config.source, reference=config.reference, psi=config.truncation)
    if kind == "folder" and len(generators) > 1:
        raise ValueError(
            f"--out {out} has no ending: a folder holds one PNG a seed, and these are {len(generators)} rows of images; give "
            f"one artifact and one image, or --out {out}.png for all of them"
        )
    generated: list[Rows] = []
    with (reporter or Reporter()).task("generate", len(generators)) as tick:
        for generator in generators:
            generated.append(_rows(generator, config))
            tick(len(generated))
    heads = [generator.given for generator in generators]
    match kind:
        case "folder":
            _save_folder(out, config, generated[0])
        case "sheet":
            parts = zip(*generated, strict=True)
            save_sheet(out, [[*head, *row] for part in parts for head, row in zip(heads, part, strict=True)])
        case "video":
            save_video(out, _frames(heads, generated), fps=config.fps)
    return sum(len(row) for rows in generated for row in rows)


def _kind(out: Path, config: GenerateConfig) -> Kind:
    if out.suffix not in KINDS:
        raise ValueError(
            f"--out {out}: the ending says what is written: .png (all side by side), .gif or .webp (a video), none (a folder)"
        )
    kind = KINDS[out.suffix]
    if kind == "video" and config.interpolate is None:
        raise ValueError(f"--out {out} is a video, of the way between seeds: say which with --interpolate 0,1,2, or take .png")
    if kind == "folder" and config.interpolate is not None:
        raise ValueError(f"--out {out} is a folder, of one image a seed: for --interpolate take .png, .gif or .webp")
    return kind


def _rows(generator: LatentSampler, config: GenerateConfig) -> Rows:
    """Rows of a sheet."""
    if config.interpolate is not None:
        return [_way(generator, *ends, config.frames) for ends in pairwise(config.interpolate)]
    codes = [generator.code_of_reference()] if config.reference is not None else map(generator.code, _seeds(config))
    images = [generator.image(code) for code in codes]
    return [images[first : first + config.columns] for first in range(0, len(images), config.columns)]


def _way(generator: LatentSampler, first: int, last: int, frames: int) -> list[Tensor]:
    ends = generator.code(first), generator.code(last)
    return [generator.image(generator.between(*ends, k / (frames - 1))) for k in range(frames)]


def _frames(heads: Sequence[Sequence[Tensor]], generated: Sequence[Rows]) -> list[np.ndarray]:
    """Generators one below the other; where one interpolation ends and the next begins there is one frame, not two."""
    films = [[*rows[0], *(image for row in rows[1:] for image in row[1:])] for rows in generated]
    gap = 0 if len(films) == 1 and not heads[0] else 2
    return [
        sheet([[*head, image] for head, image in zip(heads, moment, strict=True)], gap=gap)
        for moment in zip(*films, strict=True)
    ]


def _save_folder(out: Path, config: GenerateConfig, rows: Rows) -> None:
    names = [Path(config.reference).stem] if config.reference else [f"seed{seed:04d}" for seed in _seeds(config)]
    for name, image in zip(names, (image for row in rows for image in row), strict=True):
        save_image(out / f"{name}.png", image)


def _seeds(config: GenerateConfig) -> tuple[int, ...]:
    return tuple(range(8)) if config.seeds is None else config.seeds


def parse_seeds(text: str) -> tuple[int, ...]:
    """``0-15`` (both ends are in), ``0,3,7``, or both, in that order. Raises ``ValueError`` for anything else."""
    seeds: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if last < first:
            raise ValueError(f"seeds '{text}': '{part}' is no seed and no range; write 0-15, or 0,3,7")
        seeds += range(first, last + 1)
    return tuple(seeds)
