"""Local web server with the faults of real ones, which counts the bytes it sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web:
    """Files by name, faults of the server, and the requests so far."""

    def __init__(self, address: str):
        self.address = address
        self.files: dict[str, bytes] = {}
        self.ranges = True
        """True if range requests are supported."""
        self.cuts: list[int] = []
        """Bytes after which the next connections end; later ones are complete."""
        self.answers: list[int] = []
        """Statuses of the next answers, instead of a file."""
        self.shift = 0
        """Offset of the first byte sent from the one requested."""
        self.length = True
        """True if the length of a file is sent."""
        self.modified: float | None = None
        self.asked: list[tuple[str, str | None]] = []
        """Name and range of every request."""
        self.sent = 0
        """Total bytes of files."""

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


@contextmanager
def serve() -> Iterator[Web]:
    """Run a server in a thread while the block runs."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.web = Web(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.web  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Ignore clients that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        web: Web = self.server.web  # type: ignore[attr-defined]
        name, wanted = self.path.removeprefix("/"), self.headers.get("Range")
        web.asked.append((name, wanted))
        if web.answers:
            self.send_error(web.answers.pop(0))
        elif name not in web.files:
            self.send_error(404)
        else:
            self.send_file(web, web.files[name], wanted if web.ranges else None)

    def send_file(self, web: Web, content: bytes, wanted: str | None) -> None:
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) + web.shift if wanted else 0
        if wanted and begin >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if web.length:
            self.send_header("Content-Length", str(len(content) - begin))
        if web.modified is not None:
            self.send_header("Last-Modified", formatdate(web.modified, usegmt=True))
        self.end_headers()
        body = content[begin:]
        body = body[: web.cuts.pop(0)] if web.cuts else body
        web.sent += len(body)
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
