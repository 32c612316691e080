"""Commands that write files: ``convert``, ``export``, ``generate`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan import api
from pocketgan.cli.console import Switch, say


def convert(
    file: Annotated[str, tyro.conf.Positional],
    /,
    *,
    out: Path,
    config: str | None = None,
    network: str | None = None,
    content: Path | None = None,
    upsamplings: int | None = None,
    weights: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    size: int | None = None,
    aspect: float | None = None,
    replace: Switch = False,
) -> None:
    """Write a checkpoint or a factory's generator as an artifact, or an artifact under the published names.

    Args:
        file: published checkpoint, artifact (.safetensors), or function that makes a generator: file.py:factory or
            package.module:factory.
        out: file to write: .safetensors for an artifact, .pth for the published names.
        config: widths to prune a supernet to, as published: 24_16_32_16_32_64_16_24.
        network: key of one network in a file of several: G_A.
        content: MUNIT generator whose content encoder replaces that of the first file.
        upsamplings: 5 or 6, for a generator from label maps, whose tensors do not tell.
        replace: overwrite an existing file.
    """
    from pocketgan.foreign.factory import with_weights
    from pocketgan.pipeline.config import ForeignConfig
    from pocketgan.pipeline.convert import convert as run

    done = run(
        with_weights(file, weights),
        out,
        foreign=ForeignConfig(keep=keep, range=range, bgr=bgr),
        config=config,
        network=network,
        content=content,
        upsamplings=upsamplings,
        size=size,
        aspect=aspect,
        replace=replace,
    )
    say(done.message)
    say(f"{done.path}: {done.bytes:,} bytes")


def export(
    artifact: Annotated[str, tyro.conf.Positional],
    /,
    *,
    out: Path,
    target: str = "onnxruntime",
    size: int | None = None,
    aspect: float | None = None,
    weights: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    network: str | None = None,
    drop_style: Switch = False,
    verify: bool = True,
) -> None:
    """Write a generator for a device and check that the file computes the same images.

    Args:
        out: file to write; .xml for openvino, with its weights in a .bin beside it.
        target: onnxruntime, openvino:f32 or openvino:bf16.
        drop_style: leave out the style encoder of a MUNIT; the file then reads styles as latents.
        verify: compare with PyTorch on several sizes, odd ones too, and write nothing if the images differ.
    """
    from pocketgan.foreign.factory import with_weights

    named = with_weights(artifact, weights)
    done = api.export(
        named,
        out,
        target=target,
        size=size,
        aspect=aspect,
        drop_style=drop_style,
        verify=verify,
        keep=keep,
        range=range,
        bgr=bgr,
        network=network,
    )
    checked = f", at most {done.verification.max_abs_diff:.1e} from PyTorch" if done.verification else ""
    say(f"{done.path}: {done.bytes:,} bytes{checked}")


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
