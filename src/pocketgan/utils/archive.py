"""Unpacking of untrusted archives: only files and folders, only below the target, and no more than the disk holds."""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple, cast

from pocketgan.utils.progress import Reporter

MAX_RATIO = 50
"""Largest allowed size of the content over that of the archive: images are compressed already, and hardly grow."""
LEAST_LIMIT = 64 * 10**6
"""Bytes that any archive may hold: a small one is mostly names, and those compress well."""

_BLOCK = 1 << 20
_ON_DISK = 4096  # least size of a file


class _Entry(NamedTuple):
    """Entry as the archive declares it; neither reader gives more than ``size`` bytes of it."""

    name: str
    size: int
    is_folder: bool
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, target: Path, *, folder: str = "", reporter: Reporter | None = None) -> int:
    """Unpack a ``.zip`` or ``.tar.gz`` to ``target``; return the number of files.

    If everything that is not hidden lies in ``folder``, ``target`` becomes that folder; else it holds everything. ``target``
    appears when it is complete: until then the files lie beside it under a hidden name, which the next call deletes.
    Metadata of macOS is left out. Modes and dates in the archive are ignored.

    Raises ``ValueError`` for a target that exists, a file that is no archive, a damaged one, and a hostile one: absolute
    names, ``..``, links, devices, the same name twice, passwords, and more content than `MAX_RATIO` times the archive or
    than the disk has room for. (The data filter of ``tarfile`` allows links and strips the root of absolute names.)
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} exists: move it away, or unpack {archive} elsewhere")
    temporary = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        count = _write(archive, temporary, reporter or Reporter())
        inner = temporary / folder
        visible = [entry.name for entry in temporary.iterdir() if not entry.name.startswith(".")]
        content = inner if visible == [folder] and inner.is_dir() else temporary
        if target.exists():
            target.rmdir()
        content.rename(target)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{archive} is damaged, or no archive ({error}): delete it, and fetch it again") from error
    except OSError as error:
        raise ValueError(f"cannot unpack {archive}: {error.strerror or error} ({error.filename or target})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


def _write(archive: Path, folder: Path, reporter: Reporter) -> int:
    packed, free = archive.stat().st_size, shutil.disk_usage(folder).free
    limit = max(MAX_RATIO * packed, LEAST_LIMIT)
    count = used = 0
    with _opened(archive) as (entries, position), reporter.task(f"unpack {archive.name} (MB)", -(-packed // 10**6)) as tick:
        for entry in entries:
            parts = _parts(archive, entry)
            if parts is None:
                continue
            used += max(entry.size, _ON_DISK)
            if used > limit:
                raise ValueError(f"{archive} holds more than {limit:,} bytes in {packed:,}: that is no set of images")
            if used > free:
                raise ValueError(f"{archive} holds more than the {free:,} bytes that are free on the disk: make room")
            path = folder.joinpath(*parts)
            if entry.is_folder:
                path.mkdir(parents=True, exist_ok=True)
                continue
            _store(archive, entry, path)
            count += 1
            tick(position() // 10**6)
        tick(-(-packed // 10**6))
    return count


def _store(archive: Path, entry: _Entry, path: Path) -> None:
    source = entry.open()
    assert source is not None, "a file has content"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with source, path.open("xb") as file:  # "x" never follows or replaces what is there
            shutil.copyfileobj(source, file, _BLOCK)
    except FileExistsError as error:
        raise ValueError(f"{archive} holds {entry.name!r} twice") from error
    if path.stat().st_size != entry.size:
        raise ValueError(f"{archive} is damaged: {entry.name!r} has not the {entry.size:,} bytes that it declares")


def _parts(archive: Path, entry: _Entry) -> tuple[str, ...] | None:
    """Path of an entry below the target; None for one to leave out. Raises ``ValueError`` for a hostile one."""
    name = PurePosixPath(entry.name)
    foreign = "\\" in entry.name or "\0" in entry.name or PureWindowsPath(entry.name).drive
    if name.is_absolute() or ".." in name.parts or foreign:
        raise ValueError(f"{archive} is hostile: {entry.name!r} would lie outside of the folder; nothing of it is kept")
    if not (entry.is_file or entry.is_folder):
        raise ValueError(f"{archive} is hostile: {entry.name!r} is a link or a device; nothing of it is kept")
    if "__MACOSX" in name.parts or name.name.startswith("._"):
        return None
    return name.parts


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[Iterator[_Entry], Callable[[], int]]]:
    """Entries of an archive, one after another, and a function that gives the position in its file."""
    with ExitStack() as stack:
        file = stack.enter_context(archive.open("rb"))
        kind = file.read(2)
        file.seek(0)
        if kind == b"PK":
            yield _zip_entries(archive, stack.enter_context(zipfile.ZipFile(file))), file.tell
        else:
            plain = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=file)))
            yield _tar_entries(stack.enter_context(tarfile.open(fileobj=plain, mode="r:")), plain), file.tell


def _zip_entries(archive: Path, content: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in content.infolist():
        if info.flag_bits & 1:
            raise ValueError(f"{archive}: {info.filename!r} is locked by a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile(f"{info.filename!r} is compressed by a method that is not supported")
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not packed on Unix
        is_file = not info.is_dir() and kind in (0, stat.S_IFREG)
        # The original name: the other one is cut at a NUL.
        yield _Entry(info.orig_filename, info.file_size, info.is_dir(), is_file, partial(content.open, info))


def _tar_entries(content: tarfile.TarFile, plain: IO[bytes]) -> Iterator[_Entry]:
    for member in content:
        is_file = member.isreg() and not member.issparse()
        yield _Entry(member.name, member.size, member.isdir(), is_file, partial(content.extractfile, member))
    for _ in range(LEAST_LIMIT // _BLOCK):  # to the very end, where the checksum stands
        if not plain.read(_BLOCK):
            return
    raise tarfile.ReadError("it goes on after its end")
