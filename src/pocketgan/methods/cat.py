"""CAT: one threshold on the norm scales of a trained teacher, in one step and without any sparsity term.

Jin et al. 2021, "Teachers Do More Than Teach: Compressing Image-to-Image Models", section 3.2. The search set: the scale of
the first producer of a group, so a residual stream is scored at its start (the last downsampling), a branch by its first norm.
Published by name with the inception generator, whose branches vanish with their last channel; here on every network.

Deviations and their reasons: the threshold is found exactly, among the scales themselves, instead of by a bisection that never
ends below the floor; equal scales are taken one by one, so the budget is met where the released code's two masks differ; the
network that is built is the one that was counted. Groups without a scale get a scale of 1, which a search training trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.core.spec import spec_of
from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.methods.slimming import ScaleLearner
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.allocation import apply_tied, best_channels, threshold_widths, width_rounder
from pocketgan.pruning.budget import check_floor
from pocketgan.pruning.gate import ungated
from pocketgan.pruning.importance import contribution
from pocketgan.pruning.scales import add_scales_, affine_norms, check_scales, first_scales, fold_scales_away_, scales
from pocketgan.pruning.selection import Selection

USE = 0.97
"""Part of the budget that is used at least, where single channels are not too expensive for it."""
LEAST = 16
"""Lower bound of groups that cannot vanish; the released scripts' ``prune_cin_lb``, for 64 channels and more."""


@METHODS.register("cat")
@dataclass(frozen=True, kw_only=True)
class Cat(Method):
    """Channels with a norm scale above one global threshold; published: then trained from fresh weights."""

    lower_bound: int | None = None
    """Smallest width of a group that cannot vanish; None: a quarter of it, at most 16 (published: 16 of 64 and more)."""

    summary: ClassVar[str] = "one threshold on the norms' scales as the teacher's training left them, exact to the budget"
    learns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.lower_bound is not None and self.lower_bound < 1:
            raise ValueError(f"lower_bound={self.lower_bound}: channels, at least 1")

    def needs_search(self, network: nn.Module) -> bool:
        known = {*scales(network), *spec_of(network).tied_groups}
        return any(width and group not in known for group, width in widths_of(network).items())

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        floor = apply_tied(self.protected_widths(teacher), widths_of(teacher), _tied_groups(teacher))
        round_up = width_rounder(teacher, multiple=context.multiple)
        check_floor(context.budget, context.cost, round_up(floor))
        if not self.needs_search(teacher):
            check_scales(first_scales(teacher))

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        if not self.needs_search(teacher):
            return teacher
        model = affine_norms(teacher)
        add_scales_(model)
        return model

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> ScaleLearner:
        return ScaleLearner(0.0, model, steps)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        scores, cost = check_scales(first_scales(model)), CostModel(ungated(model), context.cost.size)
        tied = _tied_groups(model)
        widths = threshold_widths(
            model,
            scores,
            context.budget,
            cost,
            multiple=context.multiple,
            protected=self.protected_widths(model),
            tied=tied,
            use=USE,
        )
        fold_scales_away_(model)
        if tied:
            contributions = contribution(model, context.images())
            scores |= {group: contributions[group] for group in tied}
        return best_channels(scores, widths)

    def protected_widths(self, model: nn.Module) -> dict[str, int]:
        """Lower bound of every group."""
        removable = removable_groups(model)
        bounds = {group: self.lower_bound or max(1, min(LEAST, width // 4)) for group, width in widths_of(model).items()}
        return {group: 0 if group in removable else min(width, bounds[group]) for group, width in widths_of(model).items()}


def _tied_groups(model: nn.Module) -> dict[str, str]:
    """``{group without a scale: group that it follows}``."""
    known = scales(model)
    return {group: leader for group, leader in spec_of(model).tied_groups.items() if group not in known}
