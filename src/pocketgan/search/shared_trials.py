"""Claims and scores of candidates in a storage that any number of workers share.

The search is a sequence of numbered candidates, each scored on one or several rungs; a candidate on a rung is a work unit. A
claim of a unit is a running trial. Storages number trials in one order for all workers, so of several live claims of a unit
the one with the lowest number holds, and the others are withdrawn. A claim lives while its heartbeat changes; any worker that
sees no change for the lease marks the trial as failed. Storages refuse to finish a failed trial, so a worker that was only
suspended cannot score a unit that another worker has taken over.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from pocketgan.search.halving import WorkUnit
from pocketgan.search.samplers import distributions
from pocketgan.search.space import Configuration, Space
from pocketgan.search.storage import NamedStorage, StorageError, quiet
from pocketgan.utils.registry import listed

NUMBER, RUNG, BEAT, SETTINGS = "candidate", "rung", "beat", "search"


class SharedTrials:
    """View of one worker on a shared search."""

    def __init__(
        self,
        storage: BaseStorage | NamedStorage,
        name: str,
        *,
        space: Space,
        scores: int,
        rungs: int = 1,
        settings: Mapping[str, Any],
        lease: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.storage, self.name, self.space, self.lease, self.clock = storage, name, space, lease, clock
        self.distributions = distributions(space)
        self.directions, self.rungs = [StudyDirection.MINIMIZE] * scores, rungs
        self.study = _open_study(storage, name, self.directions)
        self._check_settings(json.loads(json.dumps(settings)))
        self.scored: dict[WorkUnit, tuple[float, ...]] = {}
        """Scores of every finished unit."""
        self.claims: dict[WorkUnit, FrozenTrial] = {}
        """Running trial of every claimed unit."""
        self.configurations: dict[int, Configuration] = {}
        """Configuration of every candidate that was ever claimed."""
        self.counts: Counter[int] = Counter()
        """Number of finished units of each rung."""
        self._best: dict[int, float] = {}
        self._read = 0
        self._running: dict[int, FrozenTrial] = {}
        self._last_beats: dict[int, tuple[int, float]] = {}
        self._own: int | None = None

    @property
    def best(self) -> float:
        """Best first score on the highest rung that any candidate has reached."""
        return self._best[max(self._best)] if self._best else math.inf

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        """Record the settings of the search, or refuse to join a search with others."""
        stored = self.storage.get_study_user_attrs(self.study).get(SETTINGS)
        if stored is None:
            self.storage.set_study_user_attr(self.study, SETTINGS, settings)
            stored = self.storage.get_study_user_attrs(self.study)[SETTINGS]
        if not isinstance(stored, Mapping) or len(self.storage.get_study_directions(self.study)) != len(self.directions):
            raise StorageError(f"study '{self.name}' of the storage is no search like this one: name another storage")
        for key in {**stored, **settings}:
            if stored.get(key) != settings.get(key):
                raise ValueError(
                    f"search '{self.name}' was begun with {key} {_short(stored.get(key))}, not {_short(settings.get(key))}: "
                    "give the search another name or place, or go on with the old one"
                )

    def refresh(self) -> None:
        """Read all changes, and fail the claims of workers that are silent for the lease."""
        trials = self.storage.get_all_trials(self.study, deepcopy=False)
        fresh = trials[self._read :]
        if [trial.number for trial in fresh] != list(range(self._read, len(trials))) or len(trials) < self._read:
            raise StorageError(f"the storage has lost trials of search '{self.name}': search anew with another storage")
        changed = [*(trials[number] for number in self._running), *fresh]
        self._read = len(trials)
        for trial in changed:
            self._update(trial)
        for number, trial in list(self._running.items()):
            if number != self._own and self._is_silent(trial):
                self._finish(number, TrialState.FAIL)
                self._running.pop(number)
        self.claims = {}
        for number in sorted(self._running):
            self.claims.setdefault(_unit(self._running[number]), self._running[number])

    def _update(self, trial: FrozenTrial) -> None:
        if not isinstance(trial.user_attrs, Mapping) or NUMBER not in trial.user_attrs:
            return  # added by another tool
        self._check(trial)
        candidate, rung = unit = _unit(trial)
        self.configurations.setdefault(candidate, tuple(trial.params[name] for name in self.space.names))
        if trial.state == TrialState.RUNNING:
            self._running[trial.number] = trial
        else:
            self._running.pop(trial.number, None)
        if trial.state == TrialState.COMPLETE:
            self.scored[unit] = tuple(trial.values)
            self.counts[rung] += 1
            self._best[rung] = min(self._best.get(rung, math.inf), trial.values[0])

    def _check(self, trial: FrozenTrial) -> None:
        """Raise `StorageError` for a trial that no worker of this search has written."""
        number, rung = (trial.user_attrs.get(key) for key in (NUMBER, RUNG))
        wrong = [gene.name for gene in self.space.genes if trial.params.get(gene.name) not in gene.choices]
        if type(number) is not int or type(rung) is not int or number < 0 or not 0 <= rung < self.rungs:
            fault = f"its {NUMBER} is {_short(number)} and its {RUNG} {_short(rung)}"
        elif wrong:
            fault = f"its {wrong[0]} is {_short(trial.params.get(wrong[0]))}, no choice of the space"
        elif trial.state == TrialState.COMPLETE and not self._are_scores(trial.values):
            fault = f"its scores are {_short(trial.values)}"
        else:
            return
        raise StorageError(
            f"trial {trial.number} of search '{self.name}' is damaged: {fault}; search anew with another storage, or without "
            "its journal"
        )

    def _are_scores(self, values: object) -> bool:
        return (
            isinstance(values, list)
            and len(values) == len(self.directions)
            and all(isinstance(value, int | float) and not math.isnan(value) for value in values)
        )

    def _is_silent(self, trial: FrozenTrial) -> bool:
        """True if the heartbeat of the claim has not changed for the lease, by the clock of this worker."""
        beat, now = trial.user_attrs.get(BEAT, 0), self.clock()
        last, since = self._last_beats.get(trial.number, (None, now))
        if beat != last:
            since = now
        self._last_beats[trial.number] = beat, since
        return now - since > self.lease

    def claim(self, unit: WorkUnit, configuration: Configuration, facts: Mapping[str, Any]) -> int | None:
        """Claim the unit; returns the number of the trial, or None if another worker was first."""
        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(zip(self.space.names, configuration, strict=True)),
            distributions=self.distributions,  # type: ignore[arg-type]
            user_attrs={**facts, NUMBER: unit[0], RUNG: unit[1]},
        )
        identity = self.storage.create_new_trial(self.study, template)
        self._own = self.storage.get_trial(identity).number
        self.refresh()
        holder = self.claims.get(unit)  # None if this worker was suspended for the lease
        if unit not in self.scored and holder is not None and holder.number == self._own:
            return self._own
        self.withdraw(self._own)
        return None

    def withdraw(self, number: int) -> None:
        """Give up the claim, so that any worker may take the unit."""
        self._finish(number, TrialState.FAIL)
        self._own = None

    def score(self, number: int, scores: Sequence[float]) -> bool:
        """Finish the claim. False if another worker has failed it in the meantime: then these scores do not count."""
        self._own = None
        return self._finish(number, TrialState.COMPLETE, scores)

    def _finish(self, number: int, state: TrialState, scores: Sequence[float] | None = None) -> bool:
        identity = self.storage.get_trial_id_from_study_id_trial_number(self.study, number)
        try:
            return self.storage.set_trial_state_values(identity, state, scores)
        except UpdateFinishedTrialError:
            return False  # another worker was first

    @contextmanager
    def heartbeat(self, number: int) -> Iterator[None]:
        """Change the heartbeat of the claim from another thread, while the caller scores."""
        identity = self.storage.get_trial_id_from_study_id_trial_number(self.study, number)
        done = threading.Event()

        def beat() -> None:
            count = 0
            with suppress(UpdateFinishedTrialError):  # the claim was failed
                while not done.wait(self.lease / 4):
                    count += 1
                    with suppress(StorageError):  # a storage that fails now may answer the next time
                        self.storage.set_trial_user_attr(identity, BEAT, count)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _short(value: object) -> str:
    return listed([repr(value)])


def _unit(trial: FrozenTrial) -> WorkUnit:
    return trial.user_attrs[NUMBER], trial.user_attrs[RUNG]


def _open_study(storage: BaseStorage | NamedStorage, name: str, directions: list[StudyDirection]) -> int:
    """Study of that name, created if there is none; workers that create it at the same time get the same one."""
    if all(study.study_name != name for study in storage.get_all_studies()):
        with quiet(), suppress(DuplicatedStudyError):
            return int(storage.create_new_study(directions, name))
    return int(storage.get_study_id_from_name(name))
