"""The other strategies: everything in order, at random, and NSGA-II for several scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pocketgan.core.registry import Registry
from pocketgan.search.evolution import Evolution
from pocketgan.search.proposals import ByTrialNumber, Proposer, Strategy, distributions, uniform
from pocketgan.search.space import BudgetedSpace, Table


@dataclass(frozen=True)
class BruteForce:
    """Everything that the budget allows, one after the other: the costliest first, or as enumerated.

    Our own enumeration: the library's sampler walks all trials of the study for each next one.
    """

    order: Literal["largest", "index"] = "largest"

    @property
    def generation(self) -> None:
        """Candidates do not depend on scores."""

    def sampler(self, within: BudgetedSpace, seed: int) -> BruteForceSampler:
        """The Optuna sampler."""
        return BruteForceSampler(self, within, seed)


class BruteForceSampler(Proposer):
    """Trial number n is the n-th configuration."""

    def __init__(self, plan: BruteForce, within: BudgetedSpace, seed: int):
        super().__init__(within, seed)
        self.plan = plan

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """Indices of the allowed configurations, in the order in which they are tried."""
        indices = self.within.indices
        if self.plan.order == "index":
            return indices
        costs = [self.within.space.costs(self.within.space.rows(part), self.within.cost) for part in _parts(indices)]
        return indices[np.argsort(-np.concatenate(costs)[:, self.within.column], kind="stable")]

    def draws(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Iterator[Table]:
        """The one whose turn it is."""
        yield self.within.space.rows(self.order[trial.number : trial.number + 1])


def _parts(indices: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return np.array_split(indices, 1 + len(indices) // (1 << 18))


@dataclass(frozen=True)
class Random:
    """Uniform draws within the budget: what every other strategy has to beat."""

    @property
    def generation(self) -> None:
        """Candidates do not depend on scores."""

    def sampler(self, within: BudgetedSpace, seed: int) -> RandomSampler:
        """The Optuna sampler."""
        return RandomSampler(within, seed)


class RandomSampler(Proposer):
    """Uniform, within the budget, never twice."""

    def draws(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Iterator[Table]:
        """Uniform batches."""
        return uniform(self.within, rng)


@dataclass(frozen=True)
class NSGA2:
    """Optuna's NSGA-II (Deb et al. 2002) for several scores, such as quality against MACs or against latency.

    The budget is kept by rejection, as in the evolution, so that nothing outside it takes a place in a population.
    """

    population: int = 50
    """Candidates of a generation."""

    def __post_init__(self) -> None:
        if self.population < 2:
            raise ValueError(f"population={self.population}: a generation has at least 2 candidates")

    @property
    def generation(self) -> int:
        """The population."""
        return self.population

    def sampler(self, within: BudgetedSpace, seed: int) -> NSGA2Sampler:
        """The Optuna sampler."""
        return NSGA2Sampler(self, within, seed)


class _Variation(ByTrialNumber, NSGAIISampler):
    """Optuna's selection, crossover and choice of what to mutate."""

    def __init__(self, population: int, parents: dict[int, list[FrozenTrial]], seed: int):
        NSGAIISampler.__init__(self, population_size=population, seed=seed)
        self._parents = parents


class NSGA2Sampler(Proposer):
    """Asks a freshly seeded `NSGAIISampler` until it proposes something allowed and new."""

    BATCHES = (4, 16, 64, 256)

    def __init__(self, plan: NSGA2, within: BudgetedSpace, seed: int):
        super().__init__(within, seed)
        self.plan = plan
        self._parents: dict[int, list[FrozenTrial]] = {}

    def draws(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Iterator[Table]:
        """Uniform first, then what NSGA-II makes of the parents."""
        if trial.number < self.plan.population:
            yield from uniform(self.within, rng)
            return
        variation = _Variation(self.plan.population, self._parents, int(rng.integers(2**32)))
        genes: dict[str, BaseDistribution] = dict(distributions(self.within.space))
        for count in self.BATCHES:
            yield self._filled([variation.sample_relative(study, trial, genes) for _ in range(count)], rng)

    def _filled(self, children: list[dict[str, int]], rng: np.random.Generator) -> Table:
        """The children as a table; numbers that NSGA-II leaves to chance are drawn uniformly."""
        drawn = self.within.space.sample(rng, len(children)).tolist()
        names = self.within.space.names
        complete = [dict(zip(names, row, strict=True)) | child for row, child in zip(drawn, children, strict=True)]
        return np.array([[child[name] for name in names] for child in complete], np.int64)


STRATEGIES: Registry[type[Strategy]] = Registry("search strategy")
for _name, _strategy in (("evolution", Evolution), ("brute-force", BruteForce), ("random", Random), ("nsga2", NSGA2)):
    STRATEGIES.register(_name)(_strategy)
