"""Interface of the methods: prepare, train the search, select, shrink, recover."""

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
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.allocation import floor_widths
from pocketgan.pruning.budget import Budget, check_floor
from pocketgan.pruning.selection import Selection
from pocketgan.search.fitness import HoldoutImages
from pocketgan.training.task import Learner
from pocketgan.utils.progress import Reporter
from pocketgan.utils.registry import Registry


@dataclass
class MethodContext:
    """Part of a run that a method can access: budget, images, run directory."""

    budget: Budget
    cost: CostModel
    multiple: int
    """Widths are multiples of this where possible."""
    images: Callable[..., Iterable[ModelInputs]]
    """Small batches of inputs of the generator, of 32 training images or of another ``count``, the same at every call."""
    holdout: Callable[[int], HoldoutImages] | None = None
    """``count`` -> that many training images that the search training does not use, with the teacher's images for them."""
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Device for scoring candidates."""
    run_dir: Path | None = None
    """Run directory, where the results of a search are kept; None keeps them in memory."""
    measure: Callable[[nn.Module], float] | None = None
    """Median latency of a network on one image, in milliseconds, on ``device``."""
    reporter: Reporter | None = None
    """Reporter of the run, once there is a run."""

    def warn(self, text: str) -> None:
        """Report a warning; without a reporter, as a Python warning."""
        if self.reporter is not None:
            self.reporter.say(f"warning: {text}")
        else:
            warnings.warn(text, stacklevel=3)


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """Method that decides which channels stay. The fields of a subclass are its options."""

    summary: ClassVar[str] = ""
    """Line for ``pocketgan methods``."""
    learns: ClassVar[bool] = False
    """True if it needs a search training, on some network at least."""
    is_supernet: ClassVar[bool] = False
    """True if the result of the search training serves every budget: then the run keeps it, any number of processes may select
    from it together, and the recovery continues with its discriminator (GAN Compression)."""
    select_options: ClassVar[frozenset[str]] = frozenset()
    """Options without effect on the search training."""

    @property
    def holdout_size(self) -> int:
        """Number of training images that the search training does not use."""
        return 0

    def needs_search(self, network: nn.Module) -> bool:
        """True if the method needs a search training to cut this network."""
        return self.learns

    @property
    def needs_segmenter(self) -> bool:
        """True if the method needs a segmenter."""
        return False

    def network(self, model: nn.Module) -> nn.Module:
        """Network that the selection belongs to, within the result of `prepare`."""
        return model

    @classmethod
    def presets(cls, teacher: nn.Module, task: str) -> dict[str, dict[str, Any]]:
        """``{name: {field of the run configuration: value}}``: settings of published results."""
        return {}

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        """Raise ``ValueError`` for settings with which `select` would fail, before any work.

        ``features``: True if there is an extractor. By default: a budget below the floor, for a method that may not remove
        whole branches.
        """
        least = getattr(self, "least", 0.5)
        floor = floor_widths(teacher, multiple=context.multiple, removing=least == 0)
        check_floor(context.budget, context.cost, floor)

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        """Network of the search training, made from a copy of the teacher."""
        return teacher

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> Learner | None:
        """Addition to a search training of so many steps; all of its state is in ``model``."""
        return None

    def join_search(self, model: nn.Module, context: MethodContext) -> None:  # noqa: B027  (most have nothing to share)
        """Share the work of `select` with another process that runs it."""

    @abstractmethod
    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        """Channels that stay, within the budget. Raises ``ValueError`` that names the floor if there are none."""


METHODS: Registry[type[Method]] = Registry("method")
"""Methods by the name of ``--method``."""


def make_method(name: str, options: Mapping[str, Any]) -> Method:
    """Method of that name with these options. Raises ``ValueError`` for an unknown name or option."""
    return from_json(METHODS[name], options)
