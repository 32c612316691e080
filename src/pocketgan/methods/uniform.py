"""One factor for every width: the baseline that every method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.pruning.fit_budget import best_channels, scaled_widths, uniform_widths
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.pruning.selection import Selection


@METHODS.register("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Method):
    """All groups scaled by the largest factor within the budget; in each group the channels that matter most stay."""

    importance: Literal["contribution", "l1"] = "contribution"
    """What decides within a group: the gauge-free contribution to the next layers, or the published filter L1 norm."""

    factor: float | None = None
    """This part of every width instead of the largest that the budget allows."""

    summary: ClassVar[str] = "one factor for all widths; the most important channels of each group stay"

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        """A given factor must meet the budget."""
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
        """The best channels at the uniform widths."""
        scores = IMPORTANCES[self.importance](model, context.images())
        return best_channels(scores, self._widths(model, context))

    def _widths(self, model: nn.Module, context: MethodContext) -> dict[str, int]:
        if self.factor is None:
            return uniform_widths(model, context.budget, context.cost, multiple=context.multiple)
        return scaled_widths(model, self.factor, multiple=context.multiple)
