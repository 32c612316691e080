"""From scores or a factor to the largest selection within a budget, exactly: every cost is monotone in what is kept."""

from __future__ import annotations

import math
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
from pocketgan.pruning.selection import check_widths, drop_dead_groups, readers

Widths = dict[str, int]


def rounded(
    wanted: Mapping[str, int],
    model: nn.Module,
    *,
    multiple: int = 1,
    removing: bool = True,
    absent: Collection[str] = (),
) -> Widths:
    """``wanted`` widths as they may be: rounded up to a multiple, at most whole, at least one (or ``multiple``).

    With ``removing``, a group whose branch can go may be 0; the groups in ``absent`` are.
    """
    return rounding(model, multiple=multiple, removing=removing, absent=absent)(wanted)


def rounding(
    model: nn.Module, *, multiple: int = 1, removing: bool = True, absent: Collection[str] = ()
) -> Callable[[Mapping[str, int]], Widths]:
    """`rounded` for a network that is looked at once and asked often."""
    whole, removable = widths_of(model), removable_groups(model) if removing else frozenset()
    users = readers(model)

    def at(wanted: Mapping[str, int]) -> Widths:
        widths = {}
        for group, width in whole.items():
            least = 0 if group in removable else 1
            widths[group] = min(width, -(-max(wanted[group], min(least, width)) // multiple) * multiple)
        widths |= dict.fromkeys(absent, 0)
        check_widths(widths, whole, users)
        return drop_dead_groups(widths, users)

    return at


def floor_widths(model: nn.Module, *, multiple: int = 1, removing: bool = True, absent: Collection[str] = ()) -> Widths:
    """The least widths that the network may have."""
    return rounded(dict.fromkeys(widths_of(model), 0), model, multiple=multiple, removing=removing, absent=absent)


def protected_widths(model: nn.Module, budget: Budget, cost: CostModel, *, least: float, multiple: int = 1) -> Widths:
    """The part ``least`` of every group's uniform width (`uniform_widths`): what a method may not cut below; 0 for 0."""
    if least == 0:
        return dict.fromkeys(widths_of(model), 0)
    uniform = uniform_widths(model, budget, cost, multiple=multiple)
    return {group: int(least * width) for group, width in uniform.items()}


def largest_count(budget: Budget, cost: CostModel, most: int, widths_at: Callable[[int], Widths]) -> int:
    """The largest count up to ``most`` (costs rise with it) that is within the budget; 0 if none is."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if budget.allows(cost(widths_at(middle))) else (low, middle - 1)
    return low


def largest_within(
    budget: Budget, cost: CostModel, candidates: Sequence[float], widths_at: Callable[[float], Widths]
) -> Widths:
    """The widths of the largest candidate (sorted ascending, costs rising) within the budget, by bisection."""
    return widths_at(candidates[largest_count(budget, cost, len(candidates) - 1, lambda index: widths_at(candidates[index]))])


def uniform_widths(model: nn.Module, budget: Budget, cost: CostModel, *, multiple: int = 1) -> Widths:
    """All groups scaled by the largest one factor that meets the budget; no branch is removed.

    Raises ``ValueError`` that names the floor for a budget below it.
    """
    check_floor(budget, cost, floor_widths(model, multiple=multiple, removing=False))
    whole, at = widths_of(model), rounding(model, multiple=multiple, removing=False)
    factors = sorted({0.0} | {kept / width for width in whole.values() for kept in range(1, width + 1)})
    return largest_within(budget, cost, factors, lambda factor: at(_scaled(whole, factor)))


def scaled_widths(model: nn.Module, factor: float, *, multiple: int = 1) -> Widths:
    """That part of every width, rounded down to a channel and up to the multiple; no branch is removed."""
    return rounded(_scaled(widths_of(model), factor), model, multiple=multiple, removing=False)


def _scaled(whole: Mapping[str, int], factor: float) -> Widths:
    return {group: int(factor * width + 1e-9) for group, width in whole.items()}


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
    follow: Mapping[str, str] | None = None,
    use: float = 0.0,
) -> Widths:
    """How many channels of each group score above the lowest one threshold that meets the budget.

    No group falls below the part ``least`` of its uniform width (`uniform_widths`); with 0 whole branches may go. Nor does
    one fall below its ``protected`` width; those in ``absent`` are gone already. Ties are broken by the order of the groups,
    so that the budget is met as closely as one channel allows. Raises ``ValueError`` that names the floor for a budget
    below it.

    The groups in ``follow`` have no scores: they keep the same part of their channels as the group that they name, which is
    narrowed by steps that leave all of them whole numbers. Where less than the part ``use`` of the budget would be met, as
    the next channel costs too much, its group stays as it is and the others go on.
    """
    removing = least == 0
    whole = widths_of(model)
    check_floor(budget, cost, floor_widths(model, multiple=multiple, removing=removing, absent=absent))
    floor = protected_widths(model, budget, cost, least=least, multiple=multiple)
    floor = {group: max(width, (protected or {}).get(group, 0)) for group, width in floor.items()}
    owners = [group for group, values in scores.items() for _ in values]
    order = torch.cat([values.double().cpu() for values in scores.values()]).argsort(descending=True, stable=True)
    ranked = [owners[index] for index in order.tolist()]
    at = rounding(model, multiple=multiple, removing=removing, absent=absent)

    def widths_at(kept: Sequence[str], ranked: Sequence[str] = (), count: int = 0) -> Widths:
        counts = Counter([*kept, *ranked[:count]])
        return at(apply_tied({group: max(counts[group], floor[group]) for group in whole}, whole, follow or {}))

    check_floor(budget, cost, widths_at(()))
    kept: list[str] = []
    while True:
        count = largest_count(budget, cost, len(ranked), partial(widths_at, tuple(kept), ranked))
        kept += ranked[:count]
        widths = widths_at(kept)
        if count == len(ranked) or budget.of(cost(widths)) >= use * budget.limit:
            return widths
        ranked = [group for group in ranked[count:] if group != ranked[count]]


def apply_tied(wanted: Mapping[str, int], whole: Mapping[str, int], follow: Mapping[str, str]) -> Widths:
    """``wanted`` widths, in which every group in ``follow`` keeps the part of its channels that its leader does.

    Leaders are narrowed, at least to one step, by steps that leave all of them whole numbers.
    """
    widths = dict(wanted)
    for leader in set(follow.values()):
        units = math.gcd(whole[leader], *(whole[group] for group, other in follow.items() if other == leader))
        step = whole[leader] // units
        widths[leader] = max(widths[leader] // step, 1) * step
    for follower, leader in follow.items():
        widths[follower] = whole[follower] * widths[leader] // whole[leader]
    return widths


def threshold_at(scores: Scores, budget: Budget, cost: CostModel) -> float:
    """The score above which the channels meet the budget: between the last one that fits in and the first that does not.

    Quick enough for every step of a search: no group is protected, each keeps one channel at least.
    """
    values = torch.cat([values.double().cpu() for values in scores.values()]).sort(descending=True).values
    own = {group: np.sort(values.double().cpu().numpy()) for group, values in scores.items()}

    def widths_at(kept: int) -> Widths:
        lowest = float(values[kept])
        return {group: max(1, len(of) - int(np.searchsorted(of, lowest))) for group, of in own.items()}

    low = largest_count(budget, cost, len(values) - 1, widths_at)
    return float(values[low : low + 2].mean())


def best_channels(scores: Scores, widths: Mapping[str, int]) -> dict[str, Tensor]:
    """The selection of the highest-scoring channels at those widths, in their old order."""
    return {
        group: values.cpu().argsort(descending=True, stable=True)[: widths[group]].sort().values
        for group, values in scores.items()
    }
