"""Plan of a compression: every object that its stages need, made and checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from pocketgan.core.run import Run
from pocketgan.data.images import ImageData
from pocketgan.methods import Method, MethodContext
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import LoadedGenerator
from pocketgan.pipeline.networks import Networks
from pocketgan.pipeline.stages import StageName
from pocketgan.pipeline.student_tasks import StudentTasks


@dataclass(frozen=True)
class Splits:
    """Images of a compression."""

    train: ImageData
    search: ImageData
    """Training images without the held-out ones."""
    holdout: ImageData | None
    """Training images that the search's result is evaluated on."""
    test: ImageData


@dataclass(frozen=True)
class SearchTarget:
    """Generator that is pruned: the student's, or one of the two of a CycleGAN."""

    initial: LoadedGenerator
    context: MethodContext
    file: str
    """File of the pruned generator, within the run."""


@dataclass
class Plan:
    """Resolved configuration, with all checks done."""

    config: CompressConfig
    """Complete, with lengths in steps."""
    stages: tuple[StageName, ...]
    method: Method
    networks: Networks
    targets: dict[str, SearchTarget]
    """By the name of the network in the search; the first is the generator that the run is about."""
    tasks: StudentTasks
    splits: Splits
    device: torch.device
    data_notes: tuple[str, ...] = ()
    """Facts of the data and the evaluation that a reader of the figures has to know."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Facts of training, data and evaluation that a reader of the figures has to know."""
        return (*self.tasks.notes(), *self.data_notes)

    @property
    def context(self) -> MethodContext:
        """Budget and costs of the generator that the run is about."""
        return next(iter(self.targets.values())).context


@dataclass
class CompressionState:
    """Run in progress: what its stages share."""

    plan: Plan
    run: Run
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage."""
    models: dict[str, nn.Module] | None = None
    """Networks of the search, where it ran in this process."""

    def file(self, name: str) -> Path:
        """File of the run."""
        return self.run.path / name
