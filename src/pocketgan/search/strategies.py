"""Search strategies: the published evolution (GAN Compression), brute force, random draws, and NSGA-II for several scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pocketgan.search.samplers import BATCHES, Draws, Strategy, distributions, uniform
from pocketgan.search.space import CHUNK, BudgetedSpace, Space, Table
from pocketgan.utils.registry import Registry

STRATEGIES: Registry[type[Strategy]] = Registry("search strategy")

Weighting = Literal["arithmetic", "geometric"]


@STRATEGIES.register("evolution")
@dataclass(frozen=True)
class Evolution(Strategy):
    """Published evolution (``evolution_search.py``) with its published constants.

    The first generation is drawn at random; in the following ones a part mutates random parents, the rest crosses two. Parents
    are the best candidates of all earlier generations, as if they stayed in the population. Differences from the published
    code: the last generation counts like any other, and a child that was scored before is drawn again instead of entering the
    population twice. Where crossover finds nothing new, the child mutates.
    """

    population: int = 100
    """Candidates of a generation."""
    parents: float = 0.25
    """Best part of a population, which become parents."""
    mutants: float = 0.5
    """Part of a generation that mutates; the rest crosses."""
    mutation: float = 0.2
    """Probability that a mutant redraws a gene (published scripts: 0.2 to 0.4)."""
    weight: float = 1.0
    """Probability of the smallest choice over that of the largest in the first generation (``geometric``: of each choice over
    the next larger one)."""
    weighting: Weighting = "arithmetic"

    def __post_init__(self) -> None:
        _check_population(self.population)
        for name in ("parents", "mutants", "mutation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: a part of the whole, from 0 to 1")
        if not 0 < self.weight < math.inf:
            raise ValueError(f"weight={self.weight}: above 0; 1 draws uniformly, 2 favors narrow networks")

    def draws(self, allowed: BudgetedSpace) -> Draws:
        space = allowed.space
        first = {gene.name: weights(len(gene.choices), self.weight, self.weighting) for gene in space.genes}
        known: dict[int, Table] = {}  # parents, by generation

        def drawn(study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Iterator[Table]:
            generation, index = divmod(trial.number, self.population)
            if generation == 0:
                for count in BATCHES:
                    yield space.weighted(rng, count, first)
                return
            if generation not in known:
                best = best_trials(study, generation * self.population)[: max(1, round(self.parents * self.population))]
                known[generation] = np.array([[trial.params[name] for name in space.names] for trial in best], np.int64)
            if index >= round(self.mutants * self.population):
                yield children(known[generation], rng, BATCHES[0])
            for count in BATCHES:
                yield mutants(space, known[generation], rng, count, self.mutation)

        return drawn


def best_trials(study: Study, count: int) -> list[FrozenTrial]:
    """Finished ones of the first ``count`` trials, the best first: of equal ones the earlier."""
    if len(study.directions) > 1:
        raise ValueError("evolution ranks by one score; for several, search with strategy NSGA2()")
    trials = [trial for trial in study.get_trials(deepcopy=False)[:count] if trial.state == TrialState.COMPLETE]
    return sorted(trials, key=lambda trial: float(trial.value or 0.0))


def weights(choices: int, weight: float, weighting: Weighting) -> npt.NDArray[np.float64]:
    """Probabilities of the choices of a gene, largest first, in the first generation (published ``weighted_sample``).

    Arithmetic: 1 rising linearly to ``weight``. Geometric: 1, w, w^2, ...
    """
    steps = np.arange(choices)
    with np.errstate(over="ignore", invalid="ignore"):
        raw = weight**steps if weighting == "geometric" else 1 + (weight - 1) * steps / max(choices - 1, 1)
    if not math.isfinite(raw.sum()):
        raise ValueError(f"weight={weight} makes the choices of a gene incomparable: published are 1 to 3")
    return np.asarray(raw / raw.sum(), np.float64)


def mutants(space: Space, parents: Table, rng: np.random.Generator, count: int, probability: float) -> Table:
    """Copies of random parents, in which each gene is redrawn with that probability (and may keep its value)."""
    chosen = parents[rng.integers(len(parents), size=count)]
    return np.asarray(np.where(rng.random(chosen.shape) < probability, space.sample(rng, count), chosen))


def children(parents: Table, rng: np.random.Generator, count: int) -> Table:
    """Crossover of two random parents (possibly the same one): each gene from either with probability 1/2."""
    first, second = parents[rng.integers(len(parents), size=(2, count))]
    return np.asarray(np.where(rng.random(first.shape) < 0.5, first, second))


@STRATEGIES.register("brute-force")
@dataclass(frozen=True)
class BruteForce(Strategy):
    """All configurations within the budget: the most expensive first, or in the order of the enumeration.

    Optuna's own sampler is not used: it walks all trials of the study for each next one.
    """

    order: Literal["largest", "index"] = "largest"

    def draws(self, allowed: BudgetedSpace) -> Draws:
        order = cache(lambda: self.ordered(allowed))
        return lambda study, trial, rng: iter([allowed.space.rows(order()[trial.number : trial.number + 1])])

    def ordered(self, allowed: BudgetedSpace) -> npt.NDArray[np.int64]:
        """Indices of the allowed configurations in the order of the trials."""
        indices, space = allowed.indices, allowed.space
        if self.order == "index":
            return indices
        parts = np.array_split(indices, 1 + len(indices) // CHUNK)
        costs = np.concatenate([space.costs(space.rows(part), allowed.cost)[:, allowed.column] for part in parts])
        return indices[np.argsort(-costs, kind="stable")]


@STRATEGIES.register("random")
@dataclass(frozen=True)
class Random(Strategy):
    """Uniform draws within the budget, the baseline of all other strategies."""

    def draws(self, allowed: BudgetedSpace) -> Draws:
        return lambda study, trial, rng: uniform(allowed, rng)


@STRATEGIES.register("nsga2")
@dataclass(frozen=True)
class NSGA2(Strategy):
    """Optuna's NSGA-II (Deb et al. 2002) for several scores, such as quality against MACs or against latency.

    Proposals outside the budget are rejected, as in the evolution, so they take no place in a population.
    """

    population: int = 50
    """Candidates of a generation."""

    def __post_init__(self) -> None:
        _check_population(self.population)

    def draws(self, allowed: BudgetedSpace) -> Draws:
        space, names, parents = allowed.space, allowed.space.names, dict[int, list[FrozenTrial]]()
        genes: dict[str, BaseDistribution] = dict(distributions(space))

        def drawn(study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Iterator[Table]:
            if trial.number < self.population:
                yield from uniform(allowed, rng)
                return
            variation = _Variation(self.population, parents, int(rng.integers(2**32)))
            for count in (4, 16, 64, 256):
                children = [variation.sample_relative(study, trial, genes) for _ in range(count)]
                rows = space.sample(rng, count).tolist()  # for the genes that NSGA-II leaves undecided
                complete = [dict(zip(names, row, strict=True)) | child for row, child in zip(rows, children, strict=True)]
                yield np.array([list(configuration.values()) for configuration in complete], np.int64)

        return drawn


class _Variation(NSGAIISampler):
    """Optuna's selection, crossover and mutation, with generations by trial number.

    Optuna's own rule counts finished trials, so the generation of a trial would depend on the number of workers.
    """

    def __init__(self, population: int, parents: dict[int, list[FrozenTrial]], seed: int):
        """``parents`` of the generations that are known, filled by later ones."""
        super().__init__(population_size=population, seed=seed)
        self._population, self._parents = population, parents

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        return trial.number // self._population

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        first = generation * self._population
        trials = study.get_trials(deepcopy=False)[first : first + self._population]
        return [trial for trial in trials if trial.state == TrialState.COMPLETE]

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        for missing in range(len(self._parents) + 1, generation + 1):
            self._parents[missing] = self.select_parent(study, missing)
        return self._parents[generation] if generation else []


def _check_population(population: int) -> None:
    if population < 2:
        raise ValueError(f"population={population}: a generation has at least 2 candidates")
