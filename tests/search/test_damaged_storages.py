"""Damaged and hostile storages: the storage and the place are named in one line, and the advice works."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from landscape import BUDGET, COST, SPACE, distance
from optuna.storages import GrpcStorageProxy, InMemoryStorage

from pocketgan.search import storage
from pocketgan.search.result import SearchResult
from pocketgan.search.shared_trials import BEAT, SharedTrials
from pocketgan.search.storage import CHECKSUM, NamedStorage, StorageError, shown
from pocketgan.search.strategies import Evolution
from pocketgan.search.study import search

BEFORE, AFTER = 4, 6
PLACE = 9
"""Line that is damaged, counted from 1."""


def run(location: object, candidates: int = AFTER) -> SearchResult:
    settings = {"cost": COST, "budget": BUDGET, "strategy": Evolution(population=4), "lease": 0.1}
    return search(SPACE, distance, storage=location, candidates=candidates, **settings)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Journal of a search of four candidates."""
    path = tmp_path_factory.mktemp("search") / "journal"
    run(path, BEFORE)
    return path.read_bytes()


@pytest.fixture(scope="module")
def expected() -> SearchResult:
    return run(InMemoryStorage())


def nested(line: bytes) -> bytes:
    return line[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}"


LINE_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "one digit": (lambda line: line.replace(b"0", b"1", 1), "does not have the checksum"),
    "one key": (lambda line: line.replace(b'"worker_id"', b'"worker_ie"'), "does not have the checksum"),
    "cut": (lambda line: line[: len(line) // 2], "is not JSON"),
    "zeros": (lambda line: bytes(len(line)), "is not JSON"),
    "no UTF-8": (lambda line: line.replace(b"worker", b"\xff\xfe"), "no UTF-8"),
    "null": (lambda line: b"null", "no operation"),
    "list": (lambda line: b'["op_code"]', "no operation"),
    "nested": (nested, "nested"),
    "digits": (lambda line: line[:-1] + b',"x":' + b"9" * 5000 + b"}", "is not JSON"),
    "unknown operation": (lambda line: b'{"op_code":77}', "AssertionError"),
    "nothing in it": (lambda line: b'{"op_code":4}', "KeyError 'study_id'"),
}


@pytest.mark.parametrize("fault", LINE_FAULTS)
def test_a_damaged_line_is_named_and_the_lines_before_serve(
    tmp_path: Path, journal: bytes, expected: SearchResult, fault: str
) -> None:
    spoil, message = LINE_FAULTS[fault]
    lines, path = journal.splitlines(), tmp_path / "journal"
    lines[PLACE - 1] = spoil(lines[PLACE - 1])
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(StorageError, match=f"line {PLACE} is damaged: .*{message}.*; delete this line and all after") as caught:
        run(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    path.write_bytes(b"\n".join(lines[: PLACE - 1]) + b"\n")
    assert run(path) == expected


def without_checksums(journal: bytes, change: Callable[[dict[str, Any]], None] = lambda log: None) -> bytes:
    """Journal as older versions wrote it, whose operations ``change`` changes."""
    logs = [json.loads(line) for line in journal.splitlines()]
    for log in logs:
        del log[CHECKSUM]
        change(log)
    return b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)


def test_journals_of_older_versions_go_on(tmp_path: Path, journal: bytes, expected: SearchResult) -> None:
    (tmp_path / "journal").write_bytes(without_checksums(journal))
    assert run(tmp_path / "journal") == expected


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("user_attrs", {"candidate": [1], "rung": 0}, r"trial 0 .* its candidate is \[1\] and its rung 0"),
        ("user_attrs", {"candidate": 0, "rung": 7}, "its rung 7"),
        ("user_attrs", {"candidate": -1, "rung": 0}, "its candidate is -1"),
        ("user_attrs", {"candidate": True, "rung": 0}, "its candidate is True"),
        ("params", {"stem": 1}, "its down1 is None, no choice of the space"),
        ("params", {"stem": 99}, "line 3 fails: IndexError|line 3 is damaged: IndexError"),
        ("values", ["x"], r"its scores are \['x'\]"),
        ("values", [1.0, 2.0], r"its scores are \[1.0, 2.0\]"),
        ("values", [float("nan")], r"its scores are \[nan\]"),
        ("user_attr", {"search": 5}, "study 'search' of the storage is no search like this one"),
        ("directions", [1, 1], "study 'search' of the storage is no search like this one"),
    ],
)
def test_trials_that_no_search_wrote_are_refused(tmp_path: Path, journal: bytes, key: str, value: object, message: str) -> None:
    def change(log: dict[str, Any]) -> None:
        if log.get(key) is not None and (key != "user_attr" or "search" in log[key]):
            log[key] = value

    (tmp_path / "journal").write_bytes(without_checksums(journal, change))
    with pytest.raises(StorageError, match=message):
        run(tmp_path / "journal")


