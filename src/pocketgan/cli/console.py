"""Output of the commands, and the flags that several of them share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pocketgan.core.config import to_json

PIPE_WIDTH = 120
"""Columns of a table in a file or pipe."""

Overrides = Annotated[
    tuple[str, ...],
    tyro.conf.arg(metavar="FIELD=VALUE", help="any field of the configuration, as --dry-run prints it: recovery.lr=1e-4"),
    tyro.conf.Positional,
]
"""``key=value`` after the flags."""

DataFields = Annotated[
    tuple[str, ...],
    tyro.conf.arg(metavar="data.FIELD=VALUE", help="any field of the data: data.range=auto"),
    tyro.conf.Positional,
]
"""``data.key=value`` after the flags of a command that reads data but trains nothing."""

StageName = Literal["mobile", "distill", "search", "prune", "recover", "export", "evaluate", "report"]
"""`pocketgan.pipeline.stages.StageName`, repeated so that help does not import torch."""

TaskName = Literal["paired", "unpaired", "labels", "unconditional", "multimodal", "inputs"]
"""`pocketgan.core.tasks.TaskName`, repeated so that help does not import torch."""

Switch = tyro.conf.FlagCreatePairsOff[bool]
"""Off unless given: ``--resume`` without a ``--no-resume``."""


def show_error(text: str) -> None:
    """Print one line on the error stream."""
    line = Text.assemble(("error:", "bold red"), " ", _printable(text, "\n\t"))
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)


def show_json(data: Any) -> None:
    """Print machine-readable output."""
    print(json.dumps(data, indent=2))


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table that folds between words to the terminal's width, or to `PIPE_WIDTH`; columns of numbers align right."""
    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    cells = [[_printable(str(cell)) for cell in row] for row in rows]
    needed = 1
    for index, name in enumerate(header):
        column = [row[index] for row in cells]
        numeric = index > 0 and all(not cell or cell[0] in "0123456789-–<" for cell in column)
        longest_word = max((len(word) for cell in (name, *column) for word in cell.split()), default=1)
        table.add_column(Text(name), justify="right" if numeric else "left", min_width=longest_word, no_wrap=numeric)
        needed += max(longest_word, *(len(cell) for cell in column if numeric), 0) + 3
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console()
    console.width = max(console.width if console.is_terminal else PIPE_WIDTH, needed)
    console.print(table)


def say(text: str) -> None:
    """Print a line of result, or several."""
    print(_printable(text))


def _printable(text: str, more: str = "") -> str:
    """``text`` with escapes for the characters that a terminal would obey, and for those in ``more``."""
    return re.sub(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069{more}]", _escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def show_config(config: Any) -> None:
    """Print a configuration as JSON, as ``--dry-run`` does."""
    show_json(to_json(config))
