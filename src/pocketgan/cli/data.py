"""``pocketgan data``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from pocketgan.cli.console import Switch, TaskName, say, show_table

if TYPE_CHECKING:
    from pocketgan.data.check import Report


def run(
    action: Annotated[Literal["list", "check", "download", "prepare-cityscapes"], tyro.conf.Positional],
    path: Annotated[str | None, tyro.conf.Positional] = None,
    /,
    *,
    task: TaskName | None = None,
    size: int = 256,
    aspect: float = 1.0,
    classes: int | str | None = None,
    quick: Switch = False,
    stats: Switch = False,
    out: Path | None = None,
) -> None:
    """List the data that there is, check a folder (all that is unusable or unusual is told), download a set, or prepare one.

    Args:
        action: list, check, download a public set, or prepare-cityscapes: the dataset's own files become the pairs of
            published pix2pix generators.
        path: the folder to check or to prepare, or the name of the set to download.
        task: what it is for; by default what its folders look made for.
        size: width of the images that the networks will see.
        aspect: their width over height.
        classes: what the values of label maps mean: how many there are, a file of names, cityscapes or coco-stuff.
        quick: read headers only, not every pixel.
        stats: download the published statistics of its real images, too.
        out: the folder for what is prepared, or for the set that is downloaded: by default datasets/NAME.
    """
    from pocketgan.data.check import check
    from pocketgan.data.config import DataConfig

    if action == "list":
        _list()
        return
    if path is None:
        what, word = ("a name", "NAME") if action == "download" else ("the folder", "DIR")
        raise ValueError(f"data {action} needs {what}: pocketgan data {action} {word}")
    if action == "prepare-cityscapes":
        _prepare(path, out)
        return
    if action == "download":
        _download(path, task, out, stats)
        return
    _tell(check(DataConfig(path=path, size=size, aspect=aspect, classes=classes), task=task, full=not quick))


def _tell(report: Report) -> None:
    say(str(report))
    if not report.ok:
        raise ValueError(f"{report.path}: {len(report.problems)} problem(s), listed above")


def _list() -> None:
    from pocketgan.data.builtin import BUILTIN
    from pocketgan.data.published import PUBLISHED

    show_table("built-in data: no files, any size", ("name", "task"), BUILTIN.items())
    rows = [(entry.name, entry.task, entry.weight, entry.holds) for entry in PUBLISHED]
    show_table("public data: pocketgan data download NAME", ("name", "task", "size", "holds"), rows)


def _download(name: str, task: str | None, out: Path | None, stats: bool) -> None:
    from pocketgan.data.check import check
    from pocketgan.data.config import DataConfig
    from pocketgan.data.fetch import fetch
    from pocketgan.data.published import published
    from pocketgan.utils.progress import ConsoleReporter

    chosen = published(name, task)
    out = out or Path("datasets") / chosen.name
    fetch(chosen, out, statistics=stats, reporter=ConsoleReporter())
    # Headers are enough: the archive's checksums have been over every byte.
    _tell(check(DataConfig(path=str(out)), task=chosen.task, full=False))
    direction = "" if chosen.direction == "AtoB" else f" --direction {chosen.direction}"
    say(f"next: pocketgan train --task {chosen.task} --data {shlex.quote(str(out))}{direction} --out runs/{chosen.name}")


def _prepare(path: str, out: Path | None) -> None:
    from pocketgan.data.prepare import prepare_cityscapes
    from pocketgan.utils.progress import ConsoleReporter

    if out is None:
        raise ValueError("data prepare-cityscapes needs a folder for what it makes: --out DIR")
    counts = prepare_cityscapes(path, out, reporter=ConsoleReporter())
    say(f"{out}: " + ", ".join(f"{count} pairs for {split}" for split, count in counts.items()))
