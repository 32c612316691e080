"""From scores or a factor to the largest widths within a budget, exactly: every cost is monotone in the widths."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.budget import Budget, check_floor
from pocketgan.pruning.importance import Scores
from pocketgan.pruning.selection import group_requirements, valid_widths

Widths = dict[str, int]


def width_rounder(
    model: nn.Module, *, multiple: int = 1, removing: bool = True, absent: Collection[str] = ()
) -> Callable[[Mapping[str, int]], Widths]:
    """Function that rounds widths up to a multiple: at most the full width, at least one channel (or ``multiple``).

    With ``removing``, a group whose branch can be removed may be 0; the groups in ``absent`` are 0.
    """
    full, removable = widths_of(model), removable_groups(model) if removing else frozenset()
    requirements = group_requirements(model)

    def round_up(wanted: Mapping[str, int]) -> Widths:
        widths = {}
        for group, width in full.items():
            least = 0 if group in removable else 1
            widths[group] = min(width, -(-max(wanted[group], min(least, width)) // multiple) * multiple)
        widths |= dict.fromkeys(absent, 0)
        return valid_widths(widths, full, requirements)

    return round_up


def floor_widths(model: nn.Module, *, multiple: int = 1, removing: bool = True, absent: Collection[str] = ()) -> Widths:
    """Smallest widths of the network."""
    round_up = width_rounder(model, multiple=multiple, removing=removing, absent=absent)
    return round_up(dict.fromkeys(widths_of(model), 0))


def protected_widths(model: nn.Module, budget: Budget, cost: CostModel, *, least: float, multiple: int = 1) -> Widths:
    """Part ``least`` of the uniform width (`uniform_widths`) of every group, the lower bound of a method; 0 for 0."""
    if least == 0:
        return dict.fromkeys(widths_of(model), 0)
    uniform = uniform_widths(model, budget, cost, multiple=multiple)
    return {group: int(least * width) for group, width in uniform.items()}


def largest_count(budget: Budget, cost: CostModel, most: int, widths_at: Callable[[int], Widths]) -> int:
    """Largest count up to ``most`` (costs rise with the count) within the budget; 0 if there is none."""
    return bisect_right(range(1, most + 1), False, key=lambda count: not budget.allows(cost(widths_at(count))))


def uniform_widths(
    model: nn.Module, budget: Budget, cost: CostModel, *, multiple: int = 1, shares: Mapping[str, float] | None = None
) -> Widths:
    """All groups scaled by the largest common factor within the budget, each times its share (1); no branch is removed.

    Raises ``ValueError`` that names the floor for a budget below it.
    """
    check_floor(budget, cost, floor_widths(model, multiple=multiple, removing=False))
    full, round_up = widths_of(model), width_rounder(model, multiple=multiple, removing=False)
    shared = {group: width * (shares or {}).get(group, 1.0) for group, width in full.items()}
    factors = sorted({0.0} | {kept / shared[group] for group, width in full.items() for kept in range(1, width + 1)})

    def widths_at(index: int) -> Widths:
        return round_up(_scaled(shared, factors[index]))

    return widths_at(largest_count(budget, cost, len(factors) - 1, widths_at))


def scaled_widths(model: nn.Module, factor: float, *, multiple: int = 1) -> Widths:
    """``factor`` times every width, rounded down to a channel and up to the multiple; no branch is removed."""
    return width_rounder(model, multiple=multiple, removing=False)(_scaled(widths_of(model), factor))


def _scaled(widths: Mapping[str, float], factor: float) -> Widths:
    return {group: int(factor * width + 1e-9) for group, width in widths.items()}


def threshold_widths(
    model: nn.Module,
    scores: Scores,
    budget: Budget,
    cost: CostModel,
    *,
    multiple: int = 1,
    least: float = 0.0,
    protected: Mapping[str, int] | None = None,
    absent: Collection[str] = (),
    tied: Mapping[str, str] | None = None,
    use: float = 0.0,
) -> Widths:
    """Number of channels of each group with scores above the lowest common threshold within the budget.

    No group falls below the part ``least`` of its uniform width (`uniform_widths`); with 0 whole branches may be removed. No
    group falls below its ``protected`` width; the groups in ``absent`` are removed already. Ties are broken by the order of
    the groups, so that the budget is met as closely as one channel allows. Raises ``ValueError`` that names the floor for a
    budget below it.

    The groups in ``tied``, ``{group: leader}``, have no scores: each keeps the same part of its channels as its leader, which
    is narrowed by steps that keep all widths whole numbers. Where less than the part ``use`` of the budget would be used, as
    the next channel is too expensive, the group of that channel stays as it is and the others continue.
    """
    removing = least == 0
    full = widths_of(model)
    check_floor(budget, cost, floor_widths(model, multiple=multiple, removing=removing, absent=absent))
    floor = protected_widths(model, budget, cost, least=least, multiple=multiple)
    floor = {group: max(width, (protected or {}).get(group, 0)) for group, width in floor.items()}
    owners = [group for group, values in scores.items() for _ in values]
    order = torch.cat([values.double().cpu() for values in scores.values()]).argsort(descending=True, stable=True)
    ranked = [owners[index] for index in order.tolist()]
    round_up = width_rounder(model, multiple=multiple, removing=removing, absent=absent)

    def widths_at(kept: Sequence[str], ranked: Sequence[str] = (), count: int = 0) -> Widths:
        counts = Counter([*kept, *ranked[:count]])
        return round_up(apply_tied({group: max(counts[group], floor[group]) for group in full}, full, tied or {}))

    check_floor(budget, cost, widths_at(()))
    kept: list[str] = []
    while True:
        count = largest_count(budget, cost, len(ranked), partial(widths_at, tuple(kept), ranked))
        kept += ranked[:count]
        widths = widths_at(kept)
        if count == len(ranked) or budget.of(cost(widths)) >= use * budget.limit:
            return widths
        ranked = [group for group in ranked[count:] if group != ranked[count]]


def apply_tied(widths: Mapping[str, int], full: Mapping[str, int], tied: Mapping[str, str]) -> Widths:
    """``widths``, in which every group in ``tied``, ``{group: leader}``, keeps the same part of its channels as its leader.

    Leaders are narrowed, at least to one step, by steps that keep all widths whole numbers.
    """
    widths = dict(widths)
    for leader in set(tied.values()):
        units = math.gcd(full[leader], *(full[group] for group, other in tied.items() if other == leader))
        step = full[leader] // units
        widths[leader] = max(widths[leader] // step, 1) * step
    for group, leader in tied.items():
        widths[group] = full[group] * widths[leader] // full[leader]
    return widths


def threshold_at(scores: Scores, budget: Budget, cost: CostModel) -> float:
    """Score above which the channels meet the budget: between the last channel within it and the first outside.

    Quick enough for every step of a search: no group is protected, each keeps one channel at least.
    """
    values = torch.cat([values.double().cpu() for values in scores.values()]).sort(descending=True).values
    ascending = {group: np.sort(values.double().cpu().numpy()) for group, values in scores.items()}

    def widths_at(kept: int) -> Widths:
        lowest = float(values[kept])
        return {
            group: max(1, len(group_scores) - int(np.searchsorted(group_scores, lowest)))
            for group, group_scores in ascending.items()
        }

    count = largest_count(budget, cost, len(values) - 1, widths_at)
    return float(values[count : count + 2].mean())


def best_channels(scores: Scores, widths: Mapping[str, int]) -> dict[str, Tensor]:
    """Selection of the highest-scoring channels at those widths, in their original order."""
    return {
        group: values.cpu().argsort(descending=True, stable=True)[: widths[group]].sort().values
        for group, values in scores.items()
    }


GAIN = 0.5  # change of the log of the strength in an update when scores move at full speed and should stand still
AHEAD = 10  # updates within which the threshold should be back on its path
RANGE = (1e-6, 1e3)


class SparsityController(nn.Module):
    """Controller of the strength of a sparsity term, instead of a constant to tune; state in buffers, so checkpoints have it.

    The controlled value is the threshold: the score above which the channels meet the budget (`threshold_at`). Where closed
    means a score of 0 or below, the threshold must come to 0 by the end of the search. The threshold shows early what the
    cost shows only once channels have closed, all at once: controlled by the cost, a search overshoots.
    """

    def __init__(self, strength: float):
        super().__init__()
        self.register_buffer("strength", torch.tensor(strength))
        self.register_buffer("first", torch.tensor(math.nan))
        self.register_buffer("last", torch.tensor(math.nan))
        self.strength: Tensor
        self.first: Tensor
        """Threshold at the start."""
        self.last: Tensor
        """Threshold at the last update."""

    @torch.no_grad()
    def update_(self, threshold: float, *, left: float, full: float) -> None:
        """Set the strength until the next update.

        ``left`` falls from 1 to 0 over the search: the part of its first value that the threshold should have now. ``full``
        is the largest possible change of a score between two updates, the unit of speeds.
        """
        if not bool(self.first.isfinite()):
            self.first.fill_(threshold)
            self.last.fill_(threshold)
        speed = (float(self.last) - threshold) / full
        wanted = (threshold - float(self.first) * left) / (AHEAD * full)
        error = max(-1.0, min(1.0, wanted)) - max(-1.0, min(1.0, speed))
        self.strength.mul_(math.exp(GAIN * error)).clamp_(*RANGE)
        self.last.fill_(threshold)
