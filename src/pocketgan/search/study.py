"""The search itself: the same call, started in as many processes as one likes, is one search.

Candidate number k is a function of (seed, k, the scores of the generations before its own) and of nothing else: not of how
many workers there are, who was quick and who was killed; and who of a generation is given more images, of the generation's
scores on fewer. Every worker replays the search in memory, one trial a candidate, and asks Optuna's sampler there; the shared
storage says what is claimed and what is scored.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from pocketgan.metrics.cost import Cost, CostModel
from pocketgan.pruning.budget import Budget
from pocketgan.search.evolution import Evolution
from pocketgan.search.halving import WHOLE, Halving, HalvingBracket
from pocketgan.search.local_study import LocalStudy
from pocketgan.search.proposals import Exhausted, Strategy
from pocketgan.search.result import Candidate, SearchResult
from pocketgan.search.scoring import ByImages, Plain, Score, Scorer
from pocketgan.search.shared_trials import SharedTrials
from pocketgan.search.space import BudgetedSpace, Space
from pocketgan.search.storage import Place, open_storage
from pocketgan.utils.progress import Reporter, Ticker

POLL = 0.05
"""Seconds between two looks at the storage while there is nothing to score."""


def search(
    space: Space,
    fitness: Score | ByImages,
    *,
    cost: CostModel,
    storage: Place,
    against: Sequence[Score] = (),
    budget: Budget | None = None,
    use: float = 0.0,
    strategy: Strategy | None = None,
    halving: Halving = WHOLE,
    candidates: int = 1000,
    maximize: bool | Sequence[bool] = False,
    seed: int = 0,
    lease: float = 60.0,
    name: str = "search",
    reporter: Reporter | None = None,
) -> SearchResult:
    """Score up to ``candidates`` configurations within the budget and return all of them; the default is the evolution.

    Each uses at least the part ``use`` of the budget.
    ``against`` are further scores that know no images; each is taken once a candidate. With ``halving``, a fitness
    `ByImages` scores the leaders of every generation (of a strategy without any, of all candidates) on more images than the
    others, whose scores are then estimates: `Round.final`.

    Start it again to resume, with more ``candidates`` to go on, several times to share the work; each call returns when all
    are scored. A worker that has been silent for ``lease`` seconds is taken for dead, and what it held is scored by another.
    A score that is no number counts as the worst. Raises ``ValueError`` for a budget below the space's floor, for another
    number of scores than of flags in ``maximize``, and for a storage that holds a search for something else.
    """
    by_images = fitness if isinstance(fitness, ByImages) else Plain(fitness)
    directions = (maximize,) * (1 + len(against)) if isinstance(maximize, bool) else tuple(maximize)
    if len(directions) != 1 + len(against):
        raise ValueError(
            f"maximize has {len(directions)} flags for {1 + len(against)} scores: one for the fitness, one for each against"
        )
    plan, rungs = strategy or Evolution(), halving.rungs(by_images.images, by_images.least)
    within = BudgetedSpace(space, cost, budget, use)
    facts = _facts(within, plan, seed, directions) | {"rungs": rungs, "keep": halving.keep}
    ledger = SharedTrials(open_storage(storage), name, space=space, maximize=directions, facts=facts, lease=lease)
    replay = LocalStudy(plan.sampler(within, seed), ledger, directions)
    scorer = Scorer(by_images, against, rungs, directions)
    worker = Worker(within, scorer, ledger, replay, plan.generation, candidates, halving)
    ledger.refresh()
    reporter = reporter or Reporter()
    with reporter.task("search", worker.work, worker.done) as tick:
        worker.run(tick, reporter.say)
    return worker.result()


def _facts(within: BudgetedSpace, plan: Strategy, seed: int, maximize: Sequence[bool]) -> dict[str, Any]:
    """What two calls must agree on to be the same search."""
    return {
        "space": {gene.name: [gene.choices, gene.groups, gene.times] for gene in within.space.genes},
        "network": dict(within.space.whole),
        "size": within.cost.size,
        "budget": dataclasses.asdict(within.budget) if within.budget else None,
        "use": within.use,
        "strategy": [type(plan).__name__, dataclasses.asdict(plan)],  # type: ignore[call-overload]
        "seed": seed,
        "maximize": maximize,
    }


class Worker:
    """Scores one candidate after the other until all are scored, by itself or by others."""

    def __init__(
        self,
        within: BudgetedSpace,
        scorer: Scorer,
        ledger: SharedTrials,
        replay: LocalStudy,
        generation: int | None,
        candidates: int,
        halving: Halving,
    ):
        self.within, self.scorer, self.ledger, self.replay = within, scorer, ledger, replay
        self.generation, self.candidates, self.halving = generation, candidates, halving
        self.round = self._round(0)
        self._final: dict[int, tuple[int, tuple[float, ...]]] = {}  # by candidate: images, scores
        self._order = random.Random()  # which free candidate is tried first changes no result, only who collides

    def run(self, tick: Ticker, say: Callable[[str], None]) -> None:
        """Work until nothing is left; ``say`` after every round what is best by then."""
        told = 0
        while True:
            self.ledger.refresh()
            self._follow()
            if len(self._final) > told:
                told = len(self._final)
                say(self.result().summary())
            tick(self.done, {"best": self.ledger.best})
            if self.round.over:
                return
            number = self._choose()
            if number is None:
                time.sleep(POLL)
            else:
                self._score(number)

    @property
    def work(self) -> int:
        """How many images all candidates will be given."""
        rounds, rest = divmod(self.candidates, self.generation or max(1, self.candidates))
        return rounds * self._work(self.generation or self.candidates) + self._work(rest)

    @property
    def done(self) -> int:
        """How many they have been given."""
        return min(self.work, sum(self._images(rung) * count for rung, count in self.ledger.counts.items()))

    def _work(self, members: int) -> int:
        """How many images so many candidates of a round will be given."""
        total = 0
        for rung in range(len(self.scorer.rungs)):
            total += members * self._images(rung)
            members = self.halving.members(members)
        return total

    def _images(self, rung: int) -> int:
        """How many images a rung adds."""
        return self.scorer.rungs[rung] - (self.scorer.rungs[rung - 1] if rung else 0)

    def _round(self, first: int) -> HalvingBracket:
        last = self.candidates if self.generation is None else min(self.candidates, first + self.generation)
        return HalvingBracket(range(first, last), len(self.scorer.rungs), self.halving, self.scorer.maximize)

    def _follow(self) -> None:
        """Move past what is scored, and tell the strategy of every generation that is over."""
        self.round.follow(self.ledger.scored)
        while self.round.over and self.round.numbers:
            final = self.round.final(self.ledger.scored)
            if self.generation is not None:
                self.replay.learn(final)
            self._final |= {number: (self.scorer.rungs[self.round.given[number]], own) for number, own in final.items()}
            self.round = self._round(self.round.numbers.stop)
            self.round.follow(self.ledger.scored)
        self.scorer.keep(self.round.members)

    def _choose(self) -> int | None:
        """A candidate that nobody has claimed, its own before others; alone the next, among others one of the next few."""
        try:
            free = list(islice(self._free(), 1 + 2 * len(self.ledger.claims)))
        except Exhausted:
            self.candidates = len(self.replay)
            self.round = self._round(self.round.numbers.start)
            return None
        own = [number for number in free if number in self.scorer]
        return self._order.choice(own or free) if free else None

    def _free(self) -> Iterator[int]:
        waiting, rung = self.round.waiting, self.round.rung
        if rung:  # what the first rungs' rows are at hand of costs fewer images
            waiting = sorted(waiting, key=lambda number: number not in self.scorer)
        for number in waiting:
            if (number, rung) not in self.ledger.scored and (number, rung) not in self.ledger.claims:
                self.replay.configuration(number)
                yield number

    def _score(self, number: int) -> None:
        configuration, rung = self.replay.configuration(number), self.round.rung
        text, images = self.within.space.format(configuration), self.scorer.rungs[rung]
        facts = {"configuration": text, "generation": self._generation(number), "images": images}
        claim = self.ledger.claim((number, rung), configuration, facts)
        if claim is None:
            return
        try:
            with self.ledger.heartbeat(claim):
                widths = self.within.space.widths(configuration)
                scores = self.scorer(number, widths, rung, self.ledger.scored.get((number, 0)))
        except BaseException:
            self.ledger.withdraw(claim)
            raise
        self.ledger.score(claim, scores)

    def _generation(self, number: int) -> int | None:
        return None if self.generation is None else number // self.generation

    def result(self) -> SearchResult:
        """Everything of the rounds that are over, by candidate number."""
        table = np.array([self.ledger.known[number] for number in range(len(self._final))], np.int64)
        costs = self.within.space.costs(table, self.within.cost).tolist()
        return SearchResult(tuple(self._candidate(n, Cost(*cost)) for n, cost in enumerate(costs)), self.scorer.maximize)

    def _candidate(self, number: int, cost: Cost) -> Candidate:
        space, configuration = self.within.space, self.ledger.known[number]
        images, scores = self._final[number]
        return Candidate(
            number, self._generation(number), space.format(configuration), space.widths(configuration), cost, scores, images
        )
