"""Silent by default; a bar on a terminal; a line now and then elsewhere."""

import io

import pytest
from rich.console import Console

from pocketgan.utils import progress
from pocketgan.utils.progress import ConsoleReporter, Reporter


class Clock:
    """Clock that the test moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def reporter(*, terminal: bool) -> tuple[ConsoleReporter, io.StringIO]:
    text = io.StringIO()
    return ConsoleReporter(Console(file=text, force_terminal=terminal, width=120)), text


def test_the_library_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    quiet = Reporter()
    with quiet.task("fit", 3) as tick:
        tick(1, {"loss": 1.0})
        tick(3)
    quiet.say("hello")
    assert capfd.readouterr() == ("", "")


def test_plain_lines_are_rare_and_show_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    spoken, text = reporter(terminal=False)
    with spoken.task("fit", 100, 10) as tick:
        for done in range(11, 101):
            clock.now += 1
            tick(done, {"G/gan": done / 10} if done % 50 == 0 else None)
    assert text.getvalue().splitlines() == [
        "fit 25/100, 75 s left",
        "fit 40/100, 60 s left",
        "fit 55/100, 45 s left  G/gan 5",
        "fit 70/100, 30 s left  G/gan 5",
        "fit 85/100, 15 s left  G/gan 5",
        "fit 100/100, 0 s left  G/gan 10",
    ]


def test_a_terminal_gets_a_bar_with_counts_and_losses() -> None:
    spoken, text = reporter(terminal=True)
    with spoken.task("fit", 8, 2) as tick:
        tick(5, {"G/gan": 0.125})
        tick(8)
    assert "fit" in text.getvalue()
    assert "8/8" in text.getvalue()
    assert "G/gan 0.125" in text.getvalue()


def test_a_task_begins_at_0_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    lines, text = reporter(terminal=False)
    with lines.task("fit", 10) as tick:
        clock.now = 16.0
        tick(2)
    assert text.getvalue() == "fit 2/10, 64 s left\n"
    bar, text = reporter(terminal=True)
    with bar.task("fit", 8):
        pass
    assert "0/8" in text.getvalue()


def test_text_is_printed_without_markup() -> None:
    spoken, text = reporter(terminal=False)
    spoken.say("teacher: [bold] resnet 64")
    assert text.getvalue() == "teacher: [bold] resnet 64\n"
