"""Where a search is kept: Optuna's storages, with a journal that survives the death of who writes it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, GrpcStorageProxy, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

PATIENCE = 10
"""Seconds that a server may take to answer at first."""

Place = str | Path | BaseStorage
"""A journal file; ``grpc://host:port``; a database's URL (``sqlite:///search.db``, ``mysql://...``); a storage."""


def open_storage(place: Place) -> BaseStorage:
    """The storage at that place; a journal file is made where there is none.

    Raises ``ValueError`` for a file that is no journal, and for a server or database that does not answer.
    """
    if isinstance(place, BaseStorage):
        return place
    text = str(place)
    try:
        if text.startswith("grpc://"):
            return _proxy(text.removeprefix("grpc://"))
        if "://" in text:
            return get_storage(text)
    except Exception as error:  # every database driver has errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"cannot open the search's storage {text}: {reason}; write grpc://host:port of a running server (it needs "
            "pocketgan[cluster]), or a database's URL such as sqlite:///search.db or mysql://user@host/name, whose driver is "
            "installed"
        ) from error
    return _journal(Path(text))


def _proxy(address: str) -> BaseStorage:
    """Optuna's server there, once it answers. Raises `TimeoutError` if it does not."""
    host, _, port = address.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=int(port or 13000))
    try:
        proxy.wait_server_ready(timeout=PATIENCE)
    except Exception:
        raise TimeoutError(f"nobody answers within {PATIENCE} s") from None
    return proxy


def _journal(path: Path) -> BaseStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        with open(path, "rb") as file:
            if not file.readline().startswith(b'{"op_code"'):
                raise ValueError(f"{path} is no journal of a search: name another file")
    return JournalStorage(Journal(str(path), KernelLock(str(path)) if sys.platform != "win32" else None))


class Journal(JournalFileBackend):
    """The library's journal file, with an error that names the file when the disk refuses."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write, to the disk and not only to its cache."""
        try:
            super().append_logs(logs)
        except OSError as error:
            raise ValueError(
                f"cannot write {self._file_path}: {error.strerror}; what is scored is kept, and the search goes on from there"
            ) from error


class KernelLock(JournalFileOpenLock):
    """A lock on the journal itself that the kernel frees when its holder dies.

    The library's locks are files: a worker killed while it writes leaves one behind, and all others wait half a minute for
    it. The line that such a worker may have left unfinished is cut off by the next to write; nobody was told of it.
    """

    def __init__(self, filepath: str):
        super().__init__(filepath)
        self._path = filepath
        self._held: BinaryIO | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        import fcntl

        self._held = open(self._path, "rb+")  # noqa: SIM115 (closed by release)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        _cut_unfinished_line(self._held)
        return True

    def release(self) -> None:
        """Free it."""
        assert self._held is not None
        self._held.close()


def _cut_unfinished_line(file: BinaryIO) -> None:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's news of every study that is made."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
