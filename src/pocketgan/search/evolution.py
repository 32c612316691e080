"""The published evolution (GAN Compression, ``evolution_search.py``) as a sampler for Optuna."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from pocketgan.search.proposals import BATCHES, ByTrialNumber, Proposer
from pocketgan.search.space import BudgetedSpace, Space, Table

Weighting = Literal["arithmetic", "geometric"]


@dataclass(frozen=True)
class Evolution:
    """The published evolution, with its published numbers.

    A first generation is drawn; of every next one a part mutates random parents, the rest crosses two. The parents are the
    best of everything scored so far, which is what keeping them in the population amounts to. Different from the published
    code: the last generation counts like any other, and a child that was scored before is drawn again instead of standing
    in the population twice. Where crossing yields nothing new any more, the child mutates.
    """

    population: int = 100
    """Candidates of a generation."""
    parents: float = 0.25
    """Part of a population whose best become parents."""
    mutants: float = 0.5
    """Part of a generation that mutates; the rest crosses."""
    mutation: float = 0.2
    """Probability that a mutant draws a number anew (published scripts: 0.2 to 0.4)."""
    weight: float = 1.0
    """How much likelier the least choice is than the largest in the first generation (``geometric``: each than the next)."""
    weighting: Weighting = "arithmetic"

    def __post_init__(self) -> None:
        if self.population < 2:
            raise ValueError(f"population={self.population}: a generation has at least 2 candidates")
        for name in ("parents", "mutants", "mutation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: a part of the whole, from 0 to 1")
        if self.weight <= 0:
            raise ValueError(f"weight={self.weight}: above 0; 1 draws uniformly, 2 favours narrow networks")

    @property
    def generation(self) -> int:
        """The population."""
        return self.population

    def sampler(self, within: BudgetedSpace, seed: int) -> EvolutionSampler:
        """The Optuna sampler."""
        return EvolutionSampler(self, within, seed)


class EvolutionSampler(Proposer, ByTrialNumber):
    """`Evolution` on Optuna's base for genetic algorithms; for studies of one objective."""

    def __init__(self, plan: Evolution, within: BudgetedSpace, seed: int):
        Proposer.__init__(self, within, seed)
        ByTrialNumber.__init__(self, plan.population, {})
        self.plan = plan
        self.weights = {g.name: weights(len(g.choices), plan.weight, plan.weighting) for g in within.space.genes}
        self._table: tuple[int, Table] | None = None

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The best quarter of the generation before and its parents; of equals, the earlier ones."""
        if len(study.directions) > 1:
            raise ValueError("evolution ranks by one score; for several, search with strategy NSGA2()")
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        rivals = self.get_parent_population(study, generation - 1) + self.get_population(study, generation - 1)
        rivals.sort(key=lambda trial: (sign * float(trial.value or 0.0), trial.number))
        return rivals[: max(1, round(self.plan.parents * self.plan.population))]

    def draws(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Iterator[Table]:
        """The first generation by weights, then mutants, then children of two."""
        generation, place = divmod(trial.number, self.plan.population)
        space = self.within.space
        if generation == 0:
            for count in BATCHES:
                yield space.weighted(rng, count, self.weights)
            return
        parents = self._parent_table(study, generation)
        if place >= round(self.plan.mutants * self.plan.population):
            yield children(parents, rng, BATCHES[0])
        for count in BATCHES:
            yield mutants(space, parents, rng, count, self.plan.mutation)

    def _parent_table(self, study: Study, generation: int) -> Table:
        if self._table is None or self._table[0] != generation:
            trials = self.get_parent_population(study, generation)
            names = self.within.space.names
            self._table = generation, np.array([[t.params[name] for name in names] for t in trials], np.int64)
        return self._table[1]


def weights(choices: int, weight: float, weighting: Weighting) -> npt.NDArray[np.float64]:
    """Probabilities of a gene's choices, largest choice first, in the first generation (published ``weighted_sample``).

    Arithmetic: 1 rising linearly to ``weight``. Geometric: 1, w, w^2, ...
    """
    steps = np.arange(choices)
    raw = weight**steps if weighting == "geometric" else 1 + (weight - 1) * steps / max(choices - 1, 1)
    return np.asarray(raw / raw.sum(), np.float64)


def mutants(space: Space, parents: Table, rng: np.random.Generator, count: int, probability: float) -> Table:
    """Random parents, every number drawn anew from all its choices with that probability (it may draw the old one)."""
    chosen = parents[rng.integers(len(parents), size=count)]
    return np.asarray(np.where(rng.random(chosen.shape) < probability, space.sample(rng, count), chosen))


def children(parents: Table, rng: np.random.Generator, count: int) -> Table:
    """Two random parents, every number from either with a half (the two may be one)."""
    first, second = parents[rng.integers(len(parents), size=(2, count))]
    return np.asarray(np.where(rng.random(first.shape) < 0.5, first, second))
