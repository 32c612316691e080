"""Files written atomically, known by their checksum, and directories locked by one process at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from pocketgan.utils.progress import Reporter

LOCK_FILE = ".lock"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}  # of flock on a disk without locks


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Temporary path beside ``path`` that replaces it, flushed to disk, when the block ends without an error.

    Raises ``ValueError`` with the file and the cause when the disk refuses (full, read-only); the older file at ``path``
    is kept then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk by an error of its own
        cause = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot write {path}: {cause}; what stood there before is kept") from error
    finally:
        temporary.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as indented JSON, atomically."""
    text = json.dumps(data, indent=2, allow_nan=True) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text)


def read_json(path: Path) -> Any:
    """Data of a JSON file. Raises ``ValueError`` with the file's name if it is not JSON."""
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


class RunLock:
    """Lock on a directory: one process at a time holds it, and the system frees it when that process dies.

    A child of a killed process keeps the lock until it ends, too. Machines that share a disk share the lock if the disk
    has locks (NFS 4 does); on a disk without locks every process gets it.
    """

    def __init__(self, path: Path):
        self.path = path
        # Its substitute for missing locks would outlive a killed process.
        self._lock = FileLock(path / LOCK_FILE, thread_local=False, fallback_to_soft=False)

    def acquire(self, timeout: float = 0.0) -> bool:
        """True if the lock is held now; waits ``timeout`` seconds for it, forever if -1. A second call changes nothing."""
        if self._lock.is_locked:
            return True
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout, poll_interval=0.1)
        except Timeout:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True

    def release(self) -> None:
        """Free the lock, if this object holds it."""
        self._lock.release(force=True)


@contextmanager
def exclusive(path: Path, reporter: Reporter | None = None) -> Iterator[None]:
    """Hold the `RunLock` of a directory for the block; a wait for another process is reported."""
    lock = RunLock(path)
    if not lock.acquire():
        (reporter or Reporter()).say(f"waits for another process that works in {path}")
        lock.acquire(-1)
    try:
        yield
    finally:
        lock.release()
