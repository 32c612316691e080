"""One threshold on the importance of every channel of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.pruning.fit_budget import best_channels, threshold_widths
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.pruning.selection import Selection


@METHODS.register("magnitude")
@dataclass(frozen=True, kw_only=True)
class Magnitude(Method):
    """The channels whose importance is above one global threshold, set exactly to the budget."""

    importance: Literal["contribution", "l1"] = "contribution"
    """What is compared: the gauge-free contribution to the next layers, or the published filter L1 norm."""

    least: float = 0.5
    """No group is cut below this part of the width that ``uniform`` would give it; 0 lets whole blocks and levels go."""

    summary: ClassVar[str] = "one threshold on the importance of all channels, exact to the budget"

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        """Everything above the threshold."""
        scores = IMPORTANCES[self.importance](model, context.images())
        widths = threshold_widths(model, scores, context.budget, context.cost, multiple=context.multiple, least=self.least)
        return best_channels(scores, widths)
