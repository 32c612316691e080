"""``pocketgan convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan.cli.console import Switch, say


def run(
    file: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    out: Path,
    config: str | None = None,
    network: str | None = None,
    upsamplings: int | None = None,
    size: int | None = None,
    aspect: float | None = None,
    replace: Switch = False,
) -> None:
    """Write a published checkpoint as an artifact of ours, or an artifact under the published names.

    Args:
        file: a published checkpoint, or an artifact of ours.
        out: the file to write; .safetensors is an artifact, .pth has the published names.
        config: widths to cut a supernet to, as published: 24_16_32_16_32_64_16_24.
        network: the key of the network that is meant, in a file with several: G_A.
        upsamplings: of a generator from label maps, 5 or 6: its names do not tell.
        size: width of the images that the artifact is meant for; by default what the file says, else 256.
        aspect: width over height; by default what the file says, else 1.
        replace: overwrite the file if it is there.
    """
    from pocketgan.pipeline.convert import convert

    done = convert(
        file, out, config=config, network=network, upsamplings=upsamplings, size=size, aspect=aspect, replace=replace
    )
    say(done.message)
    say(f"{done.path}: {done.bytes:,} bytes")
