"""What the loop knows of a task: its networks, its phases, and the named losses of each phase."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""``input`` and ``target``: N x C x H x W in [-1, 1]; numbers that are drawn, N x how many, by the names of `Input`."""


@dataclass(frozen=True)
class Phase:
    """One optimizer step within a training step."""

    name: str
    networks: tuple[str, ...]
    """The networks that it trains; the others are frozen meanwhile."""


@dataclass
class Task(ABC):
    """A task. A subclass fills ``networks`` and ``phases`` and says what happens in a step."""

    networks: dict[str, nn.Module] = field(default_factory=dict)
    """Every module that is trained and saved, by name."""
    phases: tuple[Phase, ...] = ()
    """In the order in which they run within a step."""
    weights: dict[str, float] = field(default_factory=dict)
    """The factor of each named loss: every loss of the task is here, so that a misspelt one is found."""

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Any]:
        """What the phases of one step share: the images, generated once."""

    @abstractmethod
    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """The named losses of a phase, not yet weighted: means over the batch, so that those of several processes' slices
        average to that of the whole; what is no mean goes through `pocketgan.training.distributed_ops.total`."""

    @abstractmethod
    def images(self, batch: Batch) -> dict[str, Tensor]:
        """``{role: N x 3 x H x W}``, the columns of a sample grid."""

    def stepped(self, images: int) -> None:  # noqa: B027  (most tasks have nothing more to do)
        """A training step is done, on so many images over all processes."""

    def final_network(self, network: str) -> nn.Module:
        """What is kept of a network in the end: itself, or a running mean of it."""
        return self.networks[network]

    def state(self) -> dict[str, Tensor]:
        """Tensors beyond the networks' that an exact resume needs."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027  (most tasks have no further state)
        """Take back what `state` gave."""

    def close(self) -> None:  # noqa: B027  (most tasks leave nothing behind)
        """Leave nothing behind in networks that outlive the task."""
