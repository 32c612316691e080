"""The jackknife against closed forms and against repeated draws, and what it says of the best candidates."""

import json
from pathlib import Path

import numpy as np
import pytest
from landscape import BUDGET, COST, SPACE, Imaged
from optuna.storages import InMemoryStorage

from pocketgan.metrics.frechet import frechet_distance
from pocketgan.metrics.kernel import kernel_distance
from pocketgan.metrics.statistics import Moments
from pocketgan.search.halving import Halving
from pocketgan.search.noise import leave_out, measure_noise, scored_without, standard_error
from pocketgan.search.result import SearchResult
from pocketgan.search.scoring import NONE
from pocketgan.search.strategies import Random
from pocketgan.search.study import search


class OfRows:
    """A statistic of rows and of the real rows of the same images."""

    def __init__(self, kind: str, reals: np.ndarray):
        self.kind, self.reals, self.images = kind, reals, len(reals)

    def score(self, rows: np.ndarray, without: range = NONE) -> float:
        reals = np.delete(self.reals, without, axis=0)
        match self.kind:
            case "mean":
                return float(rows.mean())
            case "frechet":
                return frechet_distance(Moments.of(rows), Moments.of(reals))
        return kernel_distance(rows, reals).value


def errors_of(fitness: OfRows, rows: np.ndarray) -> float:
    return standard_error(np.array([scored_without(fitness, rows, group) for group in leave_out(len(rows))]))


def test_of_a_mean_it_is_the_textbooks_standard_error() -> None:
    rows = np.random.default_rng(0).random((10, 1))
    assert errors_of(OfRows("mean", rows), rows) == pytest.approx(rows.std(ddof=1) / 10**0.5)


@pytest.mark.parametrize("kind", ["mean", "frechet", "kernel"])
def test_it_is_how_far_repeated_draws_spread(kind: str) -> None:
    """120 sets of 100 images: the spread of the statistic, and the error that a single set tells on average."""
    rng = np.random.default_rng(0)
    values, told = [], []
    for _ in range(120):
        reals, rows = rng.standard_normal((100, 3)), 1.0 + 1.3 * rng.standard_normal((100, 3))
        fitness = OfRows(kind, reals)
        values.append(fitness.score(rows))
        told.append(errors_of(fitness, rows))
    assert np.mean(told) == pytest.approx(np.std(values), rel=0.2)


def test_the_groups_are_all_images_once() -> None:
    for images in (1, 7, 10, 64, 303):
        groups = leave_out(images)
        assert [image for group in groups for image in group] == list(range(images))
        assert len(groups) == min(10, images)
        assert max(map(len, groups)) - min(map(len, groups)) <= 1


def found(fitness: Imaged) -> SearchResult:
    return search(
        *(SPACE, fitness),
        cost=COST,
        budget=BUDGET,
        storage=InMemoryStorage(),
        strategy=Random(),
        candidates=40,
        halving=Halving(1 / 4),
    )


def test_difficulty_shared_by_all_blurs_no_rank() -> None:
    """Scores are uncertain by the images, differences are not: only the images' own noise tells candidates apart."""
    quiet, loud = (measure_noise(found(fitness), fitness) for fitness in (Imaged(40, noise=1e-6), Imaged(40, noise=60.0)))
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


def test_it_is_written_and_told(tmp_path: Path) -> None:
    fitness = Imaged(40)
    result = found(fitness)
    noise = measure_noise(result, fitness)
    assert noise is not None
    noise.write(tmp_path / "search.json")
    kept = json.loads((tmp_path / "search.json").read_text())
    assert (kept["images"], kept["groups"], kept["tied"]) == (40, 10, noise.tied)
    assert kept["rivals"][0]["configuration"] == result.best.configuration
    assert str(noise).startswith(f"search: the best scores {result.best.scores[0]:.4g} ± ")
    assert str(noise).endswith(f" on 40 images; {noise.tied} of the best 10 lie within two standard errors of it")


def test_too_few_images_tell_nothing() -> None:
    one = Imaged(1)
    assert measure_noise(found(one), one) is None
    two = Imaged(2)
    assert measure_noise(found(two), two) is not None
    two.least = 2
    assert measure_noise(found(two), two) is None
