"""Standard streams that no closed pipe, full disk or strange name turns into a traceback, and SIGTERM as an interruption."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO, cast


class OutputClosed(Exception):
    """The reader of the standard output has left, as ``head`` does."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever ends an interrupted run in good order ends this one, too."""


@contextmanager
def safe_streams() -> Iterator[None]:
    """Standard output and error that print any text, and that may be missing, closed or full.

    Raises `OutputClosed` if the output's reader has left, and ``ValueError`` if the output cannot be written for any other
    reason. Errors of the error stream are ignored: a run goes on when nobody looks.
    """
    for descriptor in range(
        3
    ):  # else the next file that is opened, an artifact, would get the number and what is printed there
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w") as null:  # Python has None for a stream that was closed before it started
        sys.stdout = cast(TextIO, _SafeStream(before[0] or null))
        sys.stderr = cast(TextIO, _SafeStream(before[1] or null, silent=True))
        try:
            yield
        finally:
            try:
                sys.stderr.flush()
                sys.stdout.flush()
            finally:
                sys.stdout, sys.stderr = before


class _SafeStream:
    """Stream that writes as escapes what its encoding lacks; after an error of the system nothing more is written."""

    def __init__(self, stream: TextIO, *, silent: bool = False):
        self._stream, self._silent = stream, silent

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        with self._errors():
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        with self._errors():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError, ValueError):  # what is still in the buffer would fail again when Python ends
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)
            if self._silent:
                return
            if isinstance(error, BrokenPipeError):
                raise OutputClosed from None
            raise ValueError(f"cannot write to the standard output: {error.strerror}") from error


received: list[KeyboardInterrupt] = []
"""Interruptions of the command in progress: libraries in Rust turn some into errors of their own, without a cause."""


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises `Terminated`, once, in this process; a second one ends it at once. Ctrl-C is noted in `received`, too."""
    received.clear()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != owner:  # a child that has inherited this function
            os.kill(os.getpid(), signal.SIGTERM)
        ignore_workers()
        received.append(Terminated())
        raise received[-1]

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(KeyboardInterrupt())
        raise received[-1]

    handlers = {signal.SIGTERM: stop}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handlers[signal.SIGINT] = interrupt
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_workers() -> None:
    """Data workers that die from now on raise nothing: what ends this process has ended them, too."""
    ended = getattr(signal, "SIGCHLD", None)  # not on every system
    if ended and threading.current_thread() is threading.main_thread() and callable(signal.getsignal(ended)):
        signal.signal(ended, lambda number, frame: None)
