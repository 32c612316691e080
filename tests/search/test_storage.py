"""Where a search is kept: other places than a journal, and places that do not answer."""

import socket
from pathlib import Path

import pytest
from landscape import BUDGET, COST, SPACE, distance

from pocketgan.search import storage
from pocketgan.search.evolution import Evolution
from pocketgan.search.storage import open_storage
from pocketgan.search.study import search


def test_a_database_is_as_good_as_a_journal(tmp_path: Path) -> None:
    places = (f"sqlite:///{tmp_path / 'search.db'}", tmp_path / "search.journal")
    settings = {"cost": COST, "budget": BUDGET, "strategy": Evolution(population=10)}
    begun, _ = (search(SPACE, distance, storage=place, candidates=15, **settings) for place in places)
    ended, alone = (search(SPACE, distance, storage=place, candidates=30, **settings) for place in places)
    assert begun.candidates == ended.candidates[:15]
    assert ended == alone


def test_who_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(storage, "PATIENCE", 1)
    with pytest.raises(
        ValueError, match=rf"storage grpc://localhost:{port}: nobody answers within 1 s; write grpc://host:port"
    ):
        open_storage(f"grpc://localhost:{port}")
    with pytest.raises(
        ValueError, match=r"cannot open the search's storage elsewhere://x: .*elsewhere; write grpc://host:port"
    ):
        open_storage("elsewhere://x")
