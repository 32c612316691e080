"""Cases of `benchmarks/faults.py` in child processes: bounded in time and memory, watched for programs and files elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 20.0
"""Wall time of one case; all that are lawful take a tenth of it."""
MEMORY = 3 * 2**30
"""Bytes of address space that a case may take beside those of the process that it is forked from."""
PROGRAMS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.startfile", "pty.spawn"}
"""Audit events of Python that start another program."""


@dataclass(frozen=True)
class Ran:
    """Result of one command: ``code`` is None if it did not return, ``text`` all that it printed."""

    code: int | None
    text: str
    seconds: float


Case = Callable[[], dict[str, Any]]
"""A case, run in the child: returns its row (JSON)."""


def each_in_child(cases: Sequence[Case], *, seconds: float = SECONDS, memory: int = MEMORY) -> Iterator[dict[str, Any]]:
    """Rows of ``cases`` in their order. They share a child until one of them kills it; then the next gets a new one.

    A case that ends its process, or outlives ``seconds``, has a row with the verdict ``crash`` or ``hang``.
    """
    done = 0
    while done < len(cases):
        for row in _one_child(cases[done:], seconds, memory):
            yield row
            done += 1


def _one_child(cases: Sequence[Case], seconds: float, memory: int) -> Iterator[dict[str, Any]]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _work(cases, write, memory)
    os.close(write)
    pending, count = b"", 0
    try:
        while count < len(cases):
            ready, _, _ = select.select([read], [], [], seconds)
            block = os.read(read, 1 << 16) if ready else b""
            if not block:
                break
            *lines, pending = (pending + block).split(b"\n")
            for line in lines:
                yield json.loads(line)
                count += 1
    finally:
        hung = count < len(cases) and not select.select([read], [], [], 0)[0]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(read)
    if count < len(cases):
        how = "hang" if hung else "crash"
        yield {
            "verdict": how,
            "detail": f"after {seconds} s" if hung else f"signal or exit {os.waitstatus_to_exitcode(status)}",
        }


def _work(cases: Sequence[Case], write: int, memory: int) -> None:
    """Run in the child: all cases, one line of JSON each."""
    os.setpgid(0, 0)
    limit = _address_space() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for case in cases:
        os.write(write, json.dumps(case()).encode() + b"\n")
    os._exit(0)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


class Watch:
    """Audit hook: programs that were started, and files that were written outside of ``folder``, since `begin`."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    @contextlib.contextmanager
    def inside(self, folder: Path) -> Iterator[list[str]]:
        """Events, as sentences, while the block runs."""
        self.folder, self.seen = folder.resolve(), []
        try:
            yield self.seen
        finally:
            self.folder = None

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        folder = self.folder
        if folder is None:
            return
        if event in PROGRAMS:
            self.seen.append(f"program: {arguments[0]!r}")
        elif event == "open" and isinstance(arguments[0], str | bytes) and _writes(arguments[2]):
            place = Path(os.path.realpath(os.fsdecode(arguments[0])))
            if not place.is_relative_to(folder) and not place.is_relative_to("/dev") and not place.is_relative_to("/proc"):
                self.seen.append(f"wrote {place}")


def _writes(flags: Any) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def command(words: Sequence[str], output: Path, *, stdout: int | None = None) -> Ran:
    """Run ``pocketgan`` with these words in this process; all that it prints, by Python or by libraries in C, is caught.

    ``stdout`` is another descriptor for the standard output, such as a closed pipe.
    """
    from pocketgan.cli import main

    start, code = time.monotonic(), None
    kept = os.dup(1), os.dup(2)
    streams = sys.stdout, sys.stderr
    file = os.open(output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    try:
        os.dup2(file if stdout is None else stdout, 1)
        os.dup2(file, 2)
        with open(1, "w", closefd=False, encoding="utf-8") as out, open(2, "w", closefd=False, encoding="utf-8") as err:
            sys.stdout, sys.stderr = out, err
            try:
                code = main(words)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 2
            except BaseException:
                import traceback

                traceback.print_exc()
    finally:
        sys.stdout, sys.stderr = streams
        for number, old in enumerate(kept, 1):
            os.dup2(old, number)
            os.close(old)
        os.close(file)
    return Ran(code, output.read_text(errors="replace"), time.monotonic() - start)
