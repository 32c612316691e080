"""``pocketgan export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan.cli.console import Switch, say


def run(
    artifact: Annotated[str, tyro.conf.Positional],
    /,
    *,
    out: Path,
    format: str = "onnx",
    size: int | None = None,
    aspect: float | None = None,
    weights: str | None = None,
    drop_style: Switch = False,
    verify: bool = True,
) -> None:
    """Write an artifact for a device and check that it computes the same.

    Args:
        artifact: an artifact of ours (.safetensors), a published checkpoint, or any generator as file.py:factory.
        weights: of a factory's generator: an artifact cut from it, or its own (.safetensors, .pth).
        out: the file to write.
        format: onnx (any batch, height and width).
        size: width of the images that it is meant for; by default what the file says.
        aspect: width over height; by default what the file says.
        drop_style: leave out what reads a style off an image (munit); the file then takes styles as numbers alone.
        verify: compare with PyTorch on several sizes, odd ones too, and write nothing if they differ.
    """
    from pocketgan.foreign.factory import joined
    from pocketgan.pipeline.measure import export

    done = export(joined(artifact, weights), out, format=format, size=size, aspect=aspect, drop_style=drop_style, verify=verify)
    checked = f", at most {done.verification.max_abs_diff:.1e} from PyTorch" if done.verification else ""
    say(f"{done.path}: {done.bytes:,} bytes{checked}")
