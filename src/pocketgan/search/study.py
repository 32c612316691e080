"""The search itself: the same call, started in as many processes as one likes, is one search.

Candidate number k is a function of (seed, k, the scores of the generations before its own) and of nothing else: not of how
many workers there are, who was quick and who was killed. Every worker replays the search in memory, one trial a candidate,
and asks Optuna's sampler there; the shared storage says what is claimed and what is scored.
"""

from __future__ import annotations

import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from pocketgan.compress.budget import Budget
from pocketgan.core.progress import Reporter, Ticker
from pocketgan.metrics.cost import Cost, CostModel
from pocketgan.search.evolution import Evolution
from pocketgan.search.ledger import Ledger
from pocketgan.search.proposals import Exhausted, Proposer, Strategy
from pocketgan.search.result import Candidate, SearchResult
from pocketgan.search.space import Configuration, Space, Within
from pocketgan.search.storage import Place, open_storage, quiet

Fitness = Callable[[Mapping[str, int]], float | Sequence[float]]
"""``{group: width}`` -> how good that network is: one number, or several."""

POLL = 0.05
"""Seconds between two looks at the storage while there is nothing to score."""


def search(
    space: Space,
    fitness: Fitness,
    *,
    cost: CostModel,
    storage: Place,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    candidates: int = 1000,
    maximise: bool | Sequence[bool] = False,
    seed: int = 0,
    lease: float = 60.0,
    name: str = "search",
    reporter: Reporter | None = None,
) -> SearchResult:
    """Score up to ``candidates`` configurations within the budget and return all of them; the default is the evolution.

    Start it again to resume, with more ``candidates`` to go on, several times to share the work; each call returns when all
    are scored. A worker that has been silent for ``lease`` seconds is taken for dead, and what it held is scored by another.
    A score that is no number counts as the worst. Raises ``ValueError`` for a budget below the space's floor, a fitness of
    another number of scores, and a storage that holds a search for something else.
    """
    directions = (maximise,) if isinstance(maximise, bool) else tuple(maximise)
    plan = strategy or Evolution()
    within = Within(space, cost, budget)
    facts = _facts(within, plan, seed, directions)
    ledger = Ledger(open_storage(storage), name, space=space, maximise=directions, facts=facts, lease=lease)
    replay = Replay(plan.sampler(within, seed), ledger, directions)
    worker = Worker(within, fitness, ledger, replay, plan.generation, candidates, directions)
    ledger.refresh()
    with (reporter or Reporter()).task("search", candidates, min(len(ledger.scored), candidates)) as tick:
        worker.run(tick)
    return worker.result()


def _facts(within: Within, plan: Strategy, seed: int, maximise: Sequence[bool]) -> dict[str, Any]:
    """What two calls must agree on to be the same search."""
    return {
        "space": {gene.name: [gene.choices, gene.groups, gene.times] for gene in within.space.genes},
        "network": dict(within.space.whole),
        "size": within.cost.size,
        "budget": dataclasses.asdict(within.budget) if within.budget else None,
        "strategy": [type(plan).__name__, dataclasses.asdict(plan)],  # type: ignore[call-overload]
        "seed": seed,
        "maximise": maximise,
    }


class Replay:
    """The search as one worker alone would live it: an Optuna study in memory whose trial number is the candidate's."""

    def __init__(self, proposer: Proposer, ledger: Ledger, maximise: Sequence[bool]):
        self.ledger = ledger
        self._genes: dict[str, BaseDistribution] = dict(ledger.distributions)
        with quiet():
            directions = [StudyDirection.MAXIMIZE if up else StudyDirection.MINIMIZE for up in maximise]
            self.study = optuna.create_study(storage=InMemoryStorage(), sampler=proposer, directions=directions)
        self._configurations: list[Configuration] = []
        self._told = 0

    def configuration(self, number: int) -> Configuration:
        """What candidate ``number`` is. Raises `Exhausted` if the space does not reach that far."""
        while len(self._configurations) <= number:
            self._configurations.append(self._next())
        return self._configurations[number]

    def _next(self) -> Configuration:
        number, names = len(self), self.ledger.space.names
        known = self.ledger.known.get(number)
        if known is None:
            asking = create_trial(state=TrialState.RUNNING)
            asking.number = number
            params = self.study.sampler.sample_relative(self.study, asking, self._genes)
        else:
            params = dict(zip(names, known, strict=True))
        self.study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions=self._genes))
        return tuple(params[name] for name in names)

    def learn(self, upto: int) -> None:
        """Tell the study the scores of all candidates below ``upto``."""
        for number in range(self._told, upto):
            self.configuration(number)
            self.study.tell(number, self.ledger.scored[number].values)
        self._told = max(self._told, upto)

    def __len__(self) -> int:
        return len(self._configurations)


