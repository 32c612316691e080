"""Proposals of the strategies: allowed, new, reproducible, and better than chance."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import optuna
import pytest
from landscape import BUDGET, COST, NETWORK, SPACE, distance
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from pocketgan.pruning.budget import parse_budget
from pocketgan.search.published import make_space
from pocketgan.search.samplers import ConfigurationSampler, SpaceExhausted, Strategy, distributions
from pocketgan.search.space import BudgetedSpace, Configuration
from pocketgan.search.strategies import (
    NSGA2,
    STRATEGIES,
    BruteForce,
    Evolution,
    Random,
    best_trials,
    children,
    mutants,
    weights,
)

optuna.logging.set_verbosity(optuna.logging.WARNING)
ALLOWED = BudgetedSpace(SPACE, COST, BUDGET)
GENES: dict[str, CategoricalDistribution] = distributions(SPACE)
SMALL = Evolution(population=20)


def run(
    strategy: Strategy, trials: int, *, seed: int = 0, allowed: BudgetedSpace = ALLOWED
) -> list[tuple[Configuration, float]]:
    """Optuna study with one of our samplers: (configuration, score) of every trial."""
    study = optuna.create_study(sampler=strategy.sampler(ALLOWED, seed))
    for _ in range(trials):
        trial = study.ask(dict(GENES))
        study.tell(trial, distance(SPACE.widths(tuple(trial.params.values()))))
    return [(tuple(t.params[name] for name in SPACE.names), t.values[0]) for t in study.trials]


@pytest.mark.parametrize(
    ("choices", "weight", "weighting", "published"),
    [
        (5, 2, "arithmetic", [0.13, 0.17, 0.20, 0.23, 0.27]),
        (5, 2, "geometric", [0.03, 0.06, 0.13, 0.26, 0.52]),
        (5, 3, "geometric", [0.01, 0.03, 0.08, 0.22, 0.67]),
        (5, 1, "arithmetic", [0.2] * 5),
        (1, 2, "arithmetic", [1.0]),
    ],
)
def test_weights_of_the_first_generation(choices: int, weight: float, weighting: Any, published: list[float]) -> None:
    probabilities = weights(choices, weight, weighting)
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities == pytest.approx(published, abs=0.006)  # measured on draws of the published code


def test_a_weighted_first_generation_is_narrower() -> None:
    means = {}
    for weight in (1.0, 4.0):
        first = run(replace(SMALL, weight=weight, weighting="geometric"), 20)
        means[weight] = np.mean([configuration for configuration, _ in first])
    assert means[4.0] < means[1.0] - 4


def test_mutants_redraw_each_gene_with_the_probability() -> None:
    parent = np.array([SPACE.largest])
    table = mutants(SPACE, parent, np.random.default_rng(0), 20_000, 0.2)
    changed = (table != parent).mean(axis=0)
    assert changed == pytest.approx(0.2 * 6 / 7, abs=0.015)  # a redrawn gene may keep its value
    assert {number for column in table.T for number in column.tolist()} == set(SPACE.genes[0].choices)


def test_children_take_each_gene_from_either_parent() -> None:
    parents = np.array([SPACE.largest, SPACE.smallest])
    table = children(parents, np.random.default_rng(0), 20_000)
    assert set(np.unique(table)) == {16, 64}
    assert (table == 64).mean(axis=0) == pytest.approx(0.5, abs=0.02)
    assert len({tuple(row) for row in table.tolist()}) == 2**8


@pytest.mark.parametrize("strategy", [SMALL, Random(), NSGA2(20)], ids=repr)
def test_proposals_are_within_the_budget_and_new(strategy: Strategy) -> None:
    proposals = [configuration for configuration, _ in run(strategy, 60)]
    assert len(set(proposals)) == 60
    assert ALLOWED.allows(np.array(proposals)).all()


@pytest.mark.parametrize("strategy", [SMALL, Random(), NSGA2(20)], ids=repr)
def test_a_new_sampler_continues_as_the_old_one(strategy: Strategy) -> None:
    """Trial number n depends on the seed, n and the earlier trials, not on the history of the sampler."""
    uninterrupted = run(strategy, 60, seed=3)
    study = optuna.create_study(sampler=strategy.sampler(ALLOWED, 3))
    for configuration, value in uninterrupted[:47]:
        params = dict(zip(SPACE.names, configuration, strict=True))
        study.add_trial(create_trial(params=params, distributions=dict(GENES), value=value))
    for configuration, value in uninterrupted[47:]:
        trial = study.ask(dict(GENES))
        assert tuple(trial.params[name] for name in SPACE.names) == configuration
        study.tell(trial, value)
    assert run(strategy, 10, seed=4) != uninterrupted[:10]


def test_parents_are_the_best_of_everything_before() -> None:
    scored = run(SMALL, 60)
    study = optuna.create_study()
    for configuration, value in scored:
        params = dict(zip(SPACE.names, configuration, strict=True))
        study.add_trial(create_trial(params=params, distributions=dict(GENES), value=value))
    for generation in (1, 2, 3):
        expected = sorted(scored[: 20 * generation], key=lambda pair: pair[1])
        assert [trial.value for trial in best_trials(study, 20 * generation)] == [value for _, value in expected]


def test_later_generations_come_from_the_parents() -> None:
    """Without mutants every gene of every child is one of a parent's."""
    plan = Evolution(population=20, mutants=0.0)
    scored = run(plan, 40)
    parents = np.array([c for c, _ in sorted(scored[:20], key=lambda pair: pair[1])[:5]])
    assert all(number in parents[:, i] for c, _ in scored[20:] for i, number in enumerate(c))


