"""Every method is one sentence: prepare, fit, select, shrink, fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from pocketgan.compress.budget import Budget
from pocketgan.compress.selection import Selection
from pocketgan.core.config import from_json
from pocketgan.core.registry import Registry
from pocketgan.metrics.cost import CostModel
from pocketgan.train.loop import Learner


@dataclass(frozen=True)
class Setting:
    """What a method sees when it selects."""

    budget: Budget
    cost: CostModel
    multiple: int
    """Widths are multiples of this where they can be."""
    images: Callable[[], Iterable[Tensor]]
    """Some source images, N x C x H x W in [-1, 1], the same ones at every call."""


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """How to decide which channels stay. A subclass is one file; its fields are its options."""

    summary: ClassVar[str] = ""
    """One line for ``pocketgan methods``."""
    learns: ClassVar[bool] = False
    """Whether it needs a first fit."""

    @classmethod
    def presets(cls, teacher: nn.Module, task: str) -> dict[str, dict[str, Any]]:
        """``{name: {field of the whole run: value}}``: settings under which published numbers were made."""
        return {}

    def prepare(self, teacher: nn.Module, setting: Setting) -> nn.Module:
        """The network of the first fit, made from a copy of the teacher."""
        return teacher

    def learner(self, model: nn.Module, setting: Setting, steps: int) -> Learner | None:
        """What the method adds to the first fit of so many steps; all of its state lies in ``model``."""
        return None

    @abstractmethod
    def select(self, model: nn.Module, setting: Setting) -> Selection:
        """The channels that stay; never above the budget. ``ValueError`` that names the floor if there are none."""


METHODS: Registry[type[Method]] = Registry("method")
"""By the name of ``--method``."""


def make_method(name: str, options: Mapping[str, Any]) -> Method:
    """The method of that name. Raises ``ValueError`` for an unknown name or option."""
    return from_json(METHODS[name], options)
