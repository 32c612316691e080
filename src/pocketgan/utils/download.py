"""Downloads that resume, are verified, and have their name only when they are complete."""

from __future__ import annotations

import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, InvalidURL, responses
from pathlib import Path
from typing import IO, Any, NamedTuple

from pocketgan.utils.files import atomic, digest
from pocketgan.utils.progress import Reporter

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts without progress; after the last one the download fails."""
PROGRESS = 100_000
"""Bytes that an attempt has to bring to count as progress."""
MOST_BYTES = 32 * 10**9
"""Bytes of the largest file that is downloaded; no published one has a third of it."""

_SILENCE = 30.0  # seconds without a byte, or with fewer than `_SLOW`, after which a connection counts as broken
_SLOW = 30_000
_BLOCK = 1 << 20
_MEGABYTE = 10**6
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses that may change in a moment


def download(url: str, path: Path, *, size: int | None = None, sha256: str = "", reporter: Reporter | None = None) -> None:
    """Download ``url`` to ``path``; ``size`` in bytes and ``sha256`` (or its first digits) are those published.

    A checksum that `record` has written beside ``path`` counts like a published one.

    Until it is complete the file is ``path`` + ``.part``. A broken connection is resumed at once, a killed process by the
    next call, each from the byte where it stopped if the server can (HTTP ranges, RFC 9110 section 14), else from the start.
    The caller locks the folder (`pocketgan.utils.files.exclusive`).

    Raises ``ValueError`` for an address without a file, a server that cannot be reached or sends hardly anything, a redirect
    to what is less safe, a full disk, another size, more than `MOST_BYTES`, and another checksum. Only wrong bytes are
    deleted; others stay in the ``.part``.
    """
    reporter, part = reporter or Reporter(), path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if size is None or _length(part) != size:
            _fill(url, part, size, reporter)
        _verify(url, part, path, size, sha256)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:  # errors of the connection are others by now
        raise ValueError(f"cannot write {part}: {error.strerror or error}; make room, and the same call goes on") from error


def recorded(path: Path) -> Path:
    """File with the checksum of ``path``, as ``sha256sum`` writes and checks it."""
    return path.with_name(f"{path.name}.sha256")


def record(path: Path, sha256: str, reporter: Reporter) -> None:
    """Record the checksum of a file at first sight, unless the whole ``sha256`` is published; say so."""
    if len(sha256) == 64 or recorded(path).exists():
        return
    found = digest(path)
    try:
        with atomic(recorded(path)) as temporary:
            temporary.write_text(f"{found}  {path.name}\n")
    except ValueError as error:  # a folder that others keep
        reporter.say(f"{path.name}: no whole SHA-256 is published, and none can be recorded ({error})")
        return
    reporter.say(
        f"{path.name}: no whole SHA-256 is published; {found[:8]}... is recorded in {recorded(path)} and compared from now on"
    )


def wrong_checksum(file: Path, path: Path, sha256: str) -> str:
    """Difference between the checksum of ``file`` and those published and recorded for ``path``; empty if there is none."""
    known = [("the published one", sha256)] if sha256 else []
    if len(sha256) < 64 and recorded(path).is_file():
        match = re.match(rb"[0-9a-f]{64}", recorded(path).read_bytes())
        if match is None:
            raise ValueError(f"{recorded(path)} does not begin with a SHA-256: delete it, and it is written again")
        known.append((f"the one in {recorded(path)} (delete that file if the new one is right)", match[0].decode()))
    found = digest(file) if known else ""
    for source, checksum in known:
        if not found.startswith(checksum):
            return f"its SHA-256 begins with {found[:8]}, {source} with {checksum[:8]}"
    return ""


class _Broken(Exception):
    """Failure of a connection that may work at another attempt."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects to https, or from http to http; any other is the error that its status is."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urllib.parse.urlsplit(newurl).scheme not in ("https", req.type):
            return None
        fp.close()  # or urllib would read all of it into memory
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Body(NamedTuple):
    """Answer of a server, its first byte and the length of the whole file (None: not stated)."""

    stream: IO[bytes]
    begin: int
    total: int | None


def _fill(url: str, part: Path, size: int | None, reporter: Reporter) -> None:
    """Bring the ``.part`` to its full length; give up after `PAUSES` without `PROGRESS`."""
    furthest, failures = _length(part), 0
    while True:
        try:
            return _attempt(url, part, size, reporter)
        except _Broken as error:
            have = _length(part)
            failures = 0 if have >= furthest + PROGRESS else failures + 1
            furthest = max(furthest, have)
            if failures > len(PAUSES):
                kept = f"; {have / _MEGABYTE:.1f} MB wait in {part}, and the same call goes on" if have else ""
                raise ValueError(f"{url}: {error}; given up after {failures} attempts without progress{kept}") from error
            pause = PAUSES[max(failures - 1, 0)]
            reporter.say(f"{url}: {error}; another attempt in {pause:g} s")
            time.sleep(pause)


