"""Whose turn it is: a lock on a directory that the system takes back when its holder dies."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO

from pocketgan.utils.progress import Reporter

FILE = ".lock"


class RunLock:
    """The right to write into a directory. One process at a time has it; it ends with the last child of a killed one.

    Several machines that share a disk share the lock if the disk has locks (NFS 4 does). On one that has none nobody is kept
    out.
    """

    def __init__(self, path: Path):
        self.path = path
        self._held: BinaryIO | None = None

    def take(self, patience: float = 0.0) -> bool:
        """Try for so many seconds; whether it is ours now. Taking it twice is having it."""
        if self._held is not None:
            return True
        self.path.mkdir(parents=True, exist_ok=True)
        file = open(self.path / FILE, "ab")  # noqa: SIM115 (closed by give)
        end = monotonic() + patience
        while not _locked(file):
            if monotonic() >= end:
                file.close()
                return False
            sleep(0.1)
        self._held = file
        return True

    def give(self) -> None:
        """Free it, if it is ours."""
        if self._held is not None:
            self._held.close()
            self._held = None


@contextmanager
def alone(path: Path, reporter: Reporter | None = None) -> Iterator[None]:
    """No other process is in this block for the same directory; those before us are waited for, and it is said."""
    turn = RunLock(path)
    if not turn.take():
        (reporter or Reporter()).say(f"waits for another process that works in {path}")
        turn.take(math.inf)
    try:
        yield
    finally:
        turn.give()


if sys.platform == "win32":

    def _locked(file: BinaryIO) -> bool:
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _locked(file: BinaryIO) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a disk without locks
        return True
