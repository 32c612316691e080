"""Files written atomically, known by their checksum, and directories locked by one process at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from pocketgan.utils.progress import Reporter

LOCK_FILE = ".lock"
MAX_JSON = 64 * 2**20
"""Bytes of the largest JSON file that is read; logs are read line by line."""
MAX_DEPTH = 64
"""Lists and objects inside each other, of JSON that is read."""
LEFTOVER = re.compile(r"\..*\.\d+\.tmp(\.\w+)?")
"""Names of temporary files, and of folders that are being removed."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}  # of flock on a disk without locks


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Temporary path beside ``path`` that replaces it, flushed to disk, when the block ends without an error.

    Raises ``ValueError`` with the file and the cause when the disk refuses (full, read-only); the older file at ``path``
    is kept then.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)  # that of any new file: safetensors lets the owner alone read its files
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk by an error of its own
        cause = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot write {path}: {cause}; what stood there before is kept") from error
    finally:
        with suppress(OSError):  # that of the block is the one to tell
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes wrote or removed in a folder that no other process works in now."""
    for path in folder.glob(".*.tmp*"):
        if LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


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
    """Data of a JSON file. Raises ``ValueError`` with the file's name if it is not one that `parse_json` accepts."""
    if not path.is_file():
        raise ValueError(f"{path} is a pipe, folder or device, not a file" if path.exists() else f"there is no file {path}")
    if path.stat().st_size > MAX_JSON:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; JSON of at most {MAX_JSON:,} is read")
    return parse_json(path.read_bytes(), str(path))


def parse_json(text: str | bytes, source: str) -> Any:
    """Data of a JSON text that ``source``, a file or a line of one, holds.

    Raises ``ValueError``, which begins with ``source``, for text that is not UTF-8 or not JSON, for lists and objects nested
    deeper than `MAX_DEPTH`, which no recursive function could follow, and for integers beyond Python's 4,300 digits.
    """
    try:
        data = json.loads(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"{source} is not JSON: byte {error.start} is no UTF-8") from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{source} is not JSON: {reason}") from None
    level, depth = [data], 0
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"{source} is nested deeper than {MAX_DEPTH} levels: no file of pocketgan is")
    return data


def _inside(data: Any) -> Iterable[Any]:
    return data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()


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
        """True if the lock is held now; waits ``timeout`` seconds for it, forever if -1. A second call changes nothing.

        Raises ``ValueError`` for a folder that cannot be made or written into.
        """
        if self._lock.is_locked:
            return True
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout, poll_interval=0.1)
        except Timeout:
            return False
        except FileExistsError:
            raise ValueError(f"{self.path} is a file, and a folder is needed: give another name") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise ValueError(f"cannot work in {self.path}: {error.strerror or error}; give another folder") from None
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