def _attempt(url: str, part: Path, size: int | None, reporter: Reporter) -> None:
    with _request(url, part, _length(part)) as body:
        if body is None:
            return
        if size is not None and body.total not in (None, size):
            raise ValueError(f"{url}: the server has a file of {body.total:,} bytes, the published one has {size:,}")
        if body.total is not None and body.total > MOST_BYTES:
            raise ValueError(f"{url}: the server has a file of {body.total:,} bytes, more than the {MOST_BYTES:,} of any other")
        if _length(part) and body.begin == 0:
            reporter.say(f"{url}: the server cannot go on in the middle; from the start")
        _store(body, part, body.total or size or MOST_BYTES, reporter)
        if body.total is not None and _length(part) < body.total:
            raise _Broken(f"the connection ended after {_length(part):,} of {body.total:,} bytes")


def _store(body: _Body, part: Path, most: int, reporter: Reporter) -> None:
    """Append a body of ``most`` bytes at most to the ``.part``."""
    done, total = body.begin, body.total
    free = shutil.disk_usage(part.parent).free + (_length(part) if done == 0 else 0)
    if total is not None and total - done > free:
        raise ValueError(f"{part} needs {(total - done) / _MEGABYTE:,.0f} MB more, and the disk has {free / _MEGABYTE:,.0f}")
    progress = reporter if total is not None else Reporter()
    name, whole = part.name.removesuffix(".part"), -(-(total or 0) // _MEGABYTE)
    with progress.task(f"{name} (MB)", whole, done // _MEGABYTE) as tick, part.open("ab" if done else "wb") as file:
        since, before = time.monotonic(), done
        while block := _read(body.stream):
            file.write(block)
            done += len(block)
            if done > most:
                part.unlink()
                raise ValueError(f"{part.name.removesuffix('.part')}: more than {most:,} bytes came; they are deleted")
            tick(whole if done == total else done // _MEGABYTE)
            if time.monotonic() - since > _SILENCE:
                if done - before < _SLOW:
                    raise _Broken(f"{done - before:,} bytes came in {_SILENCE:g} s")
                since, before = time.monotonic(), done


def _read(stream: IO[bytes]) -> bytes:
    try:
        return stream.read1(_BLOCK)  # type: ignore[attr-defined, no-any-return]  # does not wait for a full block
    except (OSError, HTTPException) as error:
        raise _Broken(f"the connection broke ({_words(error)})") from error


def _words(error: OSError | HTTPException) -> str:
    """Text of an error without anything that the server has sent."""
    return str(error) if isinstance(error, OSError) else f"the answer is not HTTP: {type(error).__name__}"


@contextmanager
def _request(url: str, part: Path, have: int) -> Iterator[_Body | None]:
    """Request everything after the first ``have`` bytes; None where that is nothing."""
    headers = {"User-Agent": "pocketgan"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        opener = urllib.request.build_opener(_Redirects)
        answer = opener.open(urllib.request.Request(url, headers=headers), timeout=_SILENCE)
    except urllib.error.HTTPError as error:
        with closing(error):
            if error.code == 416 and error.headers.get("Content-Range", "").strip() == f"bytes */{have}":
                yield None
                return
            if error.code == 416:  # the .part is longer than the file: it was another one
                part.unlink()
                raise _Broken("the file has changed on the server") from error
            # The words are the standard's: those of the server may be anything.
            says = f"the server says {error.code} {responses.get(error.code, '')}".rstrip()
            if error.code in _PASSING:
                raise _Broken(says) from error
            elsewhere = ", and redirects to what is not followed: only https is, or http from http" if error.code < 400 else ""
            raise ValueError(f"{url}: {says}{elsewhere}") from error
    except urllib.error.URLError as error:
        raise _Broken(f"no connection ({error.reason})") from error
    except (ValueError, InvalidURL) as error:  # also of a redirect
        raise ValueError(f"{url}: this is no address ({error})") from error
    except (OSError, HTTPException) as error:
        raise _Broken(f"no connection ({_words(error)})") from error
    with answer:
        begin, total = _extent(url, answer.status, answer.headers)
        if begin not in (0, have):
            raise ValueError(f"{url}: asked for the bytes from {have:,} on, the server sends those from {begin:,} on")
        if begin and _newer(answer.headers, part):
            part.unlink()
            raise _Broken("the file has changed on the server")
        yield _Body(answer, begin, total)


def _extent(url: str, status: int | None, headers: Message) -> tuple[int, int | None]:
    """First byte of an answer and length of the whole file."""
    if status == 206:
        match = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18}|\*)", headers.get("Content-Range", "").strip())
        if match is None:
            raise ValueError(f"{url}: the server sends a part without saying which")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch("[0-9]{1,18}", length) else None


def _newer(headers: Message, part: Path) -> bool:
    """True if the file on the server was written after our last byte of it came."""
    try:
        return parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp() > part.stat().st_mtime
    except (ValueError, TypeError, OverflowError):  # no date, or none that anyone can read
        return False


def _verify(url: str, part: Path, path: Path, size: int | None, sha256: str) -> None:
    """Raise ``ValueError``, and delete the file, for another size or checksum."""
    length = _length(part)
    if size is not None and length != size:
        part.unlink()
        raise ValueError(f"{url}: {length:,} bytes came, the published file has {size:,}; they are deleted, try again")
    if wrong := wrong_checksum(part, path, sha256):
        part.unlink()
        raise ValueError(f"{url}: another file came, and is deleted: {wrong}. Try again; if it stays so, the file has changed")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