def test_files_that_are_no_journals_stay_as_they_are(tmp_path: Path) -> None:
    for content in (b"notes", b"notes\nmore\n", b"{}\n", b'{"op_x'):
        (tmp_path / "notes").write_bytes(content)
        with pytest.raises(StorageError, match=r"notes is no journal of a search.*name another file"):
            run(tmp_path / "notes")
        assert (tmp_path / "notes").read_bytes() == content
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(StorageError, match=f"{name} is a folder, pipe or device, no journal"):
            run(tmp_path / name)
    with pytest.raises(StorageError, match=r"cannot open the journal .*notes/journal: (Not a directory|File exists)"):
        run(tmp_path / "notes/journal")


def test_a_line_without_end_is_bounded(tmp_path: Path, journal: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_LINE", 5000)
    (tmp_path / "journal").write_bytes(journal + b'{"op_code":4,"x":"' + b"x" * 5000)
    with pytest.raises(StorageError, match=f"line {len(journal.splitlines()) + 1} is damaged: it is longer than 5,000 bytes"):
        run(tmp_path / "journal")


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    run(f"sqlite:///{path}", 1)
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))
    with pytest.raises(StorageError, match=f"storage sqlite:///{path}.*malformed") as caught:
        run(f"sqlite:///{path}")
    assert "\n" not in str(caught.value)


class Failing(InMemoryStorage):
    """Storage whose connection breaks at its n-th read."""

    def __init__(self, after: int):
        super().__init__()
        self.left = after

    def get_all_trials(self, *arguments: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("connection reset\nby peer")
        return super().get_all_trials(*arguments, **options)


def test_a_storage_that_breaks_is_named_and_its_search_goes_on(expected: SearchResult) -> None:
    broken = Failing(5)
    with pytest.raises(StorageError, match="storage Failing fails: connection reset; once that is mended, the same command"):
        run(broken)
    broken.left = 1000
    assert run(broken) == expected


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    class Silent(GrpcStorageProxy):
        def __init__(self) -> None:
            pass

        def get_all_studies(self) -> Any:
            never.wait()

    monkeypatch.setattr(storage, "ANSWER", 0.01)
    with pytest.raises(StorageError, match=r"storage Silent fails: no answer within 0.01 s"):
        run(Silent())
    never.set()


def test_a_heartbeat_outlives_a_storage_that_fails_once() -> None:
    beats: list[int] = []
    enough = threading.Event()

    class Flaky(InMemoryStorage):
        def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
            assert key == BEAT
            beats.append(value)
            if len(beats) == 1:
                raise RuntimeError("connection reset")
            enough.set()

    trials = SharedTrials(NamedStorage(Flaky()), "search", space=SPACE, scores=1, settings={}, lease=0.01)
    claim = trials.claim((0, 0), SPACE.largest, {})
    assert claim is not None
    with trials.heartbeat(claim):
        assert enough.wait(60)
    assert beats[:2] == [1, 2]


def test_passwords_are_not_shown() -> None:
    assert shown("mysql://me:secret@host/search") == "mysql://me:***@host/search"
    with pytest.raises(StorageError, match=r"storage elsewhere://me:\*\*\*@x: ") as caught:
        run("elsewhere://me:secret@x")
    assert "secret" not in str(caught.value)
