"""One worker: what a search returns, how it goes on, and what it refuses."""

import json
import math
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from landscape import BUDGET, COST, NETWORK, SPACE, WANTED, Imaged, distance

from pocketgan.metrics.cost import Cost
from pocketgan.search.evolution import Evolution
from pocketgan.search.halving import Halving
from pocketgan.search.published import make_space
from pocketgan.search.result import Candidate, SearchResult
from pocketgan.search.strategies import NSGA2, BruteForce, Random
from pocketgan.search.study import search
from pocketgan.utils.progress import Reporter

SMALL = Evolution(population=20)


def go(place: Any, **changes: Any) -> SearchResult:
    settings = {"cost": COST, "budget": BUDGET, "storage": place, "strategy": SMALL, "candidates": 60, **changes}
    space, fitness = settings.pop("space", SPACE), settings.pop("fitness", distance)
    return search(space, fitness, **settings)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """Sixty candidates of seed 0."""
    return go(tmp_path_factory.mktemp("search") / "journal.log")


def test_the_search_finds_the_optimum_within_the_budget(tmp_path: Path) -> None:
    """Of 5.8 million configurations, in 400 candidates."""
    result = go(tmp_path / "journal.log", strategy=Evolution(population=25), candidates=400)
    assert max(c.cost.macs_paper for c in result.candidates) <= BUDGET.limit
    assert len({c.configuration for c in result.candidates}) == 400
    assert result.best.configuration == SPACE.format(WANTED)
    assert result.best.scores == (0.0,)


