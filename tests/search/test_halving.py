"""Successive halving: what it spends, what it compares, and how close its scores are to those on everything."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from landscape import BUDGET, COST, NETWORK, SPACE, Imaged, distance
from optuna.storages import InMemoryStorage
from scipy.stats import spearmanr

from pocketgan.metrics.pareto import pareto_front
from pocketgan.search import scoring
from pocketgan.search.evolution import Evolution
from pocketgan.search.halving import Halving, HalvingBracket, crowding, ranked
from pocketgan.search.published import make_space
from pocketgan.search.result import SearchResult
from pocketgan.search.scoring import ByImages, Plain
from pocketgan.search.strategies import NSGA2, BruteForce, Random
from pocketgan.search.study import search

IMAGES = 320
ROW = make_space("stem=1..64:1", NETWORK)
"""A row of 64 candidates: number n has a stem of 64 - n."""


class ModelInputs:
    """A table of scores, candidates x images, of which a candidate gets the mean."""

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


def halved(fitness: ModelInputs, **changes: Any) -> SearchResult:
    """All candidates of the table in one round."""
    changes = {"halving": Halving(), "candidates": len(fitness.table), "storage": InMemoryStorage()} | changes
    return search(ROW, fitness, cost=COST, strategy=BruteForce("index"), **changes)


def made_scores(seed: int, *, candidates: int, interaction: float) -> np.ndarray:
    """Scores of candidates x images: quality times the image's difficulty times what only this pair has.

    Qualities spread by 20 % about their mean, difficulties by 40 %, pairs by ``interaction``: distances to the teacher's
    images behave so, because all candidates are shown the same images.
    """
    rng = np.random.default_rng(seed)
    quality = np.exp(0.2 * rng.standard_normal((candidates, 1)))
    difficulty = np.exp(0.4 * rng.standard_normal((1, IMAGES)))
    return np.asarray(quality * difficulty * np.exp(interaction * rng.standard_normal((candidates, IMAGES))))


@pytest.mark.parametrize("seed", range(10))
def test_the_scores_of_all_candidates_rank_as_the_full_ones_with_five_times_fewer_images(seed: int) -> None:
    """Spearman over all 64 candidates, the stopped ones too; noise of a single image three quarters of their spread."""
    fitness = ModelInputs(made_scores(seed, candidates=64, interaction=0.15))
    full = fitness.table.mean(axis=1)
    result = halved(fitness)
    assert spearmanr([c.scores[0] for c in result.candidates], full).statistic >= 0.95
    assert 64 * IMAGES / sum(map(len, fitness.seen.values())) >= 5
    assert result.best.number == full.argmin()


def test_where_an_image_is_as_hard_for_all_the_estimates_are_the_full_scores() -> None:
    """The law of the control variate: quality + difficulty is estimated exactly, however hard the first images are."""
    rng = np.random.default_rng(0)
    table = rng.random((16, 1)) + 10 * rng.random((1, IMAGES))
    result = halved(ModelInputs(table))
    assert len(result.whole) < 16
    assert [c.scores[0] for c in result.candidates] == pytest.approx(table.mean(axis=1))


def test_who_is_scored_on_all_images_is_scored_exactly_and_only_they_can_be_best() -> None:
    table = made_scores(0, candidates=16, interaction=0.5)
    result = halved(ModelInputs(table))
    assert [c.number for c in result.whole] == [c.number for c in result.candidates if c.images == IMAGES]
    for c in result.whole:
        assert c.scores == (pytest.approx(table[c.number].mean()),)
    assert result.best in result.whole
    assert all(c in result.whole for c in result.front)


def test_every_image_is_generated_at_most_once_a_candidate() -> None:
    fitness = ModelInputs(np.repeat(np.arange(16.0)[:, None], 32, axis=1))
    result = halved(fitness)
    assert all(fitness.seen[c.number] == list(range(c.images)) for c in result.candidates)
    assert [c.images for c in result.candidates] == [32, 16, 8, 8, *[4] * 4, *[2] * 8]


def test_what_is_not_held_is_made_again_to_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    table = made_scores(1, candidates=16, interaction=0.5)
    whole = halved(ModelInputs(table))
    monkeypatch.setattr(scoring, "HELD", 5 * 20)
    fitness = ModelInputs(table)
    assert halved(fitness) == whole
    again = [number for number, images in fitness.seen.items() if len(images) > len(set(images))]
    assert again  # five held of the sixteen: some of the eight that went on were not


def test_higher_may_be_better_and_what_is_no_number_is_last() -> None:
    fitness = ModelInputs(np.repeat(np.array([0.3, math.nan, 0.9, 0.5])[:, None], 8, axis=1))
    result = halved(fitness, maximize=True)
    assert [c.images for c in result.candidates] == [1, 1, 8, 2]
    assert [c.scores[0] for c in result.candidates] == [0.3, -math.inf, 0.9, 0.5]
    assert [c.scores[0] for c in halved(ModelInputs(np.full((4, 8), math.nan))).candidates] == [math.inf] * 4


def test_rows_are_combined_by_the_fitnesss_rule() -> None:
    """A statistic that is no mean over images, and biased in their number."""

    class Spread(ModelInputs):
        def score(self, rows: np.ndarray, without: range = range(0)) -> float:
            return float(rows.std())

    data = np.random.default_rng(0).standard_normal((8, 40)) * np.arange(1, 9)[:, None]
    result = halved(Spread(data), halving=Halving(first=0.5))
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


def test_a_round_by_hand() -> None:
    """Five candidates, three rungs: three go on, then two; the others get what the last two gained on average."""
    scored: dict[tuple[int, int], tuple[float, ...]] = {(n, 0): (float(n),) for n in (5, 6, 7, 8)}
    found = HalvingBracket(range(5, 10), 3, Halving(first=0.25), (False,))
    found.follow(scored)
    assert (found.rung, list(found.waiting), found.over) == (0, [9], False)
    scored[9, 0] = (4.0,)
    found.follow(scored)
    assert (found.rung, found.waiting) == (1, [5, 6, 9])
    scored |= {(5, 1): (7.0,), (6, 1): (6.5,), (9, 1): (6.5,)}
    found.follow(scored)
    assert (found.rung, found.waiting) == (2, [6, 9])
    scored |= {(6, 2): (8.0,), (9, 2): (9.0,)}
    found.follow(scored)
    assert found.over
    assert found.final(scored) == {5: (7.0 + 2.0,), 6: (8.0,), 7: (7.0 + 3.5,), 8: (8.0 + 3.5,), 9: (9.0,)}


def test_of_several_scores_front_after_front_goes_on_and_the_loneliest_first() -> None:
    rng = np.random.default_rng(0)
    scores = [tuple(row) for row in rng.random((60, 2)).tolist()]
    order = ranked(scores, (False, True))
    left = set(range(60))
    while left:
        rest = sorted(left)
        front = {rest[i] for i in pareto_front([scores[i] for i in rest], higher_is_better=(False, True))}
        assert set(order[60 - len(left) :][: len(front)]) == front
        left -= front
    assert ranked([(0.0, 4.0), (1.0, 3.0), (1.5, 2.5), (4.0, 0.0), (math.inf, 0.0)], (False, False)) == [0, 3, 2, 1, 4]
    assert crowding([(0.0, 4.0), (1.0, 3.0), (1.5, 2.5), (4.0, 0.0)]).tolist() == [math.inf, 0.75, 1.5, math.inf]


def settings(**changes: Any) -> dict[str, Any]:
    return {"cost": COST, "budget": BUDGET, "strategy": Evolution(population=20), "halving": Halving(1 / 4)} | changes


def test_one_rung_is_no_halving(tmp_path: Path) -> None:
    """The same search as by a number that knows no images."""
    plain = search(SPACE, distance, storage=tmp_path / "a", candidates=60, **settings())
    whole = search(SPACE, Imaged(noise=0.0, images=1), storage=tmp_path / "b", candidates=60, **settings())
    assert plain.candidates == whole.candidates
    assert isinstance(Plain(distance), ByImages)


@pytest.mark.parametrize("strategy", [Evolution(population=20), Random(), NSGA2(20)], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("stops", [(7, 33), (21,)])
def test_more_candidates_go_on_as_if_it_had_never_stopped(strategy: Any, stops: tuple[int, ...], tmp_path: Path) -> None:
    """Also where a round has grown by them, and other candidates lead than before."""
    against = [lambda widths: float(COST(widths).macs)] if isinstance(strategy, NSGA2) else []
    same = settings(strategy=strategy, against=against)
    whole = search(SPACE, Imaged(), storage=tmp_path / "whole", candidates=50, **same)
    for candidates in stops:
        search(SPACE, Imaged(), storage=tmp_path / "stopped", candidates=candidates, **same)
    assert search(SPACE, Imaged(), storage=tmp_path / "stopped", candidates=50, **same) == whole
    assert {c.images for c in whole.candidates} == {4, 8, 16}


def failing(at: int) -> Callable[[str, range], None]:
    calls: list[str] = []

    def seen(text: str, images: range) -> None:
        calls.append(text)
        if len(calls) == at:
            raise RuntimeError("out of memory")

    return seen


def test_stopped_at_any_moment_it_ends_the_same(tmp_path: Path) -> None:
    """In the middle of each of the three rungs of the first generation, and of the second one."""
    whole = search(SPACE, Imaged(), storage=tmp_path / "whole", candidates=40, **settings())
    for at in (12, 23, 33, 40):
        with pytest.raises(RuntimeError, match="out of memory"):
            search(SPACE, Imaged(seen=failing(at)), storage=tmp_path / f"{at}", candidates=40, **settings())
        assert search(SPACE, Imaged(), storage=tmp_path / f"{at}", candidates=40, **settings()) == whole


def test_what_knows_no_images_is_taken_once_a_candidate(tmp_path: Path) -> None:
    taken: list[str] = []

    def counted(widths: Mapping[str, int]) -> float:
        taken.append(SPACE.format(SPACE.configuration(widths)))
        return float(len(taken))  # another number at every call, as a latency would be

    plan = settings(strategy=NSGA2(20), against=[counted])
    result = search(SPACE, Imaged(), storage=tmp_path / "journal", candidates=40, **plan)
    assert len(taken) == len(set(taken)) == 40
    assert [c.scores[1] for c in result.candidates] == [1.0 + n for n in range(40)]
    assert search(SPACE, Imaged(), storage=tmp_path / "journal", candidates=40, **plan) == result
    assert len(taken) == 40


def test_a_space_that_ends_early_ends_its_round(tmp_path: Path) -> None:
    fitness = ModelInputs(np.repeat(np.arange(64.0)[:, None], 8, axis=1))
    result = halved(fitness, candidates=1000, storage=tmp_path / "journal")
    assert len(result.candidates) == 64
    assert result.best.number == 0
    assert len(result.whole) == 8
