"""Every method is one sentence: prepare, fit, select, shrink, fit."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from pocketgan.core.config import from_json
from pocketgan.core.inputs import ModelInputs
from pocketgan.core.registry import Registry
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.budget import Budget, check_floor
from pocketgan.pruning.fit_budget import floor_widths
from pocketgan.pruning.selection import Selection
from pocketgan.search.fitness import HeldOut
from pocketgan.search.storage import Place
from pocketgan.training.loop import Learner
from pocketgan.utils.progress import Reporter


@dataclass
class MethodContext:
    """What a method knows of the run: its budget, its images, where it may keep things."""

    budget: Budget
    cost: CostModel
    multiple: int
    """Widths are multiples of this where they can be."""
    images: Callable[[], Iterable[ModelInputs]]
    """Some of what the generator reads, a few images each, the same ones at every call."""
    held_out: Callable[[int], HeldOut] | None = None
    """So many training images that the first fit did not see, with the teacher's images of them."""
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where to score."""
    folder: Path | None = None
    """The run directory, where what a search has found is kept; None keeps it in memory."""
    measure: Callable[[nn.Module], float] | None = None
    """The median milliseconds that a network takes for one image, on ``device``."""
    reporter: Reporter | None = None
    """Who follows the run; set once there is a run."""

    def warn(self, text: str) -> None:
        """Tell whoever follows the run; where nobody does, by a Python warning."""
        if self.reporter is not None:
            self.reporter.say(f"warning: {text}")
        else:
            warnings.warn(text, stacklevel=3)

    def storage(self) -> Place:
        """Where a search keeps its claims and scores."""
        if self.folder is not None:
            return self.folder / "search.journal"
        from optuna.storages import InMemoryStorage

        return InMemoryStorage()


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """How to decide which channels stay. A subclass is one file; its fields are its options."""

    summary: ClassVar[str] = ""
    """One line for ``pocketgan methods``."""
    learns: ClassVar[bool] = False
    """Whether it needs a first fit, on some network at least."""
    is_supernet: ClassVar[bool] = False
    """Whether what the first fit makes serves every budget: then it is kept, any number of processes may select from it
    together, and the recovery goes on with its discriminator (GAN Compression)."""
    select_options: ClassVar[frozenset[str]] = frozenset()
    """The options that say nothing to the first fit."""

    @property
    def holdout_size(self) -> int:
        """How many training images the first fit shall not see."""
        return 0

    def needs_search(self, network: nn.Module) -> bool:
        """Whether it needs a first fit to cut this network."""
        return self.learns

    @property
    def needs_segmenter(self) -> bool:
        """Whether it needs what reads images back as label maps."""
        return False

    def network(self, model: nn.Module) -> nn.Module:
        """The network within what `prepare` made that the selection is of."""
        return model

    @classmethod
    def presets(cls, teacher: nn.Module, task: str) -> dict[str, dict[str, Any]]:
        """``{name: {field of the whole run: value}}``: settings under which published numbers were made."""
        return {}

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        """Raise ``ValueError`` for what `select` could not do, before any work; ``features``: there is an extractor.

        Here: a budget below the floor of a method that may not remove whole branches.
        """
        least = getattr(self, "least", 0.5)
        floor = floor_widths(teacher, multiple=context.multiple, removing=least == 0)
        check_floor(context.budget, context.cost, floor)

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        """The network of the first fit, made from a copy of the teacher."""
        return teacher

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> Learner | None:
        """What the method adds to the first fit of so many steps; all of its state lies in ``model``."""
        return None

    def join_search(self, model: nn.Module, context: MethodContext) -> None:  # noqa: B027  (most have nothing to share)
        """Share the work of `select`, which another process does at the same time."""

    @abstractmethod
    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        """The channels that stay; never above the budget. ``ValueError`` that names the floor if there are none."""


METHODS: Registry[type[Method]] = Registry("method")
"""By the name of ``--method``."""


def make_method(name: str, options: Mapping[str, Any]) -> Method:
    """The method of that name. Raises ``ValueError`` for an unknown name or option."""
    return from_json(METHODS[name], options)
