"""Monitoring of a training: mean losses per interval, and checks that losses and weights are finite."""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pocketgan.core.run import Run
from pocketgan.training.config import TrainingConfig
from pocketgan.training.distributed import Processes
from pocketgan.training.task import Learners, Task


class Diverged(ValueError):
    """A loss or a weight is not finite."""


class TrainingMonitor:
    """Means of the losses over an interval and all processes, on the device until they are logged."""

    def __init__(self, run: Run, stage: str, config: TrainingConfig, learners: Learners, world: Processes):
        self.run, self.stage, self.learners, self.world = run, stage, learners, world
        self.latest: dict[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._count, self._since = 0, time.monotonic()
        self._writer = _tensorboard(run.path) if config.tensorboard and run.writes else None

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of one step."""
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def flush(self, step: int, lr: float) -> None:
        """Log the means since the last flush. Raise `Diverged` in all processes alike."""
        if not self._count:
            return
        means = self.world.mean_(torch.stack([v.float() for v in self._sums.values()]) / self._count)
        self.latest = dict(zip(self._sums, means.tolist(), strict=True))
        now = time.monotonic()
        bad = [name for name, value in self.latest.items() if not isfinite(value)]
        if bad:
            raise self._diverged(bad, step)
        entry: dict[str, Any] = {
            "stage": self.stage,
            "step": step,
            "seconds": round(now - self._since, 3),
            "lr": lr,
            "losses": self.latest,
        }
        if self.learners:
            entry["search"] = {name: learner.log_dict() for name, learner in self.learners.items()}
        self.run.log(entry)
        if self._writer is not None:
            for name, value in self.latest.items():
                self._writer.add_scalar(f"{self.stage}/{name}", value, step)
        self._sums, self._count, self._since = {}, 0, now

    def check_weights(self, task: Task, step: int) -> None:
        """Raise `Diverged` for weights that are not finite, before they are saved."""
        if bad := weights_not_finite(task):
            raise self._diverged(bad, step)

    def _diverged(self, bad: list[str], step: int) -> Diverged:
        saved = self.run.checkpoints(self.stage)
        where = f"the state after step {saved[0][0]} is kept in {self.run.path / 'checkpoints'}" if saved else "none was saved"
        return Diverged(
            f"{self.stage}: {', '.join(bad)} is no longer a number near step {step}; {where}; try a lower lr or float32"
        )

    def close(self) -> None:
        """Close the TensorBoard writer."""
        if self._writer is not None:
            self._writer.close()


def weights_not_finite(task: Task) -> list[str]:
    """``a weight of`` each network that has one that is not finite."""
    return [
        f"a weight of {name}"
        for name, network in task.networks.items()
        if not all(bool(parameter.isfinite().all()) for parameter in network.parameters())
    ]


def _tensorboard(path: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard is not installed: pip install 'pocketgan[tensorboard]'") from None
    return SummaryWriter(str(path / "tensorboard"))
