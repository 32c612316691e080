"""Downloads: a file under its own name is complete, and no byte is fetched twice without need, whatever the server does."""

import hashlib
import os
import random
import re
import shutil
import socket
import threading
import time
from collections import namedtuple
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

import pocketgan.utils.download as module
from loopback import Web, serve
from pocketgan.utils.download import download
from pocketgan.utils.files import RunLock, exclusive
from pocketgan.utils.progress import Reporter, Ticker
from small_disk import small_disk

CONTENT = random.Random(0).randbytes(3_500_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    with serve() as server:
        server.files["a.bin"] = CONTENT
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "files" / "a.bin"


def leave(path: Path, part: bytes) -> Path:
    """File that an interrupted call leaves."""
    path.parent.mkdir()
    file = path.with_name(f"{path.name}.part")
    file.write_bytes(part)
    return file


def only_whole(path: Path) -> bool:
    return path.read_bytes() == CONTENT and os.listdir(path.parent) == [path.name]


class Recorder(Reporter):
    """Reporter that keeps messages, tasks and ticks."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.tasks: list[tuple[str, int, int]] = []
        self.ticks: list[int] = []

    def say(self, text: str) -> None:
        self.messages.append(text)

    @contextmanager
    def task(self, name: str, total: int, done: int = 0) -> Iterator[Ticker]:
        self.tasks.append((name, total, done))

        def tick(done: int, values: Mapping[str, float] | None = None) -> None:
            self.ticks.append(done)

        yield tick


@pytest.mark.parametrize("facts", [{}, {"size": len(CONTENT)}, {"sha256": SHA}, {"size": len(CONTENT), "sha256": SHA[:8]}])
def test_a_file_arrives_whole(web: Web, path: Path, facts: dict[str, object]) -> None:
    download(web.url("a.bin"), path, **facts)  # type: ignore[arg-type]
    assert only_whole(path)
    assert web.asked == [("a.bin", None)]


@pytest.mark.parametrize("have", [1, 1_234_567, len(CONTENT) - 1])
def test_a_killed_call_is_resumed_where_it_stopped(web: Web, path: Path, have: int) -> None:
    leave(path, CONTENT[:have])
    download(web.url("a.bin"), path, sha256=SHA)
    assert only_whole(path)
    assert web.asked == [("a.bin", f"bytes={have}-")]
    assert web.sent == len(CONTENT) - have


def test_a_broken_connection_is_resumed_and_no_byte_comes_twice(web: Web, path: Path) -> None:
    web.cuts = [1_000_000, 1, 2_000_000]
    recorder = Recorder()
    download(web.url("a.bin"), path, sha256=SHA, reporter=recorder)
    assert only_whole(path)
    assert [asked for _, asked in web.asked] == [None, "bytes=1000000-", "bytes=1000001-", "bytes=3000001-"]
    assert web.sent == len(CONTENT)
    assert recorder.messages[0].endswith("the connection ended after 1,000,000 of 3,500,000 bytes; another attempt in 0 s")
    assert recorder.tasks == [("a.bin (MB)", 4, done) for done in (0, 1, 1, 3)]
    assert recorder.ticks[-1] == 4
    assert recorder.ticks == sorted(recorder.ticks)


def test_a_server_without_ranges_begins_again(web: Web, path: Path) -> None:
    web.ranges, web.cuts = False, [1_000_000]
    recorder = Recorder()
    download(web.url("a.bin"), path, reporter=recorder)
    assert only_whole(path)
    assert web.sent == len(CONTENT) + 1_000_000
    assert recorder.messages[-1].endswith("the server cannot go on in the middle; from the start")


def test_attempts_without_new_bytes_end_and_the_part_is_kept(web: Web, path: Path) -> None:
    web.ranges, web.cuts = False, [2_000_000] * 10
    with pytest.raises(ValueError, match=r"given up after 3 attempts without progress; 2\.0 MB wait in .*a\.bin\.part"):
        download(web.url("a.bin"), path)
    assert len(web.asked) == 4
    assert os.listdir(path.parent) == ["a.bin.part"]
    web.ranges, web.cuts = True, []
    download(web.url("a.bin"), path, sha256=SHA)
    assert only_whole(path)
    assert web.asked[-1] == ("a.bin", "bytes=2000000-")


def test_many_tiny_steps_are_no_progress(web: Web, path: Path) -> None:
    web.cuts = [10] * 100
    with pytest.raises(ValueError, match="given up after 3 attempts without progress"):
        download(web.url("a.bin"), path)
    assert len(web.asked) == 3


def test_a_busy_server_is_asked_again(web: Web, path: Path) -> None:
    web.answers = [503, 429]
    download(web.url("a.bin"), path)
    assert only_whole(path)
    web.answers = [503] * 10
    with pytest.raises(ValueError, match="the server says 503 Service Unavailable; given up after 3 attempts"):
        download(web.url("a.bin"), path.with_name("b.bin"))


@pytest.mark.parametrize(("answer", "words"), [(404, "404 Not Found"), (403, "403 Forbidden"), (401, "401 Unauthorized")])
def test_a_refusal_is_reported_at_once(web: Web, path: Path, answer: int, words: str) -> None:
    web.answers = [answer]
    with pytest.raises(ValueError, match=rf"^{re.escape(web.url('a.bin'))}: the server says {words}$"):
        download(web.url("a.bin"), path)
    assert len(web.asked) == 1
    assert os.listdir(path.parent) == []


def test_without_a_network(web: Web, path: Path) -> None:
    part = leave(path, CONTENT[:500_000])
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.bin"
        with pytest.raises(ValueError, match=r"no connection \(.*refused.*\); given up after 3 .*; 0\.5 MB wait in"):
            download(url, path)
    assert part.read_bytes() == CONTENT[:500_000]


def test_a_wrong_checksum_leaves_nothing(web: Web, path: Path) -> None:
    message = f"another file came, and is deleted: its SHA-256 begins with {SHA[:8]}, the published one with 12345678"
    with pytest.raises(ValueError, match=message):
        download(web.url("a.bin"), path, sha256="12345678")
    assert os.listdir(path.parent) == []


def test_another_size_is_refused_before_a_byte_is_kept(web: Web, path: Path) -> None:
    with pytest.raises(ValueError, match=r"has a file of 3,500,000 bytes, the published one has 3,500,001"):
        download(web.url("a.bin"), path, size=len(CONTENT) + 1)
    assert os.listdir(path.parent) == []


def test_a_file_of_unknown_length(web: Web, path: Path) -> None:
    web.length = False
    download(web.url("a.bin"), path, size=len(CONTENT), sha256=SHA)
    assert only_whole(path)
    web.cuts = [5]
    with pytest.raises(ValueError, match=r"5 bytes came, the published file has 3,500,000; they are deleted"):
        download(web.url("a.bin"), path, size=len(CONTENT))
    assert only_whole(path)


def test_a_complete_part_needs_no_byte(web: Web, path: Path) -> None:
    leave(path, CONTENT)
    download(web.url("a.bin"), path, sha256=SHA)
    assert only_whole(path)
    assert (web.asked, web.sent) == ([("a.bin", f"bytes={len(CONTENT)}-")], 0)
    path.rename(path.with_name("a.bin.part"))
    download(web.url("a.bin"), path, size=len(CONTENT), sha256=SHA)
    assert only_whole(path)
    assert len(web.asked) == 1, "its size is known: not even asked"


def test_another_file_is_never_continued(web: Web, path: Path) -> None:
    """Two halves of two files would have the right length."""
    part = leave(path, bytes(1000))
    os.utime(part, (1e9, 1e9))
    web.modified = 1.1e9
    download(web.url("a.bin"), path)
    assert only_whole(path)
    path.rename(leave(path.parent / "x" / "a.bin", b""))
    long = path.parent / "x" / "a.bin"
    long.with_name("a.bin.part").write_bytes(CONTENT + b"more")
    download(web.url("a.bin"), long)
    assert only_whole(long)


def test_an_older_file_is_continued(web: Web, path: Path) -> None:
    leave(path, CONTENT[:1000])
    web.modified = 1e9
    download(web.url("a.bin"), path)
    assert only_whole(path)
    assert web.sent == len(CONTENT) - 1000


def test_a_server_that_sends_another_part(web: Web, path: Path) -> None:
    part = leave(path, CONTENT[:1000])
    web.shift = 7
    with pytest.raises(ValueError, match=r"asked for the bytes from 1,000 on, the server sends those from 1,007 on"):
        download(web.url("a.bin"), path)
    assert part.read_bytes() == CONTENT[:1000]


def test_a_disk_that_gets_full(web: Web, path: Path) -> None:
    with small_disk(2_000_000), pytest.raises(ValueError, match=r"cannot write .*a\.bin\.part: File too large; make room"):
        download(web.url("a.bin"), path)
    assert os.listdir(path.parent) == ["a.bin.part"]
    have = path.with_name("a.bin.part").stat().st_size
    assert 0 < have <= 2_000_000
    download(web.url("a.bin"), path, sha256=SHA)
    assert only_whole(path)
    assert web.asked[-1] == ("a.bin", f"bytes={have}-")


def test_a_disk_that_is_full_is_seen_first(web: Web, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(3_000_000))
    with pytest.raises(ValueError, match=r"a\.bin\.part needs 4 MB more, and the disk has 3"):
        download(web.url("a.bin"), path)
    path.with_name("a.bin.part").write_bytes(CONTENT[:500_001])
    download(web.url("a.bin"), path)
    assert only_whole(path)


def test_the_second_process_waits(tmp_path: Path) -> None:
    first, recorder, order = RunLock(tmp_path), Recorder(), []
    assert first.acquire()

    def second() -> None:
        with exclusive(tmp_path, recorder):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    while thread.is_alive() and not recorder.messages:
        time.sleep(0.001)
    order.append("first")
    first.release()
    thread.join()
    assert order == ["first", "second"]
    assert recorder.messages == [f"waits for another process that works in {tmp_path}"]
    with exclusive(tmp_path, recorder):
        assert len(recorder.messages) == 1
