"""Several workers on one storage, some of them killed: nothing lost, nothing scored twice, always the same result."""

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from landscape import BUDGET, COST, SPACE, LoggedFitness, NoisyImages, configuration_of, distance

from pocketgan.search import study
from pocketgan.search.fitness import ImageFitness, Score
from pocketgan.search.halving import Halving
from pocketgan.search.result import SearchResult
from pocketgan.search.shared_trials import SharedTrials
from pocketgan.search.space import format_widths
from pocketgan.search.storage import open_storage
from pocketgan.search.strategies import Evolution
from pocketgan.search.study import search

CANDIDATES = 30
FIRST = (0, 0)
"""First candidate on the first rung."""
PROCESSES = multiprocessing.get_context("fork")  # without importing everything again


@pytest.fixture(autouse=True)
def fast_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "POLL", 0.005)


def run_search(journal: Path, fitness: Score | ImageFitness, lease: float = 0.4) -> SearchResult:
    return search(
        *(SPACE, fitness),
        cost=COST,
        budget=BUDGET,
        storage=journal,
        strategy=Evolution(population=10),
        halving=Halving(first=1 / 4),
        candidates=CANDIDATES,
        seed=5,
        lease=lease,
    )


@pytest.fixture(scope="module")
def plain_result(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Uninterrupted search of one worker."""
    return run_search(tmp_path_factory.mktemp("plain") / "journal.log", distance)


@pytest.fixture(scope="module")
def halving_result(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Uninterrupted search of one worker with halving."""
    return run_search(tmp_path_factory.mktemp("halving") / "journal.log", NoisyImages())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def never(*of: object) -> float:
    raise AssertionError("everything is scored already")


def check_images(log: LoggedFitness, journal: Path, result: SearchResult, killed: list[int]) -> None:
    """Each candidate was scored on its images and no others, once; no living worker ran a candidate twice on an image."""
    expected = {
        (c.number, rung): f"{c.configuration}:{start}-{stop}"
        for c in result.candidates
        for rung, (start, stop) in enumerate(((0, 4), (4, 8), (8, 16)))
        if stop <= c.images
    }
    assert {text for text, _ in log.lines("end")} == {text for text, _ in log.lines("begin")} == {*expected.values()}
    by_living = Counter(line for line in log.lines("begin") if line[1] not in killed)
    assert max(by_living.values()) == 1
    trials = optuna.load_study(study_name="search", storage=open_storage(journal)).trials
    complete = [(t.user_attrs["candidate"], t.user_attrs["rung"]) for t in trials if t.state.name == "COMPLETE"]
    assert sorted(complete) == sorted(expected)


def test_four_workers_share_a_halving_search_through_two_kills(tmp_path: Path, halving_result: SearchResult) -> None:
    """Two of four processes are killed, each as it begins its third piece of work."""
    log, journal = LoggedFitness(tmp_path / "calls", seconds=0.02), tmp_path / "journal.log"
    workers = [PROCESSES.Process(target=run_search, args=(journal, log.by_images())) for _ in range(4)]
    for worker in workers:
        worker.start()
    killed = []
    for worker in workers[:2]:
        wait_for(lambda worker=worker: sum(pid == worker.pid for _, pid in log.lines("begin")) >= 3)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        killed.append(worker.pid)
    for worker in workers[2:]:
        worker.join()
        assert worker.exitcode == 0
    assert run_search(journal, NoisyImages(seen=never)) == halving_result
    assert len({pid for _, pid in log.lines("end")}) == 4
    check_images(log, journal, halving_result, killed)


class Died(BaseException):
    """Stands for SIGKILL: the worker stops without withdrawing its claim."""


@pytest.mark.parametrize("rung", [range(4), range(4, 8), range(8, 16)], ids=["first", "second", "last"])
def test_a_search_that_died_on_any_rung_ends_as_if_never_interrupted(
    rung: range, tmp_path: Path, halving_result: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim of the dead worker is left to the lease."""

    def die(text: str, images: range) -> None:
        if images == rung:
            raise Died

    journal = tmp_path / "journal.log"
    with monkeypatch.context() as patch:
        patch.setattr(SharedTrials, "withdraw", lambda self, number: None)
        with pytest.raises(Died):
            run_search(journal, NoisyImages(seen=die))
    assert run_search(journal, NoisyImages(), lease=0.05) == halving_result
    states = Counter(trial.state.name for trial in optuna.load_study(study_name="search", storage=open_storage(journal)).trials)
    assert states["FAIL"] == 1
    assert states["RUNNING"] == 0


def test_workers_in_threads_share_one_search(tmp_path: Path, plain_result: SearchResult) -> None:
    """Every candidate is scored once, by several workers, and the trials hold each configuration once."""
    journal, calls = tmp_path / "journal.log", Counter[tuple[str, int]]()
    lock, all_at_work = threading.Lock(), threading.Barrier(3)

    def fitness(widths: Mapping[str, int]) -> float:
        thread = threading.get_ident()
        with lock:
            is_first = all(other != thread for _, other in calls)
            calls[format_widths(configuration_of(widths)), thread] += 1
        if is_first:
            all_at_work.wait(60)
        return distance(widths)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: run_search(journal, fitness, lease=60), range(3)))
    assert results == [plain_result] * 3
    assert sorted(text for text, _ in calls) == sorted(c.configuration for c in plain_result.candidates)
    assert max(calls.values()) == 1
    assert len({thread for _, thread in calls}) == 3
    trials = optuna.load_study(study_name="search", storage=open_storage(journal)).trials
    complete = {trial.user_attrs["candidate"]: trial for trial in trials if trial.state.name == "COMPLETE"}
    assert sorted(complete) == list(range(CANDIDATES))
    assert [complete[c.number].value for c in plain_result.candidates] == [c.scores[0] for c in plain_result.candidates]


class Clock:
    """Clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def shared_trials(journal: Path, lease: float, clock: Callable[[], float]) -> SharedTrials:
    storage = open_storage(journal)
    return SharedTrials(storage, "search", space=SPACE, scores=1, settings={}, lease=lease, clock=clock)


def test_a_candidate_has_one_holder(tmp_path: Path) -> None:
    first, second = (shared_trials(tmp_path / "journal.log", 60, Clock()) for _ in range(2))
    claim = first.claim(FIRST, SPACE.largest, {})
    assert claim is not None
    assert second.claim(FIRST, SPACE.largest, {}) is None
    first.withdraw(claim)
    claim = second.claim(FIRST, SPACE.largest, {})
    assert claim is not None
    assert second.score(claim, [1.0])
    assert first.claim(FIRST, SPACE.largest, {}) is None
    assert first.scored == {FIRST: (1.0,)}


def test_a_worker_suspended_for_the_lease_cannot_score(tmp_path: Path) -> None:
    clock = Clock()
    suspended, other = (shared_trials(tmp_path / "journal.log", 60, clock) for _ in range(2))
    claim = suspended.claim(FIRST, SPACE.largest, {})
    assert claim is not None
    for clock.now in (0.0, 60.0):  # exactly the lease is not yet too long
        other.refresh()
        assert FIRST in other.claims
    clock.now = 60.1
    other.refresh()
    assert FIRST not in other.claims
    taken = other.claim(FIRST, SPACE.largest, {})
    assert taken is not None
    assert not suspended.score(claim, [1.0])
    assert other.score(taken, [2.0])
    suspended.refresh()
    assert suspended.scored == {FIRST: (2.0,)}


def test_a_heartbeat_keeps_the_claim(tmp_path: Path) -> None:
    """A change of the heartbeat starts the lease anew, by the clock of the worker that sees it."""
    clock = Clock()
    holder = shared_trials(tmp_path / "journal.log", 0.04, Clock())
    other = shared_trials(tmp_path / "journal.log", 30, clock)
    claim = holder.claim(FIRST, SPACE.largest, {})
    assert claim is not None

    def beats() -> int:
        other.refresh()
        return int(other.claims[FIRST].user_attrs.get("beat", 0))

    with holder.heartbeat(claim):
        for count in (1, 2, 3):
            clock.now += 20
            wait_for(lambda count=count: beats() >= count)
    assert holder.score(claim, [1.0])
