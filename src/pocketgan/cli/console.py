"""What the commands share: how they speak, and the flags that most of them have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import tyro
from rich.console import Console
from rich.table import Table

from pocketgan.core.config import override, to_json

T = TypeVar("T")

Overrides = Annotated[
    tuple[str, ...],
    tyro.conf.arg(metavar="FIELD=VALUE", help="any field of the configuration, as --dry-run prints it: recovery.lr=1e-4"),
    tyro.conf.Positional,
]
"""``key=value`` after the flags."""

StageName = Literal["mobile", "distill", "search", "prune", "recover", "export", "evaluate", "report"]
"""`pocketgan.pipeline.stages.StageName`, written out so that help is quick."""

TaskName = Literal["paired", "unpaired", "labels", "unconditional", "multimodal", "inputs"]
"""`pocketgan.data.config.Pairing`: what a student may be trained for."""

Switch = tyro.conf.FlagCreatePairsOff[bool]
"""Off unless it is given: ``--resume``, and no ``--no-resume`` beside it."""


def show_commands(commands: Mapping[str, str]) -> None:
    """The first page of help."""
    console = Console()
    console.print("[bold]pocketgan[/]: make image-to-image GANs small enough to run anywhere, with the images still good\n")
    table = Table(box=None, show_header=False, padding=(0, 2))
    for command, summary in commands.items():
        table.add_row(f"[cyan]{command}[/]", summary)
    console.print(table)
    console.print("\n`pocketgan COMMAND --help` tells a command's flags. Begin with `pocketgan quickstart`.")


def show_error(text: str) -> None:
    """One line, on the error stream."""
    Console(stderr=True).print(f"[bold red]error:[/] {_escape(text)}", highlight=False, soft_wrap=True)


def show_json(data: Any) -> None:
    """Machine-readable output."""
    print(json.dumps(data, indent=2))


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on the terminal; columns of numbers stand on the right."""
    table = Table(title=title, title_justify="left", header_style="bold")
    cells = [[str(cell) for cell in row] for row in rows]
    for index, name in enumerate(header):
        numeric = index > 0 and all(not row[index] or row[index][0] in "0123456789-–<" for row in cells)
        table.add_column(name, justify="right" if numeric else "left")
    for row in cells:
        table.add_row(*(_escape(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = 1000  # a file or pipe has no edge at which to break words
    console.print(table)


def say(text: str) -> None:
    """One line of result."""
    Console().print(text, highlight=False, markup=False, soft_wrap=True)


def configured(config: T, flags: Mapping[str, Any], overrides: Sequence[str]) -> T:
    """``config`` with the flags that were given (not None) and then the overrides."""
    given = [f"{path}={json.dumps(value)}" for path, value in flags.items() if value is not None]
    return override(config, [*given, *overrides])


def inside(field: str, overrides: Sequence[str]) -> list[str]:
    """The overrides of that nested configuration, as its own."""
    return [override.removeprefix(f"{field}.") for override in overrides if override.startswith(f"{field}.")]


def of_all_trainings(**fields: Any) -> dict[str, Any]:
    """Those fields of every training of a compression."""
    stages = ("recovery", "search", "full.teacher", "full.distill")
    return {f"{stage}.{name}": value for stage in stages for name, value in fields.items()}


def show_config(config: Any) -> None:
    """What ``--dry-run`` prints."""
    show_json(to_json(config))


def _escape(text: str) -> str:
    return text.replace("[", "\\[")