def test_a_result_says_all_about_its_candidates(found: SearchResult) -> None:
    for number, candidate in enumerate(found.candidates):
        assert (candidate.number, candidate.generation) == (number, number // 20)
        assert candidate.widths == SPACE.widths(SPACE.parse(candidate.configuration))
        assert candidate.cost == COST(candidate.widths)
        assert candidate.scores == (distance(candidate.widths),)
    assert found.best.scores == min(c.scores for c in found.candidates)
    macs = [c.cost.macs for c in found.front]
    scores = [c.scores[0] for c in found.front]
    assert macs == sorted(macs)
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == found.best.scores[0]


def test_the_last_generation_counts(tmp_path: Path) -> None:
    """The published code forgets the last children: here the very last candidate may be the best."""
    seen: list[int] = []

    def falling(widths: Mapping[str, int]) -> float:
        seen.append(1)
        return -float(len(seen))

    assert go(tmp_path / "journal.log", fitness=falling).best.number == 59


def test_the_same_call_again_scores_nothing_and_more_candidates_go_on(tmp_path: Path, found: SearchResult) -> None:
    calls: list[int] = []

    def counted(widths: Mapping[str, int]) -> float:
        calls.append(1)
        return distance(widths)

    part = go(tmp_path / "journal.log", candidates=33, fitness=counted)
    assert part.candidates == found.candidates[:33]
    assert go(tmp_path / "journal.log", candidates=33, fitness=counted) == part
    assert len(calls) == 33
    assert go(tmp_path / "journal.log", fitness=counted) == found
    assert len(calls) == 60


def test_another_seed_is_another_search(tmp_path: Path, found: SearchResult) -> None:
    assert go(tmp_path / "journal.log", seed=1).candidates != found.candidates


def test_a_database_keeps_the_same_search(tmp_path: Path, found: SearchResult) -> None:
    place = f"sqlite:///{tmp_path}/search.db"
    assert go(place, candidates=8).candidates == found.candidates[:8]
    assert go(place, candidates=22).candidates == found.candidates[:22]


def test_an_unfinished_line_is_cut_off(tmp_path: Path, found: SearchResult) -> None:
    """What a worker leaves that is killed, or whose disk is full, in the middle of a write."""
    journal = tmp_path / "journal.log"
    go(journal, candidates=30)
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker_id":"half')
    assert go(journal) == found
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_fitness_that_fails_gives_its_candidate_back(tmp_path: Path, found: SearchResult) -> None:
    calls: list[int] = []

    def fragile(widths: Mapping[str, int]) -> float:
        calls.append(1)
        if len(calls) == 10:
            raise RuntimeError("out of memory")
        return distance(widths)

    with pytest.raises(RuntimeError, match="out of memory"):
        go(tmp_path / "journal.log", fitness=fragile, lease=1e6)
    assert go(tmp_path / "journal.log", fitness=fragile, lease=1e6) == found
    assert len(calls) == 61


def test_what_is_no_number_is_the_worst(tmp_path: Path) -> None:
    for up, worst in ((False, math.inf), (True, -math.inf)):
        result = go(
            tmp_path / f"{up}.log",
            fitness=lambda widths: math.nan if widths["stem"] > 30 else widths["stem"],
            maximize=up,
            candidates=25,
        )
        assert {c.scores[0] for c in result.candidates if c.widths["stem"] > 30} == {worst}
        assert result.best.widths["stem"] == (24 if up else 16)


def test_several_scores_have_a_front(tmp_path: Path) -> None:
    result = go(
        tmp_path / "journal.log",
        fitness=lambda widths: -distance(widths),
        against=[lambda widths: COST(widths).macs / 1e9],
        strategy=NSGA2(20),
        maximize=(True, False),
    )
    front = {c.number for c in result.front}
    for c in result.candidates:
        beaten = any(
            o.scores[0] >= c.scores[0] and o.scores[1] <= c.scores[1] and o.scores != c.scores for o in result.candidates
        )
        assert (c.number in front) is not beaten


def test_a_small_space_ends_the_search_early(tmp_path: Path) -> None:
    space = make_space("stem=16,32,64", NETWORK)
    result = go(tmp_path / "journal.log", space=space, fitness=lambda w: w["stem"], budget=None, strategy=BruteForce())
    assert [c.configuration for c in result.candidates] == ["64", "32", "16"]
    assert go(tmp_path / "journal.log", space=space, fitness=lambda w: 0.0, budget=None, strategy=BruteForce()) == result


def test_candidates_are_written_as_lines(tmp_path: Path, found: SearchResult) -> None:
    found.write(tmp_path / "candidates.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "candidates.jsonl").read_text().splitlines()]
    assert [row["configuration"] for row in rows] == [c.configuration for c in found.candidates]
    assert rows[7]["scores"] == list(found.candidates[7].scores)
    assert rows[7]["cost"]["macs"] == found.candidates[7].cost.macs
    assert set(rows[7]) == {"number", "generation", "configuration", "widths", "cost", "scores", "images"}


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []

    class Listener(Reporter):
        def task(self, name: str, total: int, done: int = 0) -> Any:
            from contextlib import nullcontext

            assert (name, total, done) == ("search", 12, 0)
            return nullcontext(lambda done, values: told.append((done, values["best"])))

    result = go(tmp_path / "journal.log", candidates=12, reporter=Listener())
    assert [done for done, _ in told] == list(range(13))
    assert told[-1][1] == result.best.scores[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, r"'search' was begun with seed 0, not 1"),
        ({"strategy": Random()}, r"was begun with strategy \['Evolution'"),
        ({"space": make_space("channels-48", NETWORK)}, r"was begun with space"),
        ({"halving": Halving(0.5), "fitness": Imaged()}, r"was begun with rungs \[1\], not \[8, 16\]"),
        ({"maximize": (True, False)}, r"maximize has 2 flags for 1 scores"),
    ],
)
def test_a_call_that_does_not_fit_is_told(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    go(tmp_path / "journal.log", candidates=2)
    with pytest.raises(ValueError, match=said):
        go(tmp_path / "journal.log", **changes)


def test_a_file_that_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("remember the milk\n")
    with pytest.raises(ValueError, match="is no journal of a search"):
        go(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "remember the milk\n"


def test_a_full_disk_is_told_and_what_is_scored_is_kept(tmp_path: Path, found: SearchResult) -> None:
    """A limit on the size of files stands in for the disk; the last line may be cut in the middle."""
    journal = tmp_path / "journal.log"
    go(journal, candidates=10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 4000, before[1]))
    try:
        with pytest.raises(ValueError, match=r"cannot write .*journal.log: File too large; what is scored is kept"):
            go(journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert go(journal) == found


def made(*points: tuple[float, int]) -> SearchResult:
    found = [Candidate(n, 0, str(n), {}, Cost(0, macs, 0), (score,), 1) for n, (score, macs) in enumerate(points)]
    return SearchResult(tuple(found), (False,))


def test_a_round_is_told_in_a_line() -> None:
    """The best, and the ends of the front: what is beaten in both is not on it, nor what has no score."""
    many = made((0.5, 1000), (0.25, 4000), (0.375, 2000), (0.5, 3000), (math.inf, 10))
    assert many.summary() == "5 candidates: best 0.25 at 4,000 MACs, 1; 3 on the front, 0.5 at 1,000 to 0.25 at 4,000"
    assert made((0.5, 7)).summary() == "1 candidates: best 0.5 at 7 MACs, 0; 1 on the front, 0.5 at 7"
    assert made((math.inf, 7)).summary() == "1 candidates: best inf at 7 MACs, 0; 0 on the front"


def test_every_round_is_told_once(tmp_path: Path) -> None:
    """What is gone on with is told from where it stands."""

    class Heard(Reporter):
        def __init__(self) -> None:
            self.counts: list[int] = []

        def say(self, text: str) -> None:
            self.counts.append(int(text.split()[0]))

    for candidates, counts in ((25, [10, 20, 25]), (30, [20, 30])):
        heard = Heard()
        go(tmp_path / "journal.log", strategy=Evolution(population=10), candidates=candidates, reporter=heard)
        assert heard.counts == counts
