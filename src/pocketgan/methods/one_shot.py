"""Methods without a search training: a selection by importance, in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.pruning.allocation import best_channels, scaled_widths, threshold_widths, uniform_widths
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.pruning.selection import Selection


@METHODS.register("magnitude")
@dataclass(frozen=True, kw_only=True)
class Magnitude(Method):
    """Channels with an importance above one global threshold, set exactly to the budget."""

    importance: Literal["contribution", "l1"] = "contribution"
    """Score: the contribution to the next layers, independent of scale, or the published filter L1 norm."""

    least: float = 0.5
    """No group is cut below this part of its ``uniform`` width; 0 allows removing whole blocks and levels."""

    summary: ClassVar[str] = "one threshold on the importance of all channels, exact to the budget"

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        scores = IMPORTANCES[self.importance](model, context.images())
        widths = threshold_widths(model, scores, context.budget, context.cost, multiple=context.multiple, least=self.least)
        return best_channels(scores, widths)


@METHODS.register("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Method):
    """All groups scaled by the largest factor within the budget, with the most important channels of each: the baseline."""

    importance: Literal["contribution", "l1"] = "contribution"
    """Score within a group: the contribution to the next layers, independent of scale, or the published filter L1 norm."""

    factor: float | None = None
    """Factor of every width, instead of the largest within the budget."""

    summary: ClassVar[str] = "one factor for all widths; the most important channels of each group stay"

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        super().check(teacher, context, features=features)
        if self.factor is None:
            return
        if not 0 < self.factor <= 1:
            raise ValueError(f"factor={self.factor}: a part of every width, above 0 and at most 1")
        budget, cost = context.budget, context.cost(self._widths(teacher, context))
        if not budget.allows(cost):
            raise ValueError(
                f"factor={self.factor} leaves {budget.of(cost):,} {budget.kind}, budget '{budget.asked}' allows "
                f"{budget.limit:,}: give a smaller factor, or none"
            )

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        scores = IMPORTANCES[self.importance](model, context.images())
        return best_channels(scores, self._widths(model, context))

    def _widths(self, model: nn.Module, context: MethodContext) -> dict[str, int]:
        if self.factor is None:
            return uniform_widths(model, context.budget, context.cost, multiple=context.multiple)
        return scaled_widths(model, self.factor, multiple=context.multiple)
