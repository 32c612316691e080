"""Progress of long work: a bar with the time left on a terminal, plain lines elsewhere, nothing by default."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text


class Ticker(Protocol):
    """Callback for the progress of one task."""

    def __call__(self, done: int, values: Mapping[str, float] | None = None) -> None:
        """Report that ``done`` of the total is done; ``values`` are the latest losses or scores, by name."""


class Reporter:
    """Silent reporter, the default: the library prints nothing unless it is asked to."""

    @contextmanager
    def task(self, name: str, total: int, done: int = 0) -> Iterator[Ticker]:
        """Task of ``total`` steps of which ``done`` are done already."""
        yield lambda done, values=None: None

    def say(self, text: str) -> None:
        """Report one line of text."""


class ConsoleReporter(Reporter):
    """Reporter with a live bar on a terminal, or a line every ``seconds`` in a file or pipe."""

    def __init__(self, console: Console | None = None, *, seconds: float = 15.0):
        self.console = console or Console(stderr=True)
        self.seconds = seconds

    def say(self, text: str) -> None:
        self.console.print(Text(text), highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, name: str, total: int, done: int = 0) -> Iterator[Ticker]:
        if self.console.is_terminal:
            with self._bar(name, total, done) as tick:
                yield tick
        else:
            yield self._lines(name, total, done)

    @contextmanager
    def _bar(self, name: str, total: int, done: int) -> Iterator[Ticker]:
        columns = (
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[values]}", style="dim", markup=False),
        )
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task(name, total=total, completed=done, values="")

            def tick(done: int, values: Mapping[str, float] | None = None) -> None:
                progress.update(bar, completed=done)
                if values:
                    progress.update(bar, values=_listed(values))

            yield tick

    def _lines(self, name: str, total: int, initial: int) -> Ticker:
        start = last = time.monotonic()
        latest: Mapping[str, float] = {}

        def tick(done: int, values: Mapping[str, float] | None = None) -> None:
            nonlocal last, latest
            latest = values or latest
            now = time.monotonic()
            if now - last < self.seconds and done < total:
                return
            last = now
            left = (now - start) / max(done - initial, 1) * (total - done)
            self.say(f"{name} {done}/{total}, {left:.0f} s left  {_listed(latest)}".rstrip())

        return tick


def _listed(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in values.items())
