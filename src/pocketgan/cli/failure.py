"""Last handler: any error becomes one line and an exit code, and the trace of one that nobody expected a file."""

from __future__ import annotations

import os
import platform
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from pocketgan.cli.streams import Terminated, received
from pocketgan.utils.files import atomic

CRASH_LOG = "crash.log"
_RUN_FILES = ("config.json", "*/config.json")
_RESUMED = {
    "quickstart": "; the same command goes on from the last checkpoint",
    **dict.fromkeys(
        ("train", "compress", "compare", "recipes"), "; the same command with --resume goes on from the last checkpoint"
    ),
}
_MEMORY = re.compile(r"tried to allocate [\d.,]+ ?\w+", re.IGNORECASE)


def cause_of(error: BaseException) -> BaseException:
    """The interruption that led to ``error``, as ended workers and cleaning up do, or ``error`` itself."""
    earlier: BaseException | None = error
    while earlier is not None and not isinstance(earlier, KeyboardInterrupt):
        earlier = earlier.__context__
    if earlier is None and received:
        return received[0]
    if earlier is None and not isinstance(error, ValueError | OSError):
        try:
            time.sleep(0.2)  # the signal that ended a worker may be on its way to this process, too
        except KeyboardInterrupt as late:
            return late
    return earlier or error


def status_of(error: BaseException) -> int:
    """Exit code: 143 after SIGTERM, 130 after Ctrl-C, 2 for a mistake of the user or a refusal of the disk, else 70."""
    if isinstance(error, KeyboardInterrupt):
        return 143 if isinstance(error, Terminated) else 130
    return 2 if isinstance(error, ValueError | OSError) else 70


def explain(error: BaseException, words: list[str], call: partial[None] | None) -> str:
    """Line on an error of the command ``words``.

    The trace of an error with the exit code 70 is written to ``crash.log`` in the run directory that ``call`` names.
    """
    if isinstance(error, KeyboardInterrupt):
        return ("terminated" if isinstance(error, Terminated) else "interrupted") + _RESUMED.get(words[0], "")
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or _at_work(error)}: {error.strerror}"
    if isinstance(error, ValueError | OSError):
        return str(error)
    log = _write_log(error, words, call)
    where = f"the trace is in {log}" if log else "the same command with --debug shows the trace"
    return f"{_reason(error)} ({_at_work(error)}); {where}"


def _reason(error: BaseException) -> str:
    kind, text = type(error).__name__, str(error)
    asked = _MEMORY.search(text)
    if asked or isinstance(error, MemoryError) or kind == "OutOfMemoryError":
        return f"out of memory{f' ({asked[0]})' if asked else ''}: take a smaller batch or smaller images"
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"unexpected {kind}" + (f": {first}" if first else "")


def _at_work(error: BaseException) -> str:
    """Innermost function of this package in the trace, and the innermost file that one was called with."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in reversed(frames) if frame.f_globals.get("__name__", "").startswith("pocketgan.")]
    module = ours[0].f_globals["__name__"].removeprefix("pocketgan.")
    file = next((file for frame in ours for file in _files(frame)), "")
    return f"in {module}.{ours[0].f_code.co_qualname}" + (f", at work on {file}" if file else "")


def _files(frame: FrameType) -> Iterator[str]:
    """Arguments of a function that are files."""
    code = frame.f_code
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        value = frame.f_locals.get(name)
        if isinstance(value, Path) or (isinstance(value, str) and _is_file(value)):
            yield str(value)


def _is_file(text: str) -> bool:
    with suppress(ValueError, OSError):  # a zero byte, a name that is too long
        return os.path.isfile(text)
    return False


def _write_log(error: BaseException, words: list[str], call: partial[None] | None) -> Path | None:
    """File of the trace; None where there is no run directory or where it cannot be written."""
    run = _run_directory(call)
    if run is None:
        return None
    made = f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}, pocketgan {version('pocketgan')}, torch {version('torch')}"
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}"
    text = "\n".join((made, machine, f"words of the command: {words}", "", *traceback.format_exception(error)))
    with suppress(ValueError, OSError):
        with atomic(run / CRASH_LOG) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        return run / CRASH_LOG
    return None


def _run_directory(call: partial[None] | None) -> Path | None:
    """``--out`` or the first positional path that is a run or holds some."""
    if call is None:
        return None
    positional = [path for value in call.args if isinstance(value, tuple) for path in value]
    named = [path for path in (call.keywords.get("out"), *positional) if isinstance(path, Path)]
    return next((path for path in named if any(next(path.glob(file), None) for file in _RUN_FILES)), None)
