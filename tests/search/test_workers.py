"""Several workers on one storage, some of them killed: nothing lost, nothing scored twice, always the same result."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from landscape import BUDGET, COST, SPACE, Imaged, Logged, distance

from pocketgan.search.evolution import Evolution
from pocketgan.search.halving import Halving
from pocketgan.search.result import SearchResult
from pocketgan.search.scoring import ByImages, Score
from pocketgan.search.shared_trials import SharedTrials
from pocketgan.search.storage import open_storage
from pocketgan.search.study import search

CANDIDATES = 60
FIRST = (0, 0)
"""The first candidate on the first rung."""
PROCESSES = multiprocessing.get_context("fork")  # a process of its own, without importing everything again


def go(journal: Path, fitness: Score | ByImages, lease: float = 1.0) -> SearchResult:
    """With halving, where the fitness knows images."""
    return search(
        *(SPACE, fitness),
        cost=COST,
        budget=BUDGET,
        storage=journal,
        strategy=Evolution(population=20),
        halving=Halving(first=1 / 4),
        candidates=CANDIDATES,
        seed=5,
        lease=lease,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """The search as one uninterrupted worker lives it."""
    return go(tmp_path_factory.mktemp("alone") / "journal.log", distance)


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """The same with halving."""
    return go(tmp_path_factory.mktemp("halved") / "journal.log", Imaged())


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; what it waits for happens, or the test's own time runs out."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def begun(process: multiprocessing.process.BaseProcess, fitness: Logged, count: int, images: str = "") -> bool:
    """Whether it has begun so many pieces of work, those on certain images only."""
    return sum(pid == process.pid and text.endswith(images) for text, pid in fitness.lines("begin")) >= count


def kill(process: multiprocessing.process.BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_killed_and_resumed_is_as_never_interrupted(tmp_path: Path, alone: SearchResult) -> None:
    """SIGKILL in the middle of scoring, three times, then to the end."""
    fitness = Logged(tmp_path / "calls", seconds=0.02)
    killed = []
    for _ in range(3):
        worker = PROCESSES.Process(target=go, args=(tmp_path / "journal.log", fitness))
        worker.start()
        wait_for(lambda worker=worker: begun(worker, fitness, 7))
        kill(worker)
        killed.append(worker.pid)
    assert go(tmp_path / "journal.log", fitness) == alone
    check_calls(fitness, alone, killed)


def four_workers(journal: Path, fitness: Any, log: Logged) -> list[int]:
    """Four share a search, two of them are killed, each as it scores its third candidate; the pids of those."""
    workers = [PROCESSES.Process(target=go, args=(journal, fitness)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers[:2]:
        wait_for(lambda worker=worker: begun(worker, log, 3))
        kill(worker)
    for worker in workers[2:]:
        worker.join()
        assert worker.exitcode == 0
    return [worker.pid for worker in workers[:2]]


def test_four_workers_share_one_search_through_kills(tmp_path: Path, alone: SearchResult) -> None:
    fitness = Logged(tmp_path / "calls", seconds=0.05)
    killed = four_workers(tmp_path / "journal.log", fitness, fitness)
    assert go(tmp_path / "journal.log", never) == alone
    assert len({pid for _, pid in fitness.lines("end")}) == 4
    check_calls(fitness, alone, killed)


def test_a_halving_search_killed_on_any_rung_is_as_never_interrupted(tmp_path: Path, halved: SearchResult) -> None:
    """SIGKILL in the middle of the first, the second and the last rung; every image once a candidate by the last one."""
    fitness, journal, killed = Logged(tmp_path / "calls", seconds=0.01), tmp_path / "journal.log", []
    for rung in (":0-4", ":4-8", ":8-16"):
        worker = PROCESSES.Process(target=go, args=(journal, fitness.by_images()))
        worker.start()
        wait_for(lambda worker=worker, rung=rung: begun(worker, fitness, 2, rung))
        kill(worker)
        killed.append(worker.pid)
    assert go(journal, fitness.by_images()) == halved
    check_images(fitness, halved, killed)


def test_four_workers_share_a_halving_search_through_kills(tmp_path: Path, halved: SearchResult) -> None:
    fitness, journal = Logged(tmp_path / "calls", seconds=0.03), tmp_path / "journal.log"
    killed = four_workers(journal, fitness.by_images(), fitness)
    assert go(journal, Imaged(seen=never)) == halved
    check_images(fitness, halved, killed)


def check_images(fitness: Logged, result: SearchResult, killed: list[int | None]) -> None:
    """Each candidate was given its images and no others; by a worker that lives, none of them twice."""
    wanted = {
        f"{c.configuration}:{start}-{stop}"
        for c in result.candidates
        for start, stop in ((0, 4), (4, 8), (8, 16))
        if stop <= c.images
    }
    assert {text for text, _ in fitness.lines("begin")} == wanted
    by_living = Counter(line for line in fitness.lines("begin") if line[1] not in killed)
    assert max(by_living.values()) == 1


def never(*of: object) -> float:
    raise AssertionError("everything is scored already")


def check_calls(fitness: Logged, result: SearchResult, killed: list[int | None]) -> None:
    """Every candidate was scored; one was begun again only if a killed worker had held it."""
    wanted = {candidate.configuration for candidate in result.candidates}
    assert {text for text, _ in fitness.lines("end")} == wanted
    by_living = Counter(text for text, pid in fitness.lines("begin") if pid not in killed)
    assert max(by_living.values()) == 1
    assert set(by_living) <= wanted
    again = Counter(text for text, _ in fitness.lines("begin")).total() - len(wanted)
    assert again <= len(killed)


def test_the_results_hold_each_configuration_once(tmp_path: Path) -> None:
    result = go(tmp_path / "journal.log", distance)
    trials = optuna.load_study(study_name="search", storage=open_storage(tmp_path / "journal.log")).trials
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert len(complete) == CANDIDATES == len({tuple(trial.params.values()) for trial in complete})
    assert [trial.value for trial in complete] == [candidate.scores[0] for candidate in result.candidates]


def ledger(journal: Path, lease: float) -> SharedTrials:
    return SharedTrials(open_storage(journal), "search", space=SPACE, maximize=[False], facts={}, lease=lease)


def test_a_candidate_has_one_holder(tmp_path: Path) -> None:
    first, second = (ledger(tmp_path / "journal.log", lease=60) for _ in range(2))
    held = first.claim(FIRST, SPACE.largest, {})
    assert held is not None
    assert second.claim(FIRST, SPACE.largest, {}) is None
    first.withdraw(held)
    held = second.claim(FIRST, SPACE.largest, {})
    assert held is not None
    assert second.score(held, [1.0])
    assert first.claim(FIRST, SPACE.largest, {}) is None
    assert first.scored == {FIRST: (1.0,)}


def test_who_slept_through_the_lease_cannot_score_any_more(tmp_path: Path) -> None:
    sleeper, other = ledger(tmp_path / "journal.log", lease=60), ledger(tmp_path / "journal.log", lease=0)
    held = sleeper.claim(FIRST, SPACE.largest, {})
    other.refresh()
    wait_for(lambda: other.refresh() or FIRST not in other.claims)
    taken = other.claim(FIRST, SPACE.largest, {})
    assert held is not None
    assert taken is not None
    assert not sleeper.score(held, [1.0])
    assert other.score(taken, [2.0])
    sleeper.refresh()
    assert sleeper.scored == {FIRST: (2.0,)}


def test_who_beats_keeps_the_claim(tmp_path: Path) -> None:
    holder, other = ledger(tmp_path / "journal.log", lease=0.4), ledger(tmp_path / "journal.log", lease=30)
    held = holder.claim(FIRST, SPACE.largest, {})
    assert held is not None
    with holder.heartbeat(held):
        wait_for(lambda: other.refresh() or other.claims[FIRST].user_attrs.get("beat", 0) >= 3)
    assert holder.score(held, [1.0])
