"""Successive halving: images spent, comparisons, and distance of the scores to those on all images."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from landscape import BUDGET, COST, NETWORK, SPACE, NoisyImages, configuration_of, distance
from optuna.storages import InMemoryStorage
from scipy.stats import spearmanr

from pocketgan.metrics.pareto import pareto_front
from pocketgan.search.fitness import ImageFitness, ScalarFitness
from pocketgan.search.halving import Halving, HalvingBracket, crowding, ranked
from pocketgan.search.published import make_space
from pocketgan.search.result import SearchResult
from pocketgan.search.space import Configuration
from pocketgan.search.strategies import NSGA2, BruteForce, Evolution, Random
from pocketgan.search.study import search

IMAGES = 320
STEMS = make_space("stem=1..64:1", NETWORK)
"""64 candidates: number n has a stem of 64 - n."""


class TableFitness:
    """Table of scores, candidates x images; the score of a candidate is the mean of its row."""

    least = 1

    def __init__(self, table: np.ndarray):
        self.table, self.images = table, table.shape[1]
        self.seen: dict[int, list[int]] = {}

    def rows(self, widths: Mapping[str, int], images: range) -> np.ndarray:
        number = 64 - widths["stem"]
        self.seen.setdefault(number, []).extend(images)
        return self.table[number, images.start : images.stop, None]

    def score(self, rows: np.ndarray, without: range = range(0)) -> float:
        return float(rows.mean())


def search_table(fitness: TableFitness, **changes: Any) -> SearchResult:
    """Search with all candidates of the table in one bracket."""
    changes = {"halving": Halving(), "candidates": len(fitness.table), "storage": InMemoryStorage()} | changes
    return search(STEMS, fitness, cost=COST, strategy=BruteForce("index"), **changes)


def made_scores(seed: int, *, candidates: int, interaction: float) -> np.ndarray:
    """Scores of candidates x images: quality times difficulty of the image times a factor of the pair.

    Qualities spread by 20 % about their mean, difficulties by 40 %, pairs by ``interaction``, as distances to the teacher's
    images do, because all candidates get the same inputs.
    """
    rng = np.random.default_rng(seed)
    quality = np.exp(0.2 * rng.standard_normal((candidates, 1)))
    difficulty = np.exp(0.4 * rng.standard_normal((1, IMAGES)))
    return np.asarray(quality * difficulty * np.exp(interaction * rng.standard_normal((candidates, IMAGES))))


@pytest.mark.parametrize("seed", range(4))
def test_scores_rank_as_the_full_ones_with_five_times_fewer_images(seed: int) -> None:
    """Spearman over all 64 candidates, the stopped ones too; noise of a single image three quarters of their spread."""
    fitness = TableFitness(made_scores(seed, candidates=64, interaction=0.15))
    full = fitness.table.mean(axis=1)
    result = search_table(fitness)
    assert spearmanr([c.scores[0] for c in result.candidates], full).statistic >= 0.95
    assert 64 * IMAGES / sum(map(len, fitness.seen.values())) >= 5
    assert result.best.number == full.argmin()


def test_estimates_are_exact_if_an_image_is_as_hard_for_all() -> None:
    """The law of the control variate: quality + difficulty is estimated exactly, however hard the first images are."""
    rng = np.random.default_rng(0)
    table = rng.random((16, 1)) + 10 * rng.random((1, IMAGES))
    result = search_table(TableFitness(table))
    assert len(result.fully_scored) < 16
    assert [c.scores[0] for c in result.candidates] == pytest.approx(table.mean(axis=1))


def test_candidates_on_the_last_rung_have_exact_scores_and_only_they_can_be_best() -> None:
    table = made_scores(0, candidates=16, interaction=0.5)
    result = search_table(TableFitness(table))
    assert [c.number for c in result.fully_scored] == [c.number for c in result.candidates if c.images == IMAGES]
    for c in result.fully_scored:
        assert c.scores == (pytest.approx(table[c.number].mean()),)
    assert result.best in result.fully_scored
    assert all(c in result.fully_scored for c in result.front)


def test_a_candidate_is_run_at_most_once_on_an_image() -> None:
    fitness = TableFitness(np.repeat(np.arange(16.0)[:, None], 32, axis=1))
    result = search_table(fitness)
    assert all(fitness.seen[c.number] == list(range(c.images)) for c in result.candidates)
    assert [c.images for c in result.candidates] == [32, 16, 8, 8, *[4] * 4, *[2] * 8]


def test_rows_that_are_not_cached_are_computed_again_with_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    table = made_scores(1, candidates=16, interaction=0.5)
    expected = search_table(TableFitness(table))
    monkeypatch.setattr("pocketgan.search.fitness.MAX_CACHED_ROWS", 5 * 20)
    fitness = TableFitness(table)
    assert search_table(fitness) == expected
    repeated = [number for number, images in fitness.seen.items() if len(images) > len(set(images))]
    assert repeated  # five of sixteen are cached: some of the eight that continue are not


def test_nan_is_the_worst_score_on_every_rung() -> None:
    fitness = TableFitness(np.repeat(np.array([0.9, math.nan, 0.3, 0.5])[:, None], 8, axis=1))
    result = search_table(fitness)
    assert [c.images for c in result.candidates] == [1, 1, 8, 2]
    assert [c.scores[0] for c in result.candidates] == [0.9, math.inf, 0.3, 0.5]
    assert [c.scores[0] for c in search_table(TableFitness(np.full((4, 8), math.nan))).candidates] == [math.inf] * 4


def test_rows_are_combined_by_the_fitness() -> None:
    """Statistic that is no mean over images, and biased in their number."""

    class Spread(TableFitness):
        def score(self, rows: np.ndarray, without: range = range(0)) -> float:
            return float(rows.std())

    data = np.random.default_rng(0).standard_normal((8, 40)) * np.arange(1, 9)[:, None]
    result = search_table(Spread(data), halving=Halving(first=0.5))
    assert result.best.scores[0] == pytest.approx(data[result.best.number].std())


def test_rungs_end_with_all_images() -> None:
    assert Halving().rungs(320) == (20, 40, 80, 160, 320)
    assert Halving().rungs(7) == (1, 2, 4, 7)
    assert Halving().rungs(64, least=10) == (10, 16, 32, 64)
    assert Halving().rungs(2, least=3) == (2,)
    assert Halving(first=0.1, keep=0.25).rungs(100) == (7, 25, 100)
    assert Halving(first=1).rungs(5) == (5,)
    with pytest.raises(ValueError, match="keep=1"):
        Halving(keep=1)


def test_a_bracket_by_hand() -> None:
    """Five candidates, three rungs: three continue, then two; the others get the mean gain of the last two."""
    scored: dict[tuple[int, int], tuple[float, ...]] = {(n, 0): (float(n),) for n in (5, 6, 7, 8)}
    bracket = HalvingBracket(range(5, 10), 3, Halving(first=0.25))
    bracket.advance(scored)
    assert (bracket.rung, list(bracket.pending), bracket.finished) == (0, [9], False)
    scored[9, 0] = (4.0,)
    bracket.advance(scored)
    assert (bracket.rung, bracket.pending) == (1, [5, 6, 9])
    scored |= {(5, 1): (7.0,), (6, 1): (6.5,), (9, 1): (6.5,)}
    bracket.advance(scored)
    assert (bracket.rung, bracket.pending) == (2, [6, 9])
    scored |= {(6, 2): (8.0,), (9, 2): (9.0,)}
    bracket.advance(scored)
    assert bracket.finished
    assert bracket.final_scores(scored) == {5: (7.0 + 2.0,), 6: (8.0,), 7: (7.0 + 3.5,), 8: (8.0 + 3.5,), 9: (9.0,)}


def test_several_scores_are_ranked_by_front_and_crowding() -> None:
    rng = np.random.default_rng(0)
    scores = [tuple(row) for row in rng.random((60, 2)).tolist()]
    order = ranked(scores)
    left = set(range(60))
    while left:
        rest = sorted(left)
        front = {rest[i] for i in pareto_front([scores[i] for i in rest], higher_is_better=(False, False))}
        assert set(order[60 - len(left) :][: len(front)]) == front
        left -= front
    assert ranked([(0.0, 4.0), (1.0, 3.0), (1.5, 2.5), (4.0, 0.0), (math.inf, 0.0)]) == [0, 3, 2, 1, 4]
    assert crowding([(0.0, 4.0), (1.0, 3.0), (1.5, 2.5), (4.0, 0.0)]).tolist() == [math.inf, 0.75, 1.5, math.inf]


def settings(**changes: Any) -> dict[str, Any]:
    return {"cost": COST, "budget": BUDGET, "strategy": Evolution(population=20), "halving": Halving(1 / 4)} | changes


def test_one_image_is_as_a_score_of_widths(tmp_path: Path) -> None:
    plain = search(SPACE, distance, storage=tmp_path / "a", candidates=40, **settings())
    images = search(SPACE, NoisyImages(noise=0.0, images=1), storage=tmp_path / "b", candidates=40, **settings())
    assert plain.candidates == images.candidates
    assert isinstance(ScalarFitness(distance), ImageFitness)


@pytest.mark.parametrize("strategy", [Evolution(population=20), Random(), NSGA2(20)], ids=lambda one: type(one).__name__)
def test_more_candidates_continue_as_if_never_stopped(strategy: Any, tmp_path: Path) -> None:
    """Also if the bracket grows, and other candidates lead than before."""
    against = [lambda widths: float(COST(widths).macs)] if isinstance(strategy, NSGA2) else []
    same = settings(strategy=strategy, against=against)
    uninterrupted = search(SPACE, NoisyImages(), storage=tmp_path / "whole", candidates=50, **same)
    for candidates in (7, 33):
        search(SPACE, NoisyImages(), storage=tmp_path / "stopped", candidates=candidates, **same)
    assert search(SPACE, NoisyImages(), storage=tmp_path / "stopped", candidates=50, **same) == uninterrupted
    assert {c.images for c in uninterrupted.candidates} == {4, 8, 16}


def failing(at: int) -> Callable[[str, range], None]:
    calls: list[str] = []

    def seen(text: str, images: range) -> None:
        calls.append(text)
        if len(calls) == at:
            raise RuntimeError("out of memory")

    return seen


def test_an_error_on_any_rung_changes_no_result(tmp_path: Path) -> None:
    """In the middle of the second and of the third rung of the first generation; of the first: test_study."""
    uninterrupted = search(SPACE, NoisyImages(), storage=tmp_path / "whole", candidates=40, **settings())
    for at in (23, 33):
        with pytest.raises(RuntimeError, match="out of memory"):
            search(SPACE, NoisyImages(seen=failing(at)), storage=tmp_path / f"{at}", candidates=40, **settings())
        assert search(SPACE, NoisyImages(), storage=tmp_path / f"{at}", candidates=40, **settings()) == uninterrupted


def test_a_score_without_images_is_computed_once_per_candidate(tmp_path: Path) -> None:
    calls: list[Configuration] = []

    def counted(widths: Mapping[str, int]) -> float:
        calls.append(configuration_of(widths))
        return float(len(calls))  # another value at every call, like a latency

    plan = settings(strategy=NSGA2(20), against=[counted])
    result = search(SPACE, NoisyImages(), storage=tmp_path / "journal", candidates=40, **plan)
    assert len(calls) == len(set(calls)) == 40
    assert [c.scores[1] for c in result.candidates] == [1.0 + n for n in range(40)]
    assert search(SPACE, NoisyImages(), storage=tmp_path / "journal", candidates=40, **plan) == result
    assert len(calls) == 40


def test_an_exhausted_space_ends_its_bracket(tmp_path: Path) -> None:
    fitness = TableFitness(np.repeat(np.arange(64.0)[:, None], 8, axis=1))
    result = search_table(fitness, candidates=1000, storage=tmp_path / "journal")
    assert len(result.candidates) == 64
    assert result.best.number == 0
    assert len(result.fully_scored) == 8
