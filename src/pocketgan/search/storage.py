"""Storages of a search: Optuna's, with a journal that survives the death of a writer, and errors that name the storage."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import BaseStorage, GrpcStorageProxy, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

from pocketgan.utils.files import parse_json

PATIENCE = 10.0
"""Seconds to wait for the first answer of a server."""
ANSWER = 120.0
"""Seconds to wait for any other answer of a server."""
MAX_LINE = 16 * 2**20
"""Bytes of the longest line of a journal."""
CHECKSUM = "crc32"
"""Key of the checksum of a line; lines of older journals have none."""

FIRST = b'{"op_code"'
"""Begin of every line of a journal."""

StorageLocation = str | Path | BaseStorage
"""Journal file; ``grpc://host:port``; URL of a database (``sqlite:///search.db``, ``mysql://...``); storage object."""


class StorageError(ValueError):
    """Storage that cannot be reached, or holds what no search has written."""


def open_storage(location: StorageLocation) -> BaseStorage:
    """Open the storage; a journal file is created where there is none.

    Raises `StorageError` for a file that is no journal or a damaged one, and for a server or database that does not answer.
    """
    if isinstance(location, BaseStorage):
        return location
    text = str(location)
    if "://" not in text:
        return _open_journal(Path(text))
    try:
        return _open_proxy(text.removeprefix("grpc://")) if text.startswith("grpc://") else get_storage(text)
    except Exception as error:  # every database driver has errors of its own
        raise StorageError(
            f"cannot open the search's storage {shown(location)}: {_reason(error)}; write grpc://host:port of a running server "
            "(it needs pocketgan[cluster]), or a database's URL such as sqlite:///search.db or mysql://user@host/name, whose "
            "driver is installed"
        ) from error


def shown(location: StorageLocation) -> str:
    """Text of a location without its password."""
    text = type(location).__name__ if isinstance(location, BaseStorage) else str(location)
    return re.sub(r"(://[^/@]*?):[^/]*@", r"\1:***@", text)


def _reason(error: BaseException) -> str:
    """Cause of an error, in one line."""
    if callable(details := getattr(error, "details", None)):  # of gRPC, whose text has many lines
        return str(details()).split("\n")[0]
    text = str(error).strip().split("\n")[0]
    bare = isinstance(error, LookupError | TypeError | AttributeError | AssertionError)
    return f"{type(error).__name__} {text}".strip() if bare or not text else text


class NamedStorage:
    """Storage whose errors name it: anything but a lost race between two workers becomes a `StorageError`."""

    def __init__(self, location: StorageLocation):
        """Open the storage as `open_storage` does."""
        self._storage, self._place = open_storage(location), shown(location)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._storage, name)

        def call(*arguments: Any, **options: Any) -> Any:
            try:
                if isinstance(self._storage, GrpcStorageProxy):  # which waits for its server forever
                    return _within(ANSWER, lambda: method(*arguments, **options))
                return method(*arguments, **options)
            except (DuplicatedStudyError, UpdateFinishedTrialError, StorageError):
                raise
            except Exception as error:  # of the driver, or of what a damaged storage holds
                line = f" line {self._storage.journal.line}" if isinstance(self._storage, JournalOfSearch) else ""
                raise StorageError(
                    f"the search's storage {self._place}{line} fails: {_reason(error)}; once that is mended, the same command "
                    "goes on from what is scored; with a new storage it begins anew"
                ) from error

        return call


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """Result of ``work``, done in another thread. Raises `TimeoutError` if it takes longer."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None


def _open_proxy(address: str) -> BaseStorage:
    """Client of the Optuna server at the address, once it answers. Raises `TimeoutError` if it does not."""
    host, _, port = address.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=int(port or 13000))
    try:
        proxy.wait_server_ready(timeout=PATIENCE)
    except Exception:
        raise TimeoutError(f"nobody answers within {PATIENCE:g} s") from None
    return proxy


def _open_journal(path: Path) -> JournalOfSearch:
    if path.exists() and not path.is_file():
        raise StorageError(f"{path} is a folder, pipe or device, no journal of a search: name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalOfSearch(path)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot open the journal {path}: {error.strerror}; give a file that can be written") from error


class JournalOfSearch(JournalStorage):
    """Optuna's journal storage on a file."""

    def __init__(self, path: Path):
        """Read the journal. Raises `StorageError` for a file that is none, and for a damaged one."""
        self.journal = Journal(path)
        try:
            super().__init__(self.journal)
        except (StorageError, OSError):
            raise
        except Exception as error:  # what Optuna makes of a line without a checksum
            raise _damaged(path, self.journal.line, _reason(error)) from error


class Journal(JournalFileBackend):
    """Optuna's journal file, whose lines carry a checksum, with errors that name the file and the line."""

    def __init__(self, path: Path):
        super().__init__(str(path), KernelLock(str(path)) if sys.platform != "win32" else None)
        self.path = path
        self.line = 0
        """Number of the last line that was read."""
        self._offset = 0  # of the next line

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Operations after so many lines; an unfinished last line is left for the next time."""
        if log_number_from < self.line:
            self.line = self._offset = 0
        with open(self.path, "rb") as file:
            file.seek(self._offset)
            while (line := file.readline(MAX_LINE)).endswith(b"\n"):
                self.line, self._offset = self.line + 1, self._offset + len(line)
                log = self._parsed(line)
                if self.line > log_number_from:
                    yield log
        if len(line) == MAX_LINE:
            raise _damaged(self.path, self.line + 1, f"it is longer than {MAX_LINE:,} bytes")
        if self.line == 0 and not line.startswith(FIRST[: len(line)]):  # an unfinished line would be cut off
            raise _damaged(self.path, 1, "it is no operation of a search")

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            log = parse_json(line, "it")
        except ValueError as error:
            raise _damaged(self.path, self.line, str(error)) from None
        if not isinstance(log, dict) or "op_code" not in log:
            raise _damaged(self.path, self.line, "it is no operation of a search")
        if log.get(CHECKSUM, checksum := _checksum(log)) != checksum:
            raise _damaged(self.path, self.line, "it does not have the checksum that was written with it")
        return log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            super().append_logs([{**log, CHECKSUM: _checksum(log)} for log in logs])
        except OSError as error:
            raise StorageError(
                f"cannot write {self.path}: {error.strerror}; what is scored is kept, and the search goes on from there"
            ) from error


def _checksum(log: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps({key: value for key, value in log.items() if key != CHECKSUM}).encode())


def _damaged(path: Path, line: int, reason: str) -> StorageError:
    if line <= 1:
        return StorageError(f"{path} is no journal of a search, or damaged from its first line: {reason}; name another file")
    return StorageError(
        f"{path} line {line} is damaged: {reason}; delete this line and all after it to go on from the lines before, or the "
        "file to search anew"
    )


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
        start = max(0, end - MAX_LINE)
        file.seek(start)
        file.truncate(start + file.read().rfind(b"\n") + 1)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's messages, about every new study and what it thinks of a database."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
