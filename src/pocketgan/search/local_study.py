"""A search lived again: every worker's own Optuna study in memory, which proposes the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from pocketgan.search.proposals import Proposer
from pocketgan.search.shared_trials import SharedTrials
from pocketgan.search.space import Configuration
from pocketgan.search.storage import quiet


class LocalStudy:
    """The search as one worker alone would live it: an Optuna study in memory whose trial number is the candidate's."""

    def __init__(self, proposer: Proposer, ledger: SharedTrials, maximize: Sequence[bool]):
        self.ledger = ledger
        self._genes: dict[str, BaseDistribution] = dict(ledger.distributions)
        with quiet():
            directions = [StudyDirection.MAXIMIZE if up else StudyDirection.MINIMIZE for up in maximize]
            self.study = optuna.create_study(storage=InMemoryStorage(), sampler=proposer, directions=directions)
        self._configurations: list[Configuration] = []

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

    def learn(self, scores: Mapping[int, Sequence[float]]) -> None:
        """Tell the study the final scores of the next candidates."""
        for number, own in scores.items():
            self.configuration(number)
            self.study.tell(number, own)

    def __len__(self) -> int:
        return len(self._configurations)
