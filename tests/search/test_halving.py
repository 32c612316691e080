"""Successive halving: what it spends, what it compares, and how close its ranking is to the full one."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import spearmanr

from pocketgan.search.halving import halve, mean, rungs

IMAGES = 320


def made_scores(seed: int, *, candidates: int, interaction: float) -> np.ndarray:
    """Scores of candidates x images: quality times the image's difficulty times what only this pair has.

    Qualities spread by 20 % about their mean, difficulties by 40 %, pairs by ``interaction``: distances to the teacher's
    pictures behave so, because all candidates are shown the same images.
    """
    rng = np.random.default_rng(seed)
    quality = np.exp(0.2 * rng.standard_normal((candidates, 1)))
    difficulty = np.exp(0.4 * rng.standard_normal((1, IMAGES)))
    return np.asarray(quality * difficulty * np.exp(interaction * rng.standard_normal((candidates, IMAGES))))


@pytest.mark.parametrize("seed", range(10))
def test_the_ranking_of_all_candidates_is_the_full_one_with_five_times_fewer_images(seed: int) -> None:
    """Spearman over all 64 candidates, the losers too; noise of a single image three quarters of the candidates' spread."""
    scores = made_scores(seed, candidates=64, interaction=0.15)
    ranking = halve([{"g": i} for i in range(64)], lambda widths, images: float(scores[widths["g"], images].mean()), IMAGES)
    place = np.argsort(ranking.order)
    assert spearmanr(place, scores.mean(axis=1)).statistic >= 0.95
    assert 64 * IMAGES / ranking.spent >= 5
    assert ranking.order[0] == scores.mean(axis=1).argmin()


def test_who_is_scored_on_all_images_is_scored_exactly() -> None:
    scores = made_scores(0, candidates=16, interaction=0.5)
    ranking = halve([{"g": i} for i in range(16)], lambda widths, images: float(scores[widths["g"], images].mean()), IMAGES)
    for index, (value, given) in enumerate(zip(ranking.values, ranking.given, strict=True)):
        assert value == pytest.approx(scores[index, :given].mean())
    assert sorted(ranking.given, reverse=True) == [ranking.given[i] for i in ranking.order]
    assert sorted(ranking.order) == list(range(16))


def test_every_image_is_generated_at_most_once_a_candidate() -> None:
    seen: dict[int, list[int]] = {}

    def score(widths: Mapping[str, int], images: slice) -> float:
        seen.setdefault(widths["g"], []).extend(range(images.start, images.stop))
        return float(widths["g"])

    ranking = halve([{"g": i} for i in range(16)], score, 32)
    assert ranking.order == tuple(range(16))
    assert all(images == list(range(given)) for images, given in zip(seen.values(), ranking.given, strict=True))
    assert ranking.given == (32, 16, 8, 8, *[4] * 4, *[2] * 8)
    assert ranking.spent == sum(map(len, seen.values()))


def test_higher_may_be_better_and_what_is_no_number_is_last() -> None:
    values = [0.3, math.nan, 0.9, 0.5]
    ranking = halve([{"g": i} for i in range(4)], lambda widths, images: values[widths["g"]], 8, maximise=True)
    assert ranking.order == (2, 3, 0, 1)


def test_parts_are_combined_by_the_callers_rule() -> None:
    """A statistic that is no mean over images: the parts carry what it is made of."""
    data = np.random.default_rng(0).standard_normal((8, 40)) * np.arange(1, 9)[:, None]
    ranking = halve(
        [{"g": i} for i in range(8)],
        lambda widths, images: data[widths["g"], images],
        40,
        combine=lambda parts: float(np.concatenate([rows for _, rows in parts]).std()),
        first=0.5,
    )
    assert ranking.values[ranking.order[0]] == pytest.approx(data[ranking.order[0]].std())


def test_the_mean_of_parts_is_the_mean_of_all() -> None:
    values = np.random.default_rng(0).random(30)
    parts = [(slice(a, b), float(values[a:b].mean())) for a, b in ((0, 3), (3, 10), (10, 30))]
    assert mean(parts) == pytest.approx(values.mean())


def test_rungs_end_with_all_images() -> None:
    assert rungs(320) == (20, 40, 80, 160, 320)
    assert rungs(7) == (1, 2, 4, 7)
    assert rungs(100, first=0.1, keep=0.25) == (7, 25, 100)
    assert rungs(5, first=1) == (5,)
    with pytest.raises(ValueError, match="keep=1"):
        rungs(10, keep=1)


def test_no_candidates_are_no_ranking() -> None:
    assert halve([], lambda widths, images: 0.0, 8).order == ()