class Worker:
    """Scores one candidate after the other until all are scored, by itself or by others."""

    def __init__(
        self,
        within: Within,
        fitness: Fitness,
        ledger: Ledger,
        replay: Replay,
        generation: int | None,
        candidates: int,
        maximise: tuple[bool, ...],
    ):
        self.within, self.fitness, self.ledger, self.replay = within, fitness, ledger, replay
        self.generation, self.candidates, self.maximise = generation, candidates, maximise
        self._done = 0
        self._order = random.Random()  # which free candidate is tried first changes no result, only who collides

    def run(self, tick: Ticker) -> None:
        """Work until nothing is left."""
        while True:
            self.ledger.refresh()
            self._count()
            tick(min(len(self.ledger.scored), self.candidates), {"best": self.ledger.best})
            if self._done == self.candidates:
                return
            number = self._choose()
            if number is None:
                time.sleep(POLL)
            else:
                self._score(number)

    def _count(self) -> None:
        """Move past the candidates that are scored."""
        while self._done < self.candidates and self._done in self.ledger.scored:
            self._done += 1
        if self.generation is not None:
            self.replay.learn(self._done // self.generation * self.generation)

    def _choose(self) -> int | None:
        """A candidate that nobody has claimed: alone the next, among others one of the next few."""
        try:
            free = list(islice(self._free(), 1 + 2 * len(self.ledger.claims)))
        except Exhausted:
            self.candidates = len(self.replay)
            return None
        return self._order.choice(free) if free else None

    def _free(self) -> Iterator[int]:
        last = self.candidates
        if self.generation is not None:  # what comes after depends on the scores of this generation
            last = min(last, (self._done // self.generation + 1) * self.generation)
        for number in range(self._done, last):
            if number not in self.ledger.scored and number not in self.ledger.claims:
                self.replay.configuration(number)
                yield number

    def _score(self, number: int) -> None:
        configuration = self.replay.configuration(number)
        facts = {"configuration": self.within.space.format(configuration), "generation": self._generation(number)}
        claim = self.ledger.claim(number, configuration, facts)
        if claim is None:
            return
        try:
            with self.ledger.beating(claim):
                scores = _checked(self.fitness(self.within.space.widths(configuration)), self.maximise)
        except BaseException:
            self.ledger.withdraw(claim)
            raise
        self.ledger.score(claim, scores)

    def _generation(self, number: int) -> int | None:
        return None if self.generation is None else number // self.generation

    def result(self) -> SearchResult:
        """Everything that is scored, by candidate number."""
        table = np.array([self.ledger.known[number] for number in range(self.candidates)], np.int64)
        costs = self.within.space.costs(table, self.within.cost).tolist()
        return SearchResult(tuple(self._candidate(n, Cost(*cost)) for n, cost in enumerate(costs)), self.maximise)

    def _candidate(self, number: int, cost: Cost) -> Candidate:
        space, configuration = self.within.space, self.ledger.known[number]
        scores = tuple(self.ledger.scored[number].values)
        return Candidate(
            number, self._generation(number), space.format(configuration), space.widths(configuration), cost, scores
        )


def _checked(scores: float | Sequence[float], maximise: Sequence[bool]) -> list[float]:
    """The scores as a list, NaN as the worst. ``ValueError`` for another number of them than was announced."""
    found = [float(score) for score in scores] if isinstance(scores, Sequence) else [float(scores)]
    if len(found) != len(maximise):
        raise ValueError(f"the fitness gave {len(found)} scores, maximise announces {len(maximise)}: one flag a score")
    worst = (-math.inf if up else math.inf for up in maximise)
    return [bad if math.isnan(score) else score for score, bad in zip(found, worst, strict=True)]
