"""Command ``pocketgan data``: list, check, download and prepare data sets."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from pocketgan import api
from pocketgan.cli.console import DataFields, Switch, TaskName, say, show_json, show_table

if TYPE_CHECKING:
    from pocketgan.data.check import Report


def data(
    action: Annotated[Literal["list", "check", "download", "prepare-cityscapes"], tyro.conf.Positional],
    path: Annotated[str | None, tyro.conf.Positional] = None,
    overrides: DataFields = (),
    /,
    *,
    targets: str | None = None,
    task: TaskName | None = None,
    size: int = 256,
    aspect: float = 1.0,
    classes: int | str | None = None,
    quick: Switch = False,
    stats: Switch = False,
    json: Switch = False,
    out: Path | None = None,
) -> None:
    """List data sets, check a folder, download a public set, or prepare Cityscapes.

    Args:
        action: list, check (names all that is unusable or unusual), download, or prepare-cityscapes (makes the pairs of
            published pix2pix generators from the dataset's own files).
        path: folder to check or to prepare, or name of the set to download.
        task: task of the data; by default guessed from its folders.
        size: width of the images that the networks will see.
        aspect: width over height.
        quick: read headers only, not every pixel.
        stats: also download the published statistics of the real images.
        json: print the result of a check as JSON.
        out: folder for the prepared or downloaded set; by default datasets/NAME for a download.
    """
    from pocketgan.data.check import check
    from pocketgan.data.config import DataConfig

    if action == "list":
        _show_sets()
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
    config = api.data_config(DataConfig(path=path, targets=targets, size=size, aspect=aspect, classes=classes), overrides)
    _show(check(config, task=task, full=not quick), json)


def _show(report: Report, as_json: bool = False) -> None:
    if as_json:
        show_json(report.to_json())
    else:
        say(str(report))
    if not report.ok:
        raise ValueError(f"{report.path}: {len(report.problems)} problem(s), listed above")


def _show_sets() -> None:
    from pocketgan.data.builtin import BUILTIN
    from pocketgan.data.published import PUBLISHED

    show_table("built-in data: no files, any size", ("name", "task"), BUILTIN.items())
    rows = [(entry.name, entry.task, entry.archive_size, entry.holds) for entry in PUBLISHED]
    show_table("public data: pocketgan data download NAME", ("name", "task", "size", "holds"), rows)


def _download(name: str, task: str | None, out: Path | None, stats: bool) -> None:
    from pocketgan.data.check import check
    from pocketgan.data.config import DataConfig
    from pocketgan.data.published import fetch, published

    chosen = published(name, task)
    out = out or Path("datasets") / chosen.name
    fetch(chosen, out, statistics=stats, reporter=api.reporter(True))
    # Headers are enough: the archive's checksums cover every byte.
    _show(check(DataConfig(path=str(out)), task=chosen.task, full=False))
    direction = "" if chosen.direction == "AtoB" else f" --direction {chosen.direction}"
    say(f"next: pocketgan train --task {chosen.task} --data {shlex.quote(str(out))}{direction} --out runs/{chosen.name}")


def _prepare(path: str, out: Path | None) -> None:
    from pocketgan.data.cityscapes_files import prepare_cityscapes

    if out is None:
        raise ValueError("data prepare-cityscapes needs a folder for the pairs: --out DIR")
    counts = prepare_cityscapes(path, out, reporter=api.reporter(True))
    say(f"{out}: " + ", ".join(f"{count} pairs for {split}" for split, count in counts.items()))
