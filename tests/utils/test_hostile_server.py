"""Downloads from servers that mean harm: whatever they send, the call ends, in words of our own, and nothing else is read."""

from __future__ import annotations

import http.client
import io
import os
import socketserver
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count, repeat
from pathlib import Path

import pytest

import pocketgan.utils.download as module
from pocketgan.utils.download import download


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.0,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "files" / "a.bin"


def leave(path: Path) -> None:
    """Part of three bytes that an interrupted call leaves."""
    path.parent.mkdir()
    path.with_name(f"{path.name}.part").write_bytes(b"abc")


Answer = Callable[[], Iterable[bytes]]


@contextmanager
def hostile(answer: Answer) -> Iterator[str]:
    """Address of a server that sends the same bytes to everyone, whatever they are."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline(1000) not in (b"\r\n", b""):
                pass
            with suppress(OSError):  # the client may leave
                for part in answer():
                    self.wfile.write(part)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/a.bin"
        finally:
            server.shutdown()
            thread.join()


def refused(answer: Answer, path: Path, message: str, **facts: int) -> None:
    with hostile(answer) as url, pytest.raises(ValueError, match=message):
        download(url, path, **facts)
    assert not path.exists()


@pytest.mark.parametrize("facts", [{}, {"size": 300_000}], ids=["unknown size", "known size"])
def test_an_endless_body_ends(path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, int]) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 300_000)
    endless = lambda: chain([b"HTTP/1.1 200 OK\r\n\r\n"], repeat(bytes(10_000)))  # noqa: E731
    refused(endless, path, r"^a\.bin: more than 300,000 bytes came; they are deleted$", **facts)
    assert os.listdir(path.parent) == []


def test_a_file_of_absurd_length_is_refused_before_it_comes(path: Path) -> None:
    answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 99000000000\r\n\r\n"]
    refused(lambda: answer, path, "the server has a file of 99,000,000,000 bytes, more than the 32,000,000,000 of any other")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x/", "data:,a", "//\xff:0x/", "http://[/"]
)
def test_a_redirect_to_anything_but_the_web_is_not_followed(path: Path, target: str) -> None:
    answer = [f"HTTP/1.1 302 Go\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")]
    refused(lambda: answer, path, "says 302 Found, and redirects to what is not followed|this is no address")


@pytest.mark.parametrize(("start", "target"), [("https", "http"), ("http", "https"), ("http", "http"), ("https", "https")])
def test_a_redirect_is_never_less_safe(start: str, target: str) -> None:
    request = urllib.request.Request(f"{start}://a.example/x")
    redirected = module._Redirects().redirect_request(request, io.BytesIO(), 302, "", {}, f"{target}://b.example/y")
    assert (redirected is None) == ((start, target) == ("https", "http"))


def test_the_body_of_a_redirect_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have no end, and urllib would keep all of it in memory."""
    lines = [b"HTTP/1.1 302 Go\r\nLocation: /b.bin\r\n\r\n"]
    monkeypatch.setattr(http.client.HTTPResponse, "_safe_read", None)
    refused(lambda: chain(lines, repeat(bytes(10_000))), path, "says 302 Found, and redirects")


def test_a_redirect_to_itself_ends(path: Path) -> None:
    answer = b"HTTP/1.1 302 Go\r\nLocation: /a.bin\r\nContent-Length: 0\r\n\r\n"
    refused(lambda: [answer], path, "says 302 Found, and redirects")


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-5", "1e3", ""])
def test_a_length_that_is_none_is_not_believed(path: Path, length: str) -> None:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nLast-Modified: {length}\r\n\r\nbody".encode("latin-1")
    with hostile(lambda: [answer]) as url:
        download(url, path)
    assert path.read_bytes() == b"body"


@pytest.mark.parametrize("extent", ["", "bytes", "bytes 3-2", f"bytes {'9' * 5000}-1/2", "bytes 3-5/\xb2", "items 3-5/6"])
def test_a_part_that_is_none_is_refused(path: Path, extent: str) -> None:
    leave(path)
    answer = f"HTTP/1.1 206 OK\r\nContent-Range: {extent}\r\n\r\ndef".encode("latin-1")
    refused(lambda: [answer], path, "the server sends a part without saying which")


def test_a_part_beyond_its_file_is_refused(path: Path) -> None:
    leave(path)
    refused(lambda: [b"HTTP/1.1 206 OK\r\nContent-Range: bytes 3-9/5\r\n\r\ndefghij"], path, "more than 5 bytes came")


def test_the_words_of_a_server_are_not_repeated(path: Path) -> None:
    refused(lambda: [b"\x1b[2Jall is well\r\n\r\n"], path, r"/a\.bin: no connection \(the answer is not HTTP: BadStatusLine\);")
    answer = b"HTTP/1.1 404 \x1b[2Jall is well\r\nContent-Length: 0\r\n\r\n"
    refused(lambda: [answer], path, r"/a\.bin: the server says 404 Not Found$")


def test_a_connection_that_hardly_brings_anything_is_broken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes in the test alone: forty seconds between any two looks at the clock."""
    monkeypatch.setattr(module.time, "monotonic", count(0, 40).__next__)
    answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n12345"]
    refused(lambda: answer, path, r"5 bytes came in 30 s; given up after 2 attempts without progress")
