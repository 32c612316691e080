"""``pocketgan data``."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from pocketgan.cli.console import Switch, say, show_table


def run(
    action: Annotated[Literal["list", "check"], tyro.conf.Positional],
    path: Annotated[str | None, tyro.conf.Positional] = None,
    /,
    *,
    task: Literal["paired", "unpaired", "inputs"] | None = None,
    size: int = 256,
    quick: Switch = False,
) -> None:
    """List the built-in data, or check a folder: everything unusable is named, everything unusual is counted.

    Args:
        action: list or check.
        path: the folder to check.
        task: what it is for; by default what its folders look made for.
        size: side of the square that the networks will see.
        quick: read headers only, not every pixel.
    """
    from pocketgan.data.builtin import BUILTIN
    from pocketgan.data.check import check
    from pocketgan.data.config import DataConfig

    if action == "list":
        show_table("built-in data: no files, any size", ("name", "task"), BUILTIN.items())
        return
    if path is None:
        raise ValueError("data check needs the folder: pocketgan data check DIR")
    report = check(DataConfig(path=path, size=size), task=task, full=not quick)
    say(str(report))
    if not report.ok:
        raise ValueError(f"{path}: {len(report.problems)} problem(s), listed above")
