"""Search by one worker: results, resuming, refusals."""

import json
import math
import resource
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from landscape import BUDGET, COST, NETWORK, OPTIMUM, SPACE, NoisyImages, distance
from optuna.storages import InMemoryStorage

from pocketgan.metrics.cost import Cost
from pocketgan.search.halving import Halving
from pocketgan.search.published import make_space
from pocketgan.search.result import Candidate, SearchResult
from pocketgan.search.space import format_widths, parse_widths
from pocketgan.search.strategies import NSGA2, BruteForce, Evolution, Random
from pocketgan.search.study import search
from pocketgan.utils.progress import Reporter

SMALL = Evolution(population=10)


def run_search(location: Any, **changes: Any) -> SearchResult:
    settings = {"cost": COST, "budget": BUDGET, "storage": location, "strategy": SMALL, "candidates": 40, **changes}
    space, fitness = settings.pop("space", SPACE), settings.pop("fitness", distance)
    return search(space, fitness, **settings)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Forty candidates of seed 0."""
    return run_search(tmp_path_factory.mktemp("search") / "journal.log")


def test_the_search_finds_the_optimum_within_the_budget() -> None:
    """Of 5.8 million configurations, in 400 candidates."""
    result = run_search(InMemoryStorage(), strategy=Evolution(population=25), candidates=400)
    assert max(c.cost.macs_paper for c in result.candidates) <= BUDGET.limit
    assert len({c.configuration for c in result.candidates}) == 400
    assert result.best.configuration == format_widths(OPTIMUM)
    assert result.best.scores == (0.0,)


def test_a_result_describes_its_candidates(uninterrupted: SearchResult) -> None:
    for number, candidate in enumerate(uninterrupted.candidates):
        assert (candidate.number, candidate.generation) == (number, number // 10)
        assert candidate.widths == SPACE.widths(parse_widths(candidate.configuration))
        assert candidate.cost == COST(candidate.widths)
        assert candidate.scores == (distance(candidate.widths),)
    assert uninterrupted.best.scores == min(c.scores for c in uninterrupted.candidates)
    macs = [c.cost.macs for c in uninterrupted.front]
    scores = [c.scores[0] for c in uninterrupted.front]
    assert macs == sorted(macs)
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == uninterrupted.best.scores[0]


def test_the_last_generation_counts(tmp_path: Path) -> None:
    """The published code forgets the last children: here the very last candidate may be the best."""
    falling = iter(range(0, -100, -1))
    assert run_search(tmp_path / "journal.log", fitness=lambda widths: float(next(falling))).best.number == 39


def test_the_same_call_again_scores_nothing_and_more_candidates_continue(tmp_path: Path, uninterrupted: SearchResult) -> None:
    calls: list[int] = []

    def counted(widths: Mapping[str, int]) -> float:
        calls.append(1)
        return distance(widths)

    part = run_search(tmp_path / "journal.log", candidates=23, fitness=counted)
    assert part.candidates == uninterrupted.candidates[:23]
    assert run_search(tmp_path / "journal.log", candidates=23, fitness=counted) == part
    assert len(calls) == 23
    assert run_search(tmp_path / "journal.log", fitness=counted) == uninterrupted
    assert len(calls) == 40


def test_another_seed_is_another_search(tmp_path: Path, uninterrupted: SearchResult) -> None:
    assert run_search(tmp_path / "journal.log", seed=1, candidates=10).candidates != uninterrupted.candidates[:10]


def test_an_unfinished_line_is_cut_off(tmp_path: Path, uninterrupted: SearchResult) -> None:
    """Left by a worker that is killed in the middle of a write, or whose disk is full."""
    journal = tmp_path / "journal.log"
    run_search(journal, candidates=20)
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker_id":"half')
    assert run_search(journal) == uninterrupted
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_fitness_that_fails_releases_its_candidate(tmp_path: Path, uninterrupted: SearchResult) -> None:
    calls: list[int] = []

    def fragile(widths: Mapping[str, int]) -> float:
        calls.append(1)
        if len(calls) == 7:
            raise RuntimeError("out of memory")
        return distance(widths)

    with pytest.raises(RuntimeError, match="out of memory"):
        run_search(tmp_path / "journal.log", fitness=fragile, lease=1e6)
    assert run_search(tmp_path / "journal.log", fitness=fragile, lease=1e6) == uninterrupted
    assert len(calls) == 41


def test_nan_is_the_worst_score(tmp_path: Path) -> None:
    result = run_search(
        tmp_path / "journal.log",
        fitness=lambda widths: math.nan if widths["stem"] > 30 else widths["stem"],
        strategy=Evolution(population=20),
        candidates=25,
    )
    assert {c.scores[0] for c in result.candidates if c.widths["stem"] > 30} == {math.inf}
    assert result.best.widths["stem"] == 16


def test_several_scores_have_a_front(tmp_path: Path) -> None:
    result = run_search(
        tmp_path / "journal.log",
        fitness=distance,
        against=[lambda widths: COST(widths).macs / 1e9],
        strategy=NSGA2(10),
    )
    front = {c.number for c in result.front}
    for c in result.candidates:
        dominated = any(
            o.scores[0] <= c.scores[0] and o.scores[1] <= c.scores[1] and o.scores != c.scores for o in result.candidates
        )
        assert (c.number in front) is not dominated


def test_a_small_space_ends_the_search_early(tmp_path: Path) -> None:
    space = make_space("stem=16,32,64", NETWORK)
    settings = {"space": space, "budget": None, "strategy": BruteForce()}
    result = run_search(tmp_path / "journal.log", fitness=lambda w: w["stem"], **settings)
    assert [c.configuration for c in result.candidates] == ["64", "32", "16"]
    assert run_search(tmp_path / "journal.log", fitness=lambda w: 0.0, **settings) == result


def test_candidates_are_written_as_lines(tmp_path: Path, uninterrupted: SearchResult) -> None:
    uninterrupted.write(tmp_path / "candidates.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "candidates.jsonl").read_text().splitlines()]
    assert [row["configuration"] for row in rows] == [c.configuration for c in uninterrupted.candidates]
    assert rows[7]["scores"] == list(uninterrupted.candidates[7].scores)
    assert rows[7]["cost"]["macs"] == uninterrupted.candidates[7].cost.macs
    assert set(rows[7]) == {"number", "generation", "configuration", "widths", "cost", "scores", "images"}


def test_progress_counts_images_and_names_the_best_score(tmp_path: Path) -> None:
    """With halving the total is what all rungs need: of 10 and of 5 candidates 16 x 4, 5 x 4, 3 x 8 and 5 x 4, 3 x 4, 2 x 8."""
    ticks: list[tuple[int, float]] = []
    totals: list[int] = []

    class Listener(Reporter):
        def task(self, name: str, total: int, done: int = 0) -> Any:
            assert (name, done) == ("search", 0)
            totals.append(total)
            return nullcontext(lambda done, values: ticks.append((done, values["best"])))

    result = run_search(tmp_path / "a.log", candidates=12, reporter=Listener())
    assert [done for done, _ in ticks] == list(range(13))
    assert ticks[-1][1] == result.best.scores[0]
    ticks.clear()
    settings = {"halving": Halving(1 / 4), "fitness": NoisyImages(), "candidates": 15}
    result = run_search(tmp_path / "b.log", reporter=Listener(), **settings)
    total = (10 * 4 + 5 * 4 + 3 * 8) + (5 * 4 + 3 * 4 + 2 * 8)
    assert totals == [12, total]
    assert ticks[-1] == (total, result.best.scores[0])
    assert sum(c.images for c in result.candidates) == total


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, r"'search' was begun with seed 0, not 1"),
        ({"strategy": Random()}, r"was begun with strategy \['Evolution'"),
        ({"space": make_space("channels-48", NETWORK)}, r"was begun with space"),
        ({"halving": Halving(0.5), "fitness": NoisyImages()}, r"was begun with rungs \[1\], not \[8, 16\]"),
        ({"candidates": 0}, r"candidates=0: the least is 1"),
        ({"candidates": 10**12}, r"candidates=1000000000000: the most is 1,000,000"),
        ({"lease": 0.0}, r"lease=0.0: seconds of silence, above 0 and at most 1e\+06"),
        ({"lease": math.nan}, r"lease=nan: seconds of silence"),
    ],
)
def test_another_search_and_absurd_numbers_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    run_search(tmp_path / "journal.log", candidates=2)
    with pytest.raises(ValueError, match=message):
        run_search(tmp_path / "journal.log", **changes)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("remember the milk\n")
    with pytest.raises(ValueError, match="is no journal of a search"):
        run_search(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "remember the milk\n"


def test_a_full_disk_is_reported_and_scores_are_kept(tmp_path: Path, uninterrupted: SearchResult) -> None:
    """A limit on the size of files stands for the disk; the last line may be cut in the middle."""
    journal = tmp_path / "journal.log"
    run_search(journal, candidates=10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 4000, before[1]))
    try:
        with pytest.raises(ValueError, match=r"cannot write .*journal.log: File too large; what is scored is kept"):
            run_search(journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert run_search(journal) == uninterrupted


def made_result(*points: tuple[float, int]) -> SearchResult:
    candidates = [Candidate(n, 0, str(n), {}, Cost(0, macs, 0), (score,), 1) for n, (score, macs) in enumerate(points)]
    return SearchResult(tuple(candidates))


def test_a_summary_names_the_best_and_the_ends_of_the_front() -> None:
    """Dominated candidates are not on the front, nor are those without a score."""
    many = made_result((0.5, 1000), (0.25, 4000), (0.375, 2000), (0.5, 3000), (math.inf, 10))
    assert many.summary() == "5 candidates: best 0.25 at 4,000 MACs, 1; 3 on the front, 0.5 at 1,000 to 0.25 at 4,000"
    assert made_result((0.5, 7)).summary() == "1 candidates: best 0.5 at 7 MACs, 0; 1 on the front, 0.5 at 7"
    assert made_result((math.inf, 7)).summary() == "1 candidates: best inf at 7 MACs, 0; 0 on the front"
    assert made_result((0.5, 7), (0.5, 6)).best.number == 1  # equal scores: fewer MACs


def test_every_bracket_is_reported_once(tmp_path: Path) -> None:
    class Listener(Reporter):
        def __init__(self) -> None:
            self.counts: list[int] = []

        def say(self, text: str) -> None:
            self.counts.append(int(text.split()[0]))

    for candidates, counts in ((25, [10, 20, 25]), (30, [20, 30])):
        listener = Listener()
        run_search(tmp_path / "journal.log", candidates=candidates, reporter=listener)
        assert listener.counts == counts
