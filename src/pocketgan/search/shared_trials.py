"""Who scores what: candidates are claimed, given up and scored in a storage that any number of workers share.

The search is a row of numbered candidates, each scored on one or several rungs; a candidate on a rung is a unit of work. To
claim a unit is to add a trial that says so. Storages number trials in one order that all workers see, so of several live claims
of one unit the lowest trial holds, and whoever added another withdraws. A claim lives while its holder beats; whoever sees it
silent for the lease marks it failed, and a storage lets no one finish a failed trial, so a worker that was only asleep cannot
score a unit that somebody else has taken over.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from pocketgan.search.halving import Unit
from pocketgan.search.proposals import distributions
from pocketgan.search.space import Configuration, Space
from pocketgan.search.storage import quiet

NUMBER, RUNG, BEAT, FACTS = "candidate", "rung", "beat", "search"


class SharedTrials:
    """One worker's view of a shared search."""

    def __init__(self, storage: BaseStorage, name: str, *, space: Space, maximize: Sequence[bool], facts: Any, lease: float):
        self.storage, self.space, self.lease = storage, space, lease
        self.distributions = distributions(space)
        self.study = _study(storage, name, maximize)
        self._agree(name, json.loads(json.dumps(facts)))
        self.scored: dict[Unit, tuple[float, ...]] = {}
        """The scores of every unit that is scored."""
        self.claims: dict[Unit, FrozenTrial] = {}
        """The running trial of every unit that is being scored."""
        self.known: dict[int, Configuration] = {}
        """Every candidate that was ever claimed."""
        self.counts: Counter[int] = Counter()
        """How many units of each rung are scored."""
        self._best: dict[int, float] = {}
        self._better, self._worst = (max, -math.inf) if maximize[0] else (min, math.inf)
        self._read = 0
        self._running: dict[int, FrozenTrial] = {}
        self._last_beats: dict[int, tuple[int, float]] = {}
        self._own: int | None = None

    @property
    def best(self) -> float:
        """The best first score on the furthest rung that any candidate has reached."""
        return self._best[max(self._best)] if self._best else self._worst

    def _agree(self, name: str, facts: Mapping[str, Any]) -> None:
        """Record what is searched, or refuse to join a search for something else."""
        found = self.storage.get_study_user_attrs(self.study).get(FACTS)
        if found is None:
            self.storage.set_study_user_attr(self.study, FACTS, facts)
            found = self.storage.get_study_user_attrs(self.study)[FACTS]
        for key in {**found, **facts}:
            if found.get(key) != facts.get(key):
                raise ValueError(
                    f"search '{name}' was begun with {key} {found.get(key)!r}, not {facts.get(key)!r}: "
                    "give the search another name or place, or go on with the old one"
                )

    def refresh(self) -> None:
        """Read what has happened, and give up the claims of workers that have fallen silent."""
        trials = self.storage.get_all_trials(self.study, deepcopy=False)
        news = [*(trials[number] for number in self._running), *trials[self._read :]]
        self._read = len(trials)
        for trial in news:
            self._note(trial)
        for number, trial in list(self._running.items()):
            if number != self._own and self._silent(trial):
                self._finish(number, TrialState.FAIL)
                self._running.pop(number)
        self.claims = {}
        for number in sorted(self._running):
            self.claims.setdefault(_unit(self._running[number]), self._running[number])

    def _note(self, trial: FrozenTrial) -> None:
        if NUMBER not in trial.user_attrs:
            return  # somebody's own trial, added by another tool
        candidate, rung = unit = _unit(trial)
        self.known.setdefault(candidate, tuple(trial.params[name] for name in self.space.names))
        if trial.state == TrialState.RUNNING:
            self._running[trial.number] = trial
        else:
            self._running.pop(trial.number, None)
        if trial.state == TrialState.COMPLETE:
            self.scored[unit] = tuple(trial.values)
            self.counts[rung] += 1
            self._best[rung] = self._better(self._best.get(rung, self._worst), trial.values[0])

    def _silent(self, trial: FrozenTrial) -> bool:
        """Whether the claim's beat has not changed for the lease, by this worker's own clock."""
        beat, now = trial.user_attrs.get(BEAT, 0), time.monotonic()
        last, since = self._last_beats.get(trial.number, (None, now))
        if beat != last:
            since = now
        self._last_beats[trial.number] = beat, since
        return now - since > self.lease

    def claim(self, unit: Unit, configuration: Configuration, facts: Mapping[str, Any]) -> int | None:
        """The number of the trial by which this worker holds the unit now; None if another was first."""
        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(zip(self.space.names, configuration, strict=True)),
            distributions=self.distributions,  # type: ignore[arg-type]
            user_attrs={**facts, NUMBER: unit[0], RUNG: unit[1]},
        )
        identity = self.storage.create_new_trial(self.study, template)
        self._own = self.storage.get_trial(identity).number
        self.refresh()
        held = self.claims.get(unit)  # None if this worker slept for so long that its claim was given up
        if unit not in self.scored and held is not None and held.number == self._own:
            return self._own
        self.withdraw(self._own)
        return None

    def withdraw(self, number: int) -> None:
        """Give the claim up, so that any worker may take the unit."""
        self._finish(number, TrialState.FAIL)
        self._own = None

    def score(self, number: int, scores: Sequence[float]) -> bool:
        """Finish the claim. False if it had been given up in the meantime: then these scores do not count."""
        self._own = None
        return self._finish(number, TrialState.COMPLETE, scores)

    def _finish(self, number: int, state: TrialState, scores: Sequence[float] | None = None) -> bool:
        identity = self.storage.get_trial_id_from_study_id_trial_number(self.study, number)
        try:
            return self.storage.set_trial_state_values(identity, state, scores)
        except UpdateFinishedTrialError:
            return False  # somebody was first

    @contextmanager
    def heartbeat(self, number: int) -> Iterator[None]:
        """Beat for the claim from a thread of its own, while the caller scores."""
        identity = self.storage.get_trial_id_from_study_id_trial_number(self.study, number)
        done = threading.Event()

        def beat() -> None:
            count = 0
            with suppress(UpdateFinishedTrialError):  # given up: nothing to keep alive
                while not done.wait(self.lease / 4):
                    count += 1
                    self.storage.set_trial_user_attr(identity, BEAT, count)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _unit(trial: FrozenTrial) -> Unit:
    return trial.user_attrs[NUMBER], trial.user_attrs[RUNG]


def _study(storage: BaseStorage, name: str, maximize: Sequence[bool]) -> int:
    """The study of that name, made if there is none; workers that make it at the same time get the same one."""
    with suppress(KeyError):
        return storage.get_study_id_from_name(name)
    directions = [StudyDirection.MAXIMIZE if up else StudyDirection.MINIMIZE for up in maximize]
    with quiet(), suppress(DuplicatedStudyError):
        return storage.create_new_study(directions, name)
    return storage.get_study_id_from_name(name)
