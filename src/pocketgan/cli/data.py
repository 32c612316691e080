"""``pocketgan data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from pocketgan.cli.console import Switch, say, show_table


def run(
    action: Annotated[Literal["list", "check", "prepare-cityscapes"], tyro.conf.Positional],
    path: Annotated[str | None, tyro.conf.Positional] = None,
    /,
    *,
    task: Literal["paired", "unpaired", "labels", "inputs"] | None = None,
    size: int = 256,
    aspect: float = 1.0,
    classes: int | str | None = None,
    quick: Switch = False,
    out: Path | None = None,
) -> None:
    """List the built-in data, check a folder (everything unusable is named, everything unusual is counted), or prepare one.

    Args:
        action: list, check, or prepare-cityscapes: the dataset's own files become the pairs of published pix2pix generators.
        path: the folder to check or to prepare.
        task: what it is for; by default what its folders look made for.
        size: width of the images that the networks will see.
        aspect: their width over height.
        classes: what the values of label maps mean: how many there are, a file of names, cityscapes or coco-stuff.
        quick: read headers only, not every pixel.
        out: the folder for what is prepared.
    """
    from pocketgan.data.builtin import BUILTIN
    from pocketgan.data.check import check
    from pocketgan.data.config import DataConfig

    if action == "list":
        show_table("built-in data: no files, any size", ("name", "task"), BUILTIN.items())
        return
    if path is None:
        raise ValueError(f"data {action} needs the folder: pocketgan data {action} DIR")
    if action == "prepare-cityscapes":
        _prepare(path, out)
        return
    report = check(DataConfig(path=path, size=size, aspect=aspect, classes=classes), task=task, full=not quick)
    say(str(report))
    if not report.ok:
        raise ValueError(f"{path}: {len(report.problems)} problem(s), listed above")


def _prepare(path: str, out: Path | None) -> None:
    from pocketgan.core.progress import ConsoleReporter
    from pocketgan.data.prepare import prepare_cityscapes

    if out is None:
        raise ValueError("data prepare-cityscapes needs a folder for what it makes: --out DIR")
    counts = prepare_cityscapes(path, out, reporter=ConsoleReporter())
    say(f"{out}: " + ", ".join(f"{count} pairs for {split}" for split, count in counts.items()))