def test_evolution_beats_chance() -> None:
    best = {type(s).__name__: min(v for _, v in run(s, 200)) for s in (Evolution(population=25), Random())}
    assert best["Evolution"] < 0.5 * best["Random"]


def test_the_share_of_the_large_space_within_a_budget_is_the_published_one() -> None:
    """Estimated from uniform draws; exact shares of smaller spaces: test_space."""
    share = ALLOWED.allows(SPACE.sample(np.random.default_rng(0), 200_000)).mean()
    assert 100 * share == pytest.approx(13.1, abs=0.3)  # four standard errors


def test_brute_force_takes_the_costliest_first_and_each_once() -> None:
    allowed = BudgetedSpace(make_space("stem=16..64:16 up2=16..64:16", NETWORK), COST, parse_budget("18Gpaper", COST()))
    everything = allowed.space.rows(allowed.indices)
    assert 4 < len(everything) < 16
    sampler = BruteForce().sampler(allowed, 0)
    proposals = all_proposals(sampler, allowed)
    costs = allowed.space.costs(np.array(proposals), COST)[:, 2]
    assert (np.diff(costs) <= 0).all()
    assert sorted(proposals) == sorted(map(tuple, everything.tolist()))
    assert all_proposals(BruteForce("index").sampler(allowed, 0), allowed) == [tuple(row) for row in everything.tolist()]


@pytest.mark.parametrize("strategy", [Evolution(population=4), Random(), NSGA2(4)], ids=repr)
def test_a_small_space_is_searched_to_its_end(strategy: Strategy) -> None:
    allowed = BudgetedSpace(make_space("stem=16..64:16 up2=16..64:16", NETWORK), COST, parse_budget("18Gpaper", COST()))
    assert sorted(all_proposals(strategy.sampler(allowed, 0), allowed)) == sorted(
        map(tuple, allowed.space.rows(allowed.indices).tolist())
    )


def all_proposals(sampler: ConfigurationSampler, allowed: BudgetedSpace) -> list[Configuration]:
    """Proposals of the sampler until it has nothing left."""
    study = optuna.create_study(sampler=sampler)

    def ask() -> Configuration | None:
        try:
            trial = study.ask(dict(distributions(allowed.space)))
        except SpaceExhausted:
            return None
        study.tell(trial, float(sum(trial.params.values())))
        return tuple(trial.params[name] for name in allowed.space.names)

    return list(islice(iter(ask, None), 100))  # type: ignore[arg-type]


def test_nsga2_spreads_along_the_front() -> None:
    """Compared with random draws: the area covered by quality against MACs."""

    def cover(strategy: Strategy) -> float:
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=strategy.sampler(ALLOWED, 0))
        for _ in range(120):
            trial = study.ask(dict(GENES))
            widths = SPACE.widths(tuple(trial.params.values()))
            study.tell(trial, (distance(widths), COST(widths).macs / 1e9))
        front = sorted((t.values[1], t.values[0]) for t in study.best_trials)
        edges = [*(macs for macs, _ in front), 5.0]
        return sum((b - a) * max(0.0, 60 - score) for (a, score), b in zip(front, edges[1:], strict=True))

    assert cover(NSGA2(20)) > 1.05 * cover(Random())


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Evolution(population=1), "at least 2"),
        (lambda: NSGA2(1), "at least 2"),
        (lambda: Evolution(mutation=1.5), r"mutation=1.5: a part of the whole"),
        (lambda: Evolution(weight=0), "above 0"),
        (lambda: Evolution(weight=math.nan), "above 0"),
        (lambda: weights(1000, 10.0, "geometric"), "weight=10.0 makes the choices of a gene incomparable"),
        (lambda: STRATEGIES["evolusion"], "Did you mean 'evolution'"),
    ],
)
def test_wrong_strategies_are_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


def test_evolution_needs_one_score() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=Evolution(population=2).sampler(ALLOWED, 0))
    for _ in range(2):
        study.tell(study.ask(dict(GENES)), (1.0, 2.0))
    with pytest.raises(ValueError, match="strategy NSGA2"):
        study.ask(dict(GENES))
    assert study.trials[-1].state == TrialState.RUNNING
