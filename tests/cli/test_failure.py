"""Errors that nobody expected, interruptions, and streams that are closed, full or cannot show a name."""

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pocketgan.cli import listings, main
from pocketgan.cli.console import say, show_error, show_table
from pocketgan.cli.streams import safe_streams
from pocketgan.pipeline import measure
from pocketgan.report import page


class Panic(BaseException):
    """Stand-in for an error of Rust code, which is no ``Exception``."""


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*arguments: object, **fields: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("\n  first\nsecond"), "unexpected RuntimeError: first"),
        (KeyError("facts"), "unexpected KeyError: 'facts'"),
        (TypeError(), "unexpected TypeError"),
        (RecursionError("too deep"), "unexpected RecursionError: too deep"),
        (OverflowError("[/bold]\\["), "unexpected OverflowError: [/bold]\\["),
        (Panic("index"), "unexpected Panic: index"),
        (MemoryError(), "out of memory: take a smaller batch or smaller images"),
        (RuntimeError("err == 0. You tried to allocate 40 bytes."), "out of memory (tried to allocate 40 bytes): take a"),
    ],
)
def test_an_unexpected_error_is_one_line(
    error: BaseException, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        """Stand-in for a command."""
        raise error

    monkeypatch.setattr(listings, "models", command)
    assert main(["models"]) == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {text}")
    assert line.endswith("(in cli._run); the same command with --debug shows the trace")
    assert main(["--debug", "models"]) == main(["models", "--debug"]) == 70
    assert capsys.readouterr().err.count("Traceback (most recent call last)") == 2


def test_without_memory_for_a_report_there_is_still_a_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pocketgan.cli.parser.parsed_call", raising(MemoryError()))
    monkeypatch.setattr("pocketgan.cli._show", raising(MemoryError()))
    assert main(["models"]) == 70
    assert capfd.readouterr().err == "error: out of memory: take a smaller batch or smaller images\n"


def test_debug_shows_the_trace_of_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compres", "--debug"]) == 2
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last.startswith("error: no command named 'compres'")


def test_the_file_at_work_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "g.pth").touch()
    for error, status in ((KeyError("x"), 70), (OSError(28, "No space left on device"), 2)):
        monkeypatch.setattr(measure, "inspect", raising(error))
        assert main(["inspect", str(tmp_path / "g.pth")]) == status
        assert f"in api.inspect, at work on {tmp_path}/g.pth" in capsys.readouterr().err
    monkeypatch.setattr(measure, "inspect", raising(PermissionError(13, "Permission denied", "some/file")))
    assert main(["inspect", str(tmp_path / "g.pth")]) == 2
    assert capsys.readouterr().err == "error: some/file: Permission denied\n"


@pytest.mark.parametrize("config", ["config.json", "teacher/config.json"])
def test_the_trace_is_written_into_the_run(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, log = tmp_path / "run", tmp_path / "run" / "crash.log"
    (run / config).parent.mkdir(parents=True)
    (run / config).write_text("{}")
    monkeypatch.setattr(page, "read_runs", raising(KeyError("\udcff")))
    command = ["report", str(run), "--out", str(tmp_path / "x.html")]
    assert main(command) == 70
    assert capsys.readouterr().err.endswith(f"the trace is in {log}\n")
    lines = log.read_text().splitlines()
    assert lines[2] == f"words of the command: {command}"
    assert lines[4] == "Traceback (most recent call last):"
    assert lines[-1] == "KeyError: '\\udcff'"
    log.unlink()
    log.mkdir()  # the log cannot be written
    assert main(command) == 70
    assert capsys.readouterr().err.endswith("the same command with --debug shows the trace\n")


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("models", ""),
        ("recipes", "; the same command with --resume goes on from the last checkpoint"),
        ("quickstart", "; the same command goes on from the last checkpoint"),
    ],
)
@pytest.mark.parametrize(
    ("number", "word", "status"), [(signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interrupted", 130)]
)
def test_an_interruption_names_the_way_to_resume(
    command: str, advice: str, number: signal.Signals, word: str, status: int,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def interrupted() -> None:
        """Stand-in for a long command, in which cleaning up fails."""
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            raise RuntimeError("a worker has ended")

    monkeypatch.setattr("pocketgan.cli.command_function", lambda name: interrupted)
    assert main([command]) == status
    assert capsys.readouterr().err == f"error: {word}{advice}\n"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interruption_that_a_library_hides_is_one(
    number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        """Stand-in for a command in a library of Rust, whose errors have no context."""
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        except KeyboardInterrupt:
            hidden = RuntimeError("Error building `dataclass` serializer")
        raise hidden

    monkeypatch.setattr("pocketgan.cli.command_function", lambda name: interrupted)
    assert main(["compress"]) == status
    assert "with --resume" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def closed() -> Iterator[io.TextIOWrapper]:
    """Pipe whose reader has left."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as stream:
        yield stream


@pytest.mark.parametrize("command", ["--help", "recipes"])
def test_a_reader_that_leaves_ends_the_command_quietly(
    command: str, closed: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", closed)
    assert main([command]) == 141
    assert sys.stdout is closed
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_output_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["--version"]) == 2
    assert capsys.readouterr().err == "error: cannot write to the standard output: No space left on device\n"


def test_without_an_error_stream_the_status_remains(closed: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        assert main(["compres"]) == 2
        assert main(["--version"]) == 0
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["--version"]) == 0


def test_a_missing_descriptor_is_not_given_to_the_next_file(tmp_path: Path) -> None:
    kept = os.dup(0)
    try:
        os.close(0)
        with safe_streams(), open(tmp_path / "artifact", "w") as file:
            assert file.fileno() > 2
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with safe_streams():
        say("ä\udcff")
    assert raw.getvalue() == b"\\xe4\\udcff\n"


def test_text_of_a_user_does_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\x1b[31mred\x07\u202e\x9b"
    say(text)
    show_error(text + "\n2")
    show_table("", ("name",), [(text,)])
    out, err = capsys.readouterr()
    escaped = "\\x1b[31mred\\x07\\u202e\\x9b"
    assert err == f"error: {escaped}\\n2\n"
    assert out.count(escaped) == 2
    assert out.isprintable() or set(out) - set("\n") == {sign for sign in out if sign.isprintable()}


def test_a_launchers_environment_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "abc")
    with pytest.raises(SystemExit) as caught:
        main(["models"])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "WORLD_SIZE='abc' in the environment" in line
