"""CAT: one threshold on the scales of a trained teacher's norms, in one step and without any sparsity term.

Jin et al. 2021, "Teachers Do More Than Teach: Compressing Image-to-Image Models", section 3.2. The search set: the scale that
first makes a group's channels, so a residual stream is evaluated where it begins (the last downsampling), a branch by its first
norm. Published by name with the inception generator, whose branches vanish with their last channel; here on every network.

Where we deviate, and why: the threshold is found exactly, among the scales themselves, instead of by a bisection that never
ends below the floor; equal scales are taken one by one, so the budget is met where the released code's two masks differ; the
network that is built is the one that was counted. What has no scale of its own is given one of 1, which a first fit trains.
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
from pocketgan.pruning.affine import affine_norms
from pocketgan.pruning.budget import check_floor
from pocketgan.pruning.fit_budget import apply_tied, best_channels, rounded, threshold_widths
from pocketgan.pruning.gate import ungated
from pocketgan.pruning.importance import contribution
from pocketgan.pruning.scales import add_scales_, check_scales, first_scales, fold_scales_away_, scales
from pocketgan.pruning.selection import Selection

USE = 0.97
"""The part of the budget that is met at least, where single channels are not too dear for it."""
LEAST = 16
"""Channels that no group falls below which cannot vanish; the released scripts' ``prune_cin_lb``, for 64 and more."""


@METHODS.register("cat")
@dataclass(frozen=True, kw_only=True)
class Cat(Method):
    """The channels whose norm scale is above one global threshold; published: then trained from fresh weights."""

    lower_bound: int | None = None
    """The least width of a group that cannot vanish; None: a quarter of it, at most 16 (published: 16 of 64 and more)."""

    summary: ClassVar[str] = "one threshold on the norms' scales as the teacher's training left them, exact to the budget"
    learns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.lower_bound is not None and self.lower_bound < 1:
            raise ValueError(f"lower_bound={self.lower_bound}: channels, at least 1")

    def needs_search(self, network: nn.Module) -> bool:
        """Where some groups have no scale of their own: those that are inserted are to be trained."""
        return bool(_without_scale(network))

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        """The floor with the lower bounds; scales that say nothing."""
        floor = apply_tied(self._protected(teacher), widths_of(teacher), _followers(teacher))
        floor = rounded(floor, teacher, multiple=context.multiple)
        check_floor(context.budget, context.cost, floor)
        if not self.needs_search(teacher):
            check_scales(first_scales(teacher))

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        """The teacher, with a scale of 1 wherever a group has none."""
        if not self.needs_search(teacher):
            return teacher
        model = affine_norms(teacher)
        add_scales_(model)
        return model

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> ScaleLearner:
        """Trains the scales at a rate of their own; nothing presses on them."""
        return ScaleLearner(0.0, model, steps)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        """Everything above the threshold; scales that were inserted are folded into the weights."""
        scores, cost = check_scales(first_scales(model)), CostModel(ungated(model), context.cost.size)
        follow = _followers(model)
        widths = threshold_widths(
            model,
            scores,
            context.budget,
            cost,
            multiple=context.multiple,
            protected=self._protected(model),
            follow=follow,
            use=USE,
        )
        fold_scales_away_(model)
        if follow:
            others = contribution(model, context.images())
            scores |= {group: others[group] for group in follow}
        return best_channels(scores, widths)

    def _protected(self, model: nn.Module) -> dict[str, int]:
        vanishing = removable_groups(model)
        return {group: 0 if group in vanishing else self._least(width) for group, width in widths_of(model).items()}

    def _least(self, width: int) -> int:
        return min(width, self.lower_bound if self.lower_bound is not None else max(1, min(LEAST, width // 4)))


def _followers(model: nn.Module) -> dict[str, str]:
    """The groups that no scale speaks for, and the one that each goes along with."""
    known = scales(model)
    return {group: leader for group, leader in spec_of(model).tied_groups.items() if group not in known}


def _without_scale(model: nn.Module) -> list[str]:
    """The groups that no norm with a scale makes, and that go along with no other."""
    known = {*scales(model), *spec_of(model).tied_groups}
    return [group for group, width in widths_of(model).items() if width and group not in known]
