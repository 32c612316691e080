"""Jackknife errors against closed forms and repeated draws, and the noise of the best candidates."""

import json
from pathlib import Path

import numpy as np
import pytest
from landscape import BUDGET, COST, SPACE, NoisyImages
from optuna.storages import InMemoryStorage

from pocketgan.metrics.distances import frechet_distance, kernel_distance
from pocketgan.metrics.statistics import Moments
from pocketgan.search.fitness import NO_IMAGES
from pocketgan.search.halving import Halving
from pocketgan.search.result import SearchResult, jackknife_groups, measure_noise, score_without, standard_error
from pocketgan.search.strategies import Random
from pocketgan.search.study import search


class Statistic:
    """Statistic of rows and of the real rows of the same images."""

    def __init__(self, kind: str, reals: np.ndarray):
        self.kind, self.reals, self.images = kind, reals, len(reals)

    def score(self, rows: np.ndarray, without: range = NO_IMAGES) -> float:
        reals = np.delete(self.reals, without, axis=0)
        match self.kind:
            case "mean":
                return float(rows.mean())
            case "frechet":
                return frechet_distance(Moments.of(rows), Moments.of(reals))
        return kernel_distance(rows, reals).value


def jackknife_error(fitness: Statistic, rows: np.ndarray) -> float:
    return standard_error(np.array([score_without(fitness, rows, group) for group in jackknife_groups(len(rows))]))


def test_the_error_of_a_mean_is_the_standard_error() -> None:
    rows = np.random.default_rng(0).random((10, 1))
    assert jackknife_error(Statistic("mean", rows), rows) == pytest.approx(rows.std(ddof=1) / 10**0.5)


@pytest.mark.parametrize("kind", ["mean", "frechet", "kernel"])
def test_the_error_is_the_spread_of_repeated_draws(kind: str) -> None:
    """120 sets of 100 images: the spread of the statistic, and the mean error estimated from a single set."""
    rng = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(120):
        reals, rows = rng.standard_normal((100, 3)), 1.0 + 1.3 * rng.standard_normal((100, 3))
        fitness = Statistic(kind, reals)
        values.append(fitness.score(rows))
        errors.append(jackknife_error(fitness, rows))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)


def test_groups_hold_all_images_once() -> None:
    for images in (1, 7, 10, 64, 303):
        groups = jackknife_groups(images)
        assert [image for group in groups for image in group] == list(range(images))
        assert len(groups) == min(10, images)
        assert max(map(len, groups)) - min(map(len, groups)) <= 1


def search_result(fitness: NoisyImages) -> SearchResult:
    return search(
        *(SPACE, fitness),
        cost=COST,
        budget=BUDGET,
        storage=InMemoryStorage(),
        strategy=Random(),
        candidates=40,
        halving=Halving(1 / 4),
    )


def test_the_difficulty_of_images_makes_no_ties() -> None:
    """Scores are uncertain by the images, differences are not: only noise of single images makes candidates tie."""
    quiet, loud = (
        measure_noise(search_result(fitness), fitness) for fitness in (NoisyImages(40, noise=1e-6), NoisyImages(40, noise=60.0))
    )
    assert quiet is not None
    assert loud is not None
    assert len(quiet.rivals) == len(loud.rivals) == 10
    assert quiet.tied == 1
    assert loud.tied >= 4
    assert (quiet.rivals[0].behind, quiet.rivals[0].behind_error) == (0, 0)
    second = quiet.rivals[1]
    assert second.behind_error < 0.6 * second.error
    assert [rival.score for rival in quiet.rivals] == sorted(rival.score for rival in quiet.rivals)
    assert all(rival.behind == rival.score - quiet.rivals[0].score for rival in quiet.rivals)


def test_noise_is_written_and_formatted(tmp_path: Path) -> None:
    fitness = NoisyImages(40)
    result = search_result(fitness)
    noise = measure_noise(result, fitness)
    assert noise is not None
    noise.write(tmp_path / "search.json")
    stored = json.loads((tmp_path / "search.json").read_text())
    assert (stored["images"], stored["groups"], stored["tied"]) == (40, 10, noise.tied)
    assert stored["rivals"][0]["configuration"] == result.best.configuration
    assert str(noise).startswith(f"search: the best scores {result.best.scores[0]:.4g} ± ")
    assert str(noise).endswith(f" on 40 images; {noise.tied} of the best 10 lie within two standard errors of it")


def test_too_few_images_give_no_noise() -> None:
    one = NoisyImages(1)
    assert measure_noise(search_result(one), one) is None
    two = NoisyImages(2)
    assert measure_noise(search_result(two), two) is not None
    two.least = 2
    assert measure_noise(search_result(two), two) is None
