"""Storages other than a journal, and servers and databases that do not answer."""

import socket
from pathlib import Path

import pytest
from landscape import BUDGET, COST, SPACE, distance

from pocketgan.search import storage
from pocketgan.search.storage import open_storage
from pocketgan.search.strategies import Evolution
from pocketgan.search.study import search


def test_a_database_stores_the_same_search_as_a_journal(tmp_path: Path) -> None:
    locations = (f"sqlite:///{tmp_path / 'search.db'}", tmp_path / "search.journal")
    settings = {"cost": COST, "budget": BUDGET, "strategy": Evolution(population=4)}
    first, _ = (search(SPACE, distance, storage=location, candidates=4, **settings) for location in locations)
    database, journal = (search(SPACE, distance, storage=location, candidates=8, **settings) for location in locations)
    assert first.candidates == database.candidates[:4]
    assert database == journal


def test_a_silent_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(storage, "PATIENCE", 0.1)
    with pytest.raises(ValueError, match=rf"storage grpc://localhost:{port}: nobody answers within 0.1 s; write grpc://host"):
        open_storage(f"grpc://localhost:{port}")
    with pytest.raises(
        ValueError, match=r"cannot open the search's storage elsewhere://x: .*elsewhere; write grpc://host:port"
    ):
        open_storage("elsewhere://x")
