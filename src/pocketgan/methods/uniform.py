"""One factor for every width: the baseline that every method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from pocketgan.compress.fit_budget import best_channels, uniform_widths
from pocketgan.compress.importance import IMPORTANCES
from pocketgan.compress.selection import Selection
from pocketgan.methods.base import METHODS, Method, Setting


@METHODS.register("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Method):
    """All groups scaled by the largest factor within the budget; in each group the channels that matter most stay."""

    importance: Literal["contribution", "l1"] = "contribution"
    """What decides within a group: the gauge-free contribution to the next layers, or the published filter L1 norm."""

    summary: ClassVar[str] = "one factor for all widths; the most important channels of each group stay"

    def select(self, model: nn.Module, setting: Setting) -> Selection:
        """The best channels at the uniform widths."""
        widths = uniform_widths(model, setting.budget, setting.cost, multiple=setting.multiple)
        return best_channels(IMPORTANCES[self.importance](model, setting.images()), widths)
