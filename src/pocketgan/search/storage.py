"""Storages of a search: Optuna's, with a journal that survives the death of a writer."""

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
"""Seconds to wait for the first answer of a server."""

StorageLocation = str | Path | BaseStorage
"""Journal file; ``grpc://host:port``; URL of a database (``sqlite:///search.db``, ``mysql://...``); storage object."""


def open_storage(location: StorageLocation) -> BaseStorage:
    """Open the storage; a journal file is created where there is none.

    Raises ``ValueError`` for a file that is no journal, and for a server or database that does not answer.
    """
    if isinstance(location, BaseStorage):
        return location
    text = str(location)
    try:
        if text.startswith("grpc://"):
            return _open_proxy(text.removeprefix("grpc://"))
        if "://" in text:
            return get_storage(text)
    except Exception as error:  # every database driver has errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"cannot open the search's storage {text}: {reason}; write grpc://host:port of a running server (it needs "
            "pocketgan[cluster]), or a database's URL such as sqlite:///search.db or mysql://user@host/name, whose driver is "
            "installed"
        ) from error
    path = Path(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        with open(path, "rb") as file:
            if not file.readline().startswith(b'{"op_code"'):
                raise ValueError(f"{path} is no journal of a search: name another file")
    return JournalStorage(Journal(text, KernelLock(text) if sys.platform != "win32" else None))


def _open_proxy(address: str) -> BaseStorage:
    """Client of the Optuna server at the address, once it answers. Raises `TimeoutError` if it does not."""
    host, _, port = address.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=int(port or 13000))
    try:
        proxy.wait_server_ready(timeout=PATIENCE)
    except Exception:
        raise TimeoutError(f"nobody answers within {PATIENCE} s") from None
    return proxy


class Journal(JournalFileBackend):
    """Optuna's journal file, with an error that names the file if the disk refuses."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            super().append_logs(logs)
        except OSError as error:
            raise ValueError(
                f"cannot write {self._file_path}: {error.strerror}; what is scored is kept, and the search goes on from there"
            ) from error


class KernelLock(JournalFileOpenLock):
    """Lock on the journal file itself, freed by the kernel when its holder dies.

    Optuna's locks are files: a worker killed while it writes leaves one behind, and all others wait half a minute for it. An
    unfinished line of such a worker is cut off by the next writer; no reader has used it.
    """

    def __init__(self, filepath: str):
        super().__init__(filepath)
        self._path = filepath
        self._file: BinaryIO | None = None

    def acquire(self) -> bool:
        import fcntl

        self._file = open(self._path, "rb+")  # noqa: SIM115 (closed by release)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        _cut_unfinished_line(self._file)
        return True

    def release(self) -> None:
        assert self._file is not None
        self._file.close()


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
    """Silence Optuna's message for every new study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
