"""Images of generators that read latents: sheets, folders and videos."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from pocketgan.core.inputs import image_channels, inputs_of, latent_from_seed, latent_inputs
from pocketgan.core.spec import spec_of
from pocketgan.data.images import first_images
from pocketgan.deploy import frozen
from pocketgan.pipeline.load_generator import load
from pocketgan.utils.images import save_image, save_sheet, save_video, sheet
from pocketgan.utils.progress import Reporter
from pocketgan.utils.registry import check_at_least

MOST_INPUTS = 4
"""Images of a folder that are generated in styles."""
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
        check_at_least(self, columns=1, frames=2, fps=1)


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


@dataclass(frozen=True)
class LatentSampler:
    """Generator that reads a latent or a style.

    It generates from a *code*, 1 x k: the style of a network with a mapping network, else the latent itself.
    """

    model: Any
    """Generator, frozen, on the CPU."""
    source: Tensor | None = None
    """1 x C x H x W in [-1, 1]: the input image of a generator of images in styles."""
    reference: Tensor | None = None
    """1 x C x H x W in [-1, 1]: the image whose style is encoded."""
    psi: float | None = None
    """Truncation psi: 0 is the average style, 1 or None changes nothing."""

    @torch.inference_mode()
    def code(self, seed: int) -> Tensor:
        """Code of a seed."""
        z = latent_from_seed(seed, next(iter(latent_inputs(self.model).values())))
        if not has_mapping(self.model):
            return z
        w: Tensor = self.model.mapping(z)
        return w if self.psi is None else self.model.truncated(w, self.psi)

    @torch.inference_mode()
    def code_of_reference(self) -> Tensor:
        """Code of the reference image."""
        return self.model.style_of(self.reference)  # type: ignore[no-any-return]

    def between(self, first: Tensor, last: Tensor, t: float) -> Tensor:
        """Code at fraction ``t`` from ``first`` to ``last``, exactly these two at 0 and 1.

        Styles of a mapping network are interpolated along a straight line (StyleGAN), latents along a great circle.
        """
        return torch.lerp(first, last, t) if has_mapping(self.model) else spherical(first, last, t)

    @torch.inference_mode()
    def image(self, code: Tensor) -> Tensor:
        """Image of a code, C x H x W in [-1, 1]."""
        if has_mapping(self.model):
            images = self.model.synthesis(code)
        else:
            images = self.model(code) if self.source is None else self.model(self.source, code)
        return images[0].clamp(-1, 1)  # type: ignore[no-any-return]

    @property
    def given(self) -> list[Tensor]:
        """Input and reference image, each C x H x W: the head of a row."""
        return [image[0] for image in (self.source, self.reference) if image is not None]


def has_mapping(model: nn.Module) -> bool:
    """True for a generator with a mapping network from latents to styles."""
    return hasattr(model, "mapping")


def spherical(first: Tensor, last: Tensor, t: float) -> Tensor:
    """Point at fraction ``t`` from ``first`` to ``last``, both 1 x k, along the great circle.

    White 2016, "Sampling Generative Networks", section 2.1: a straight line passes near 0, where hardly any normal latents
    lie. It is taken where the directions are equal or opposite, and there is no single circle.
    """
    cosine = torch.cosine_similarity(first.double(), last.double()).clamp(-1, 1)
    angle = cosine.acos()
    if float(angle.sin()) < 1e-4:
        return torch.lerp(first, last, t)
    weights = torch.stack([((1 - t) * angle).sin(), (t * angle).sin()]) / angle.sin()
    return (weights[0] * first + weights[1] * last).to(first)


def make_samplers(
    artifacts: Sequence[str], *, source: str | None = None, reference: str | None = None, psi: float | None = None
) -> list[LatentSampler]:
    """Samplers, one an artifact; of generators of images in styles one for each input image, grouped by image.

    Raises ``ValueError`` where there is no artifact, or settings do not fit one.
    """
    if not artifacts:
        raise ValueError("no artifact given: name at least one")
    by_artifact = [_samplers(artifact, source, reference, psi) for artifact in artifacts]
    return [sampler for group in zip(*by_artifact, strict=True) for sampler in group]


def _samplers(artifact: str, source: str | None, reference: str | None, psi: float | None) -> list[LatentSampler]:
    loaded = load(artifact)
    model, kind = frozen(loaded.model), f"{artifact} is a {spec_of(loaded.model).name} generator"
    latent = next((read for read in inputs_of(model) if read.is_latent), None)
    if latent is None:
        raise ValueError(
            f"{kind}, which reads images alone: it has one image for each, and no seeds; `pocketgan evaluate` measures them, "
            "and the report of its run shows some"
        )
    if psi is not None and not has_mapping(model):
        raise ValueError(f"{kind}, without a mapping network: --truncation pulls towards its average style, so leave it out")
    if latent.name == "input":
        for flag, value in (("--source", source), ("--reference", reference)):
            if value is not None:
                raise ValueError(f"{kind}, which reads latents alone: leave {flag} out")
        return [LatentSampler(model, psi=psi)]
    if source is None:
        raise ValueError(f"{kind}, which generates an image in many styles: name the image with --source IMAGE_OR_FOLDER")
    if image_channels(model) != 3:
        raise ValueError(f"{kind}, which reads {image_channels(model)} channels, and images of files have 3")
    if reference is not None and latent.reference_channels != 3:
        why = f"encodes images of {latent.reference_channels} channels" if latent.reference_channels else "has no style encoder"
        raise ValueError(f"{kind}, which {why}: leave --reference out; --seeds gives random styles")
    shape = loaded.shape()
    style = first_images(reference, shape, most=1) if reference is not None else None
    return [LatentSampler(model, image, style) for image in first_images(source, shape, most=MOST_INPUTS)[:, None]]
