"""What all strategies share: an Optuna sampler that proposes whole configurations, allowed and new."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseGASampler, BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pocketgan.search.space import BudgetedSpace, Configuration, Space, Table

BATCHES = (256, 1024, 4096)
"""How many draws are costed at a time, one batch after the other: a cost model takes as long for one as for some hundreds."""


class Exhausted(Exception):
    """Every configuration that the budget allows has been proposed."""


class Strategy(Protocol):
    """How to search. A frozen dataclass: its fields are part of what a stored search is."""

    @property
    def generation(self) -> int | None:
        """How many candidates do not depend on one another's scores; None for all of them."""

    def sampler(self, within: BudgetedSpace, seed: int) -> Proposer:
        """The Optuna sampler that proposes the candidates."""


class Proposer(BaseSampler, ABC):
    """Proposes a configuration that is within the budget and in no earlier trial of the study.

    All that is random comes from (seed, trial number): the same trial of an interrupted, resumed or shared search is drawn
    alike. To cost a draw is to evaluate a polynomial, so rejecting it is free. Raises `Exhausted` when nothing is left.
    """

    def __init__(self, within: BudgetedSpace, seed: int):
        self.within = within
        self.seed = seed
        self._seen: set[Configuration] = set()
        self._read = 0

    @abstractmethod
    def draws(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Iterator[Table]:
        """Batches of draws; the first allowed and new one is taken."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All genes at once."""
        return dict(distributions(self.within.space))

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        """The proposal."""
        self._look(study, trial)
        rng = np.random.default_rng([self.seed, trial.number])
        found = self._first_new(self.draws(study, trial, rng)) or self._first_new(self._rest(rng))
        if found is None:
            raise Exhausted
        self._seen.add(found)
        return dict(zip(self.within.space.names, found, strict=True))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that is no gene: there is none."""
        raise ValueError(f"'{param_name}' is no gene of the space: {', '.join(self.within.space.names)}")

    def _look(self, study: Study, trial: FrozenTrial) -> None:
        """Remember the configurations of the trials before this one."""
        trials = study.get_trials(deepcopy=False)[self._read : trial.number]
        self._read = max(self._read, trial.number)
        names = self.within.space.names
        self._seen.update(tuple(t.params[name] for name in names) for t in trials if len(t.params) == len(names))

    def _first_new(self, batches: Iterator[Table]) -> Configuration | None:
        for table in batches:
            distinct = dict.fromkeys(map(tuple, table.tolist()))
            new = np.array([row for row in distinct if row not in self._seen], np.int64)
            allowed = new[self.within.allows(new)] if len(new) else new
            if len(allowed):
                return tuple(allowed[0].tolist())
        return None

    def _rest(self, rng: np.random.Generator) -> Iterator[Table]:
        """Everything that the budget allows, in random order."""
        indices = self.within.indices
        if len(indices) > len(self._seen):
            yield self.within.space.rows(rng.permutation(indices))


class ByTrialNumber(BaseGASampler, ABC):
    """A genetic algorithm in which a trial's number decides its generation, not who finished when.

    The library counts finished trials, so the generation of a trial would depend on how many workers there are. Parents
    are remembered here: a sampler serves one study.
    """

    def __init__(self, population: int, parents: dict[int, list[FrozenTrial]]):
        super().__init__(population)
        self._parents = parents

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """The generation of the trial."""
        assert self.population_size is not None
        return trial.number // self.population_size

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The scored trials of the generation."""
        assert self.population_size is not None
        first = generation * self.population_size
        trials = study.get_trials(deepcopy=False)[first : first + self.population_size]
        return [trial for trial in trials if trial.state == TrialState.COMPLETE]

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The parents of the generation; none of the first."""
        for missing in range(len(self._parents) + 1, generation + 1):
            self._parents[missing] = self.select_parent(study, missing)
        return self._parents[generation] if generation else []


def distributions(space: Space) -> dict[str, CategoricalDistribution]:
    """The genes as Optuna knows them."""
    return {gene.name: CategoricalDistribution(gene.choices) for gene in space.genes}


def uniform(within: BudgetedSpace, rng: np.random.Generator) -> Iterator[Table]:
    """Batches of uniform draws."""
    for count in BATCHES:
        yield within.space.sample(rng, count)
