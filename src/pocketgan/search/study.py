"""Search: the same call, started in any number of processes, is one search.

Candidate number k is a function of (seed, k, scores of the earlier generations) alone: not of the number of workers, their
speed and their deaths; and the candidates of a generation that get more images are a function of the scores on fewer. Every
worker replays the search in an Optuna study in memory, one trial per candidate, and asks its sampler; the shared storage
holds claims and scores.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial

from pocketgan.metrics.cost import Cost, CostModel
from pocketgan.pruning.budget import Budget
from pocketgan.search.fitness import CandidateScorer, ImageFitness, ScalarFitness, Score
from pocketgan.search.halving import NO_HALVING, Halving, HalvingBracket
from pocketgan.search.result import Candidate, SearchResult
from pocketgan.search.samplers import ConfigurationSampler, SpaceExhausted, Strategy
from pocketgan.search.shared_trials import SharedTrials
from pocketgan.search.space import BudgetedSpace, Configuration, Gene, Space, format_widths
from pocketgan.search.storage import NamedStorage, StorageError, StorageLocation, quiet
from pocketgan.search.strategies import Evolution
from pocketgan.utils.progress import Reporter, Ticker
from pocketgan.utils.registry import check_at_least

MAX_CANDIDATES, MAX_LEASE = 10**6, 1e6
POLL = 0.05
"""Seconds between two reads of the storage while there is nothing to score."""


@quiet()
def search(
    space: Space,
    fitness: Score | ImageFitness,
    *,
    cost: CostModel,
    storage: StorageLocation,
    against: Sequence[Score] = (),
    budget: Budget | None = None,
    use: float = 0.0,
    strategy: Strategy | None = None,
    halving: Halving = NO_HALVING,
    candidates: int = 1000,
    seed: int = 0,
    lease: float = 60.0,
    name: str = "search",
    reporter: Reporter | None = None,
) -> SearchResult:
    """Score up to ``candidates`` configurations within the budget and return all of them; by default with `Evolution`.

    Each uses at least the part ``use`` of the budget. Lower scores are better.
    ``against`` are further scores that use no images; each is computed once per candidate. With ``halving``, an `ImageFitness`
    scores the leaders of every generation (without generations, of all candidates) on more images than the others, whose
    scores are estimates then: `HalvingBracket.final_scores`.

    Call it again to resume, with more ``candidates`` to continue, in several processes to share the work; each call returns
    when all are scored. A worker that is silent for ``lease`` seconds counts as dead, and others score its candidate.
    A score that is NaN counts as the worst. Raises ``ValueError`` for a budget below the floor of the space, and for a storage
    that holds a different search of that name.
    """
    image_fitness = fitness if isinstance(fitness, ImageFitness) else ScalarFitness(fitness)
    strategy, rungs = strategy or Evolution(), halving.rungs(image_fitness.images, image_fitness.least)
    check_at_least({"candidates": candidates}, candidates=1)
    if candidates > MAX_CANDIDATES:
        raise ValueError(f"candidates={candidates}: the most is {MAX_CANDIDATES:,}")
    if not 0 < lease <= MAX_LEASE:
        raise ValueError(f"lease={lease}: seconds of silence, above 0 and at most {MAX_LEASE:g}")
    allowed = BudgetedSpace(space, cost, budget, use)
    settings = _settings(allowed, strategy, seed, 1 + len(against)) | {"rungs": rungs, "keep": halving.keep}
    trials = SharedTrials(
        NamedStorage(storage), name, space=space, scores=1 + len(against), rungs=len(rungs), settings=settings, lease=lease
    )
    study = LocalStudy(strategy.sampler(allowed, seed), trials)
    scorer = CandidateScorer(image_fitness, against, rungs)
    worker = Worker(allowed, scorer, trials, study, strategy.generation, candidates, halving)
    trials.refresh()
    reporter = reporter or Reporter()
    with reporter.task("search", worker.total_images, worker.done_images) as tick:
        worker.run(tick, reporter.say)
    return worker.result()


def _settings(allowed: BudgetedSpace, strategy: Strategy, seed: int, scores: int) -> dict[str, Any]:
    """Settings that two calls must agree on to be the same search."""
    return {
        "space": {gene.name: _form(gene) for gene in allowed.space.genes},
        "network": dict(allowed.space.full),
        "size": allowed.cost.size,
        "budget": dataclasses.asdict(allowed.budget) if allowed.budget else None,
        "use": allowed.use,
        "strategy": [type(strategy).__name__, dataclasses.asdict(strategy)],  # type: ignore[call-overload]
        "seed": seed,
        "maximize": [False] * scores,
    }


def _form(gene: Gene) -> list[Any]:
    """Choices, groups and factors of a gene; one factor for equal ones."""
    factors = tuple(gene.factors.values())
    return [gene.choices, tuple(gene.factors), factors[0] if len(set(factors)) == 1 else factors]


class LocalStudy:
    """In-memory Optuna study that proposes the candidates, as for a single worker: trial numbers are candidate numbers."""

    def __init__(self, sampler: ConfigurationSampler, trials: SharedTrials):
        self.trials = trials
        self._genes: dict[str, BaseDistribution] = dict(trials.distributions)
        with quiet():
            self.study = optuna.create_study(storage=InMemoryStorage(), sampler=sampler, directions=trials.directions)
        self._configurations: list[Configuration] = []

    def configuration(self, number: int) -> Configuration:
        """Configuration of candidate ``number``. Raises `SpaceExhausted` if the space has fewer."""
        while len(self) <= number:
            self._configurations.append(self._next())
        return self._configurations[number]

    def _next(self) -> Configuration:
        number, names = len(self), self.trials.space.names
        known = self.trials.configurations.get(number)
        if known is None:
            trial = create_trial(state=TrialState.RUNNING)
            trial.number = number
            params = self.study.sampler.sample_relative(self.study, trial, self._genes)
        else:
            params = dict(zip(names, known, strict=True))
        self.study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions=self._genes))
        return tuple(params[name] for name in names)

    def tell(self, scores: Mapping[int, Sequence[float]]) -> None:
        """Add the final scores of the next candidates to the study."""
        for number, values in scores.items():
            self.configuration(number)
            self.study.tell(number, values)

    def __len__(self) -> int:
        return len(self._configurations)


class Worker:
    """Scores one candidate after another until all are scored, by any worker."""

    def __init__(
        self,
        allowed: BudgetedSpace,
        scorer: CandidateScorer,
        trials: SharedTrials,
        study: LocalStudy,
        generation: int | None,
        candidates: int,
        halving: Halving,
    ):
        self.allowed, self.scorer, self.trials, self.study = allowed, scorer, trials, study
        self.generation, self.candidates, self.halving = generation, candidates, halving
        self.bracket = self._new_bracket(0)
        self._new_images = [after - before for before, after in pairwise((0, *scorer.rungs))]  # that a rung adds
        self._final: dict[int, tuple[int, tuple[float, ...]]] = {}  # by candidate: images, scores
        self._rng = random.Random()  # order in which free candidates are tried; affects only which workers collide

    def run(self, tick: Ticker, say: Callable[[str], None]) -> None:
        """Work until nothing is left; ``say`` the best candidate after every bracket."""
        reported = 0
        while True:
            self.trials.refresh()
            self._advance()
            if len(self._final) > reported:
                reported = len(self._final)
                say(self.result().summary())
            tick(self.done_images, {"best": self.trials.best})
            if self.bracket.finished:
                return
            number = self._choose()
            if number is None:
                time.sleep(POLL)
            else:
                self._score(number)

    @property
    def total_images(self) -> int:
        """Number of images on which all candidates together are scored."""
        size = self.generation or self.candidates
        brackets, rest = divmod(self.candidates, size or 1)
        return brackets * self._bracket_images(size) + self._bracket_images(rest)

    @property
    def done_images(self) -> int:
        """Part of `total_images` that is done."""
        return min(self.total_images, sum(self._new_images[rung] * count for rung, count in self.trials.counts.items()))

    def _bracket_images(self, members: int) -> int:
        """Number of images for a bracket of so many candidates."""
        total = 0
        for images in self._new_images:
            total += members * images
            members = self.halving.survivors(members)
        return total

    def _new_bracket(self, first: int) -> HalvingBracket:
        last = self.candidates if self.generation is None else min(self.candidates, first + self.generation)
        return HalvingBracket(range(first, last), len(self.scorer.rungs), self.halving)

    def _advance(self) -> None:
        """Move past the scored units, and tell the study the scores of every finished generation."""
        self.bracket.advance(self.trials.scored)
        while self.bracket.finished and self.bracket.numbers:
            final = self.bracket.final_scores(self.trials.scored)
            if self.generation is not None:
                self.study.tell(final)
            images = {number: self.scorer.rungs[rung] for number, rung in self.bracket.last_rung.items()}
            self._final |= {number: (images[number], scores) for number, scores in final.items()}
            self.bracket = self._new_bracket(self.bracket.numbers.stop)
            self.bracket.advance(self.trials.scored)
        self.scorer.forget_others(self.bracket.members)

    def _choose(self) -> int | None:
        """Unclaimed candidate, one with cached rows first; with other workers at random among the next few."""
        try:
            free = list(islice(self._free(), 1 + 2 * len(self.trials.claims)))
        except SpaceExhausted:
            self.candidates = len(self.study)
            self.bracket = self._new_bracket(self.bracket.numbers.start)
            return None
        cached = [number for number in free if number in self.scorer]
        return self._rng.choice(cached or free) if free else None

    def _free(self) -> Iterator[int]:
        pending, rung = self.bracket.pending, self.bracket.rung
        if rung:  # candidates with cached rows of the earlier rungs need fewer images
            pending = sorted(pending, key=lambda number: number not in self.scorer)
        for number in pending:
            if (number, rung) not in self.trials.scored and (number, rung) not in self.trials.claims:
                self.study.configuration(number)
                yield number

    def _score(self, number: int) -> None:
        configuration, rung = self.study.configuration(number), self.bracket.rung
        text, images = format_widths(configuration), self.scorer.rungs[rung]
        facts = {"configuration": text, "generation": self._generation(number), "images": images}
        claim = self.trials.claim((number, rung), configuration, facts)
        if claim is None:
            return
        try:
            with self.trials.heartbeat(claim):
                widths = self.allowed.space.widths(configuration)
                scores = self.scorer(number, widths, rung, self.trials.scored.get((number, 0)))
        except BaseException:
            with suppress(StorageError):  # what happened before is the news
                self.trials.withdraw(claim)
            raise
        self.trials.score(claim, scores)

    def _generation(self, number: int) -> int | None:
        return None if self.generation is None else number // self.generation

    def result(self) -> SearchResult:
        """All candidates of the finished brackets, by number."""
        space = self.allowed.space
        table = np.array([self.trials.configurations[number] for number in range(len(self._final))], np.int64)
        candidates = []
        for number, costs in enumerate(space.costs(table, self.allowed.cost).tolist()):
            configuration, (images, scores) = self.trials.configurations[number], self._final[number]
            text, widths = format_widths(configuration), space.widths(configuration)
            candidates.append(Candidate(number, self._generation(number), text, widths, Cost(*costs), scores, images))
        return SearchResult(tuple(candidates))
