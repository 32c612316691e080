"""Interfaces between the training loop, tasks and methods: networks, phases, named losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""``input`` and ``target``: N x C x H x W in [-1, 1]; latents, N x length, by the names of `Input`."""


@dataclass(frozen=True)
class Phase:
    """Optimizer step within a training step."""

    name: str
    networks: tuple[str, ...]
    """Networks trained in the phase; all others are frozen meanwhile."""


@dataclass
class Task(ABC):
    """Networks, phases and losses of a training step. Subclasses fill ``networks`` and ``phases``."""

    networks: dict[str, nn.Module] = field(default_factory=dict)
    """Every module that is trained and saved, by name."""
    phases: tuple[Phase, ...] = ()
    """Phases in the order in which they run within a step."""
    weights: dict[str, float] = field(default_factory=dict)
    """Factor of each named loss; holds every loss of the task, so that a misspelt name is an error."""

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Any]:
        """Compute what the phases of one step share: the images, generated once."""

    @abstractmethod
    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """Return the named, unweighted losses of a phase.

        Each is a mean over the batch, so that the mean over several processes' slices is the loss of the whole batch. A loss
        that is no mean goes through `pocketgan.training.distributed.total`.
        """

    @abstractmethod
    def images(self, batch: Batch) -> dict[str, Tensor]:
        """Return the columns of a sample grid, ``{role: N x 3 x H x W}``."""

    def stepped(self, images: int) -> None:  # noqa: B027  (most tasks have nothing more to do)
        """Finish a training step on ``images`` images, counted over all processes."""

    def teacher_cost(self) -> tuple[float, int]:
        """Return the seconds of a cached teacher for an input, and how many more inputs it is to see."""
        return 0.0, 0

    def final_network(self, network: str) -> nn.Module:
        """Return the network to keep after training: the trained one, or its running mean."""
        return self.networks[network]

    def state(self) -> dict[str, Tensor]:
        """Return the tensors, beyond the networks', that an exact resume needs."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027  (most tasks have no further state)
        """Restore what `state` returned."""

    def close(self) -> None:  # noqa: B027  (most tasks have no hooks)
        """Remove hooks from networks that outlive the task."""


class Learner:
    """Extension of the training loop by a method, for one generator. Its state is part of the generator's ``state_dict``."""

    def optimizer(self) -> torch.optim.Optimizer | None:
        """Return the optimizer of the method's own parameters, which belong to the generator; its rate does not decay."""
        return None

    def on_step_start(self, step: int) -> None:
        """Prepare step ``step``."""

    def losses(self) -> Mapping[str, Tensor]:
        """Return weighted losses that are added to those of phase ``G``."""
        return {}

    def log_dict(self) -> Mapping[str, Any]:
        """Return JSON data for the log."""
        return {}


Learners = Mapping[str, Learner]
"""Learners by the name of the network that they extend."""
