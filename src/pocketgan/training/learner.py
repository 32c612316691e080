"""What a method adds to a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor


class Learner(Protocol):
    """What a method adds to the fit of one generator. Its state lies in that generator, so that checkpoints have it."""

    def optimizer(self) -> torch.optim.Optimizer | None:
        """What trains the method's own parameters, at a rate that does not decay; they belong to the generator."""

    def on_step_start(self, step: int) -> None:
        """Called before step ``step``."""

    def losses(self) -> Mapping[str, Tensor]:
        """Joins the losses of the phase ``G``, already weighted."""

    def log_dict(self) -> Mapping[str, Any]:
        """What the log shows of it: plain JSON data."""


Learners = Mapping[str, Learner]
"""By the name of the network that each belongs to."""
