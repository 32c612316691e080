"""Base classes of the search strategies: Optuna samplers that propose whole configurations, allowed and new."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pocketgan.search.space import BudgetedSpace, Configuration, Space, Table

BATCHES = (256, 1024, 4096)
"""Numbers of draws that are costed together, one batch after the other: one draw takes as long as some hundreds."""


Draws = Callable[[Study, FrozenTrial, np.random.Generator], Iterator[Table]]
"""Batches of draws for a trial; the first allowed and new configuration becomes the proposal."""


class SpaceExhausted(Exception):
    """All configurations within the budget have been proposed."""


class Strategy(ABC):
    """Search strategy. Subclasses are frozen dataclasses: a stored search records their fields."""

    @property
    def generation(self) -> int | None:
        """Number of candidates that do not depend on each other's scores: the ``population``; None for all candidates."""
        return getattr(self, "population", None)

    @abstractmethod
    def draws(self, allowed: BudgetedSpace) -> Draws:
        """Function that draws configurations for the trials of one study."""

    def sampler(self, allowed: BudgetedSpace, seed: int) -> ConfigurationSampler:
        """Optuna sampler that proposes the candidates of one study."""
        return ConfigurationSampler(self.draws(allowed), allowed, seed)


class ConfigurationSampler(BaseSampler):
    """Sampler of configurations within the budget that no earlier trial of the study has.

    All randomness derives from (seed, trial number): a trial is the same in an interrupted, resumed or shared search. The cost
    of a draw is a polynomial, so rejecting draws is cheap. Raises `SpaceExhausted` when nothing is left.
    """

    def __init__(self, draws: Draws, allowed: BudgetedSpace, seed: int):
        self.draws, self.allowed, self.seed = draws, allowed, seed
        self._seen: set[Configuration] = set()
        self._read = 0

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(distributions(self.allowed.space))

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        names = self.allowed.space.names
        earlier = study.get_trials(deepcopy=False)[self._read : trial.number]
        self._seen.update(tuple(t.params[name] for name in names) for t in earlier if len(t.params) == len(names))
        self._read = max(self._read, trial.number)
        rng = np.random.default_rng([self.seed, trial.number])
        configuration = self._first_new(self.draws(study, trial, rng)) or self._first_new(self._remaining(rng))
        if configuration is None:
            raise SpaceExhausted
        self._seen.add(configuration)
        return dict(zip(names, configuration, strict=True))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ValueError(f"'{param_name}' is no gene of the space: {', '.join(self.allowed.space.names)}")

    def _first_new(self, batches: Iterator[Table]) -> Configuration | None:
        for table in batches:
            distinct = dict.fromkeys(map(tuple, table.tolist()))
            new = np.array([row for row in distinct if row not in self._seen], np.int64)
            allowed = new[self.allowed.allows(new)] if len(new) else new
            if len(allowed):
                return tuple(allowed[0].tolist())
        return None

    def _remaining(self, rng: np.random.Generator) -> Iterator[Table]:
        """All allowed configurations, in random order."""
        indices = self.allowed.indices
        if len(indices) > len(self._seen):
            yield self.allowed.space.rows(rng.permutation(indices))


def distributions(space: Space) -> dict[str, CategoricalDistribution]:
    """Genes as Optuna distributions."""
    return {gene.name: CategoricalDistribution(gene.choices) for gene in space.genes}


def uniform(allowed: BudgetedSpace, rng: np.random.Generator) -> Iterator[Table]:
    """Batches of uniform draws."""
    for count in BATCHES:
        yield allowed.space.sample(rng, count)
