"""``pocketgan convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan.cli.console import Switch, say


def run(
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
    """Write a checkpoint or a factory's generator as an artifact of ours, or an artifact under the published names.

    Args:
        file: a published checkpoint, an artifact of ours, or any generator as file.py:factory or package.module:factory.
        out: the file to write; .safetensors is an artifact, .pth has the published names.
        config: widths to cut a supernet to, as published: 24_16_32_16_32_64_16_24.
        network: the key of the network that is meant, in a file with several: G_A.
        content: the MUNIT generator of the domain that is read: its content encoder, and all else of the first file.
        upsamplings: of a generator from label maps, 5 or 6: its names do not tell.
        weights: of a factory's generator (.safetensors, .pth).
        keep: layers of a factory's generator that stay whole: names or patterns.
        range: the values that it reads and generates for black and white, such as 0..255.
        bgr: it reads and generates blue first.
        size: width of the images that the artifact is meant for; by default what the file says, else 256.
        aspect: width over height; by default what the file says, else 1.
        replace: overwrite the file if it is there.
    """
    from pocketgan.foreign.factory import joined
    from pocketgan.pipeline.config import ForeignConfig
    from pocketgan.pipeline.convert import convert

    done = convert(
        joined(file, weights),
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
