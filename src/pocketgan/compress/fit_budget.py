"""From scores or a factor to the largest selection within a budget, exactly: every cost is monotone in what is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pocketgan.compress.budget import Budget, check_floor
from pocketgan.compress.importance import Scores
from pocketgan.compress.selection import settled
from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.metrics.cost import CostModel

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
    whole, removable = widths_of(model), removable_groups(model) if removing else frozenset()
    widths = {}
    for group, width in whole.items():
        least = 0 if group in removable else 1
        widths[group] = min(width, -(-max(wanted[group], min(least, width)) // multiple) * multiple)
    return settled(model, widths | dict.fromkeys(absent, 0))


def floor_widths(model: nn.Module, *, multiple: int = 1, removing: bool = True, absent: Collection[str] = ()) -> Widths:
    """The least widths that the network may have."""
    return rounded(dict.fromkeys(widths_of(model), 0), model, multiple=multiple, removing=removing, absent=absent)


def protected_widths(model: nn.Module, budget: Budget, cost: CostModel, *, least: float, multiple: int = 1) -> Widths:
    """The part ``least`` of every group's uniform width (`uniform_widths`): what a method may not cut below; 0 for 0."""
    if least == 0:
        return dict.fromkeys(widths_of(model), 0)
    uniform = uniform_widths(model, budget, cost, multiple=multiple)
    return {group: int(least * width) for group, width in uniform.items()}


def largest_within(
    budget: Budget, cost: CostModel, candidates: Sequence[float], widths_at: Callable[[float], Widths]
) -> Widths:
    """The widths of the largest candidate (sorted ascending, costs rising) within the budget, by bisection."""
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if budget.allows(cost(widths_at(candidates[middle]))) else (low, middle - 1)
    return widths_at(candidates[low])


def uniform_widths(model: nn.Module, budget: Budget, cost: CostModel, *, multiple: int = 1) -> Widths:
    """All groups scaled by the largest one factor that meets the budget; no branch is removed.

    Raises ``ValueError`` that names the floor for a budget below it.
    """
    check_floor(budget, cost, floor_widths(model, multiple=multiple, removing=False))
    factors = sorted({0.0} | {kept / width for width in widths_of(model).values() for kept in range(1, width + 1)})
    return largest_within(budget, cost, factors, lambda factor: scaled_widths(model, factor, multiple=multiple))


def scaled_widths(model: nn.Module, factor: float, *, multiple: int = 1) -> Widths:
    """That part of every width, rounded down to a channel and up to the multiple; no branch is removed."""
    wanted = {group: int(factor * width + 1e-9) for group, width in widths_of(model).items()}
    return rounded(wanted, model, multiple=multiple, removing=False)


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
) -> Widths:
    """How many channels of each group score above the lowest one threshold that meets the budget.

    No group falls below the part ``least`` of its uniform width (`uniform_widths`); with 0 whole branches may go. Nor does
    one fall below its ``protected`` width; those in ``absent`` are gone already. Ties are broken by the order of the groups,
    so that the budget is met as closely as one channel allows. Raises ``ValueError`` that names the floor for a budget
    below it.
    """
    removing = least == 0
    check_floor(budget, cost, floor_widths(model, multiple=multiple, removing=removing, absent=absent))
    floor = protected_widths(model, budget, cost, least=least, multiple=multiple)
    floor = {group: max(width, (protected or {}).get(group, 0)) for group, width in floor.items()}
    owners = [group for group, values in scores.items() for _ in values]
    order = torch.cat([values.double().cpu() for values in scores.values()]).argsort(descending=True, stable=True)
    ranked = [owners[index] for index in order.tolist()]

    def widths_at(kept: float) -> Widths:
        wanted = dict.fromkeys(widths_of(model), 0)
        for group in ranked[: int(kept)]:
            wanted[group] += 1
        wanted = {group: max(width, floor[group]) for group, width in wanted.items()}
        return rounded(wanted, model, multiple=multiple, removing=removing, absent=absent)

    check_floor(budget, cost, widths_at(0))
    return largest_within(budget, cost, range(len(ranked) + 1), widths_at)


def threshold_at(scores: Scores, budget: Budget, cost: CostModel) -> float:
    """The score above which the channels meet the budget: between the last one that fits in and the first that does not.

    Quick enough for every step of a search: no group is protected, each keeps one channel at least.
    """
    values = torch.cat([values.double().cpu() for values in scores.values()]).sort(descending=True).values
    own = {group: np.sort(values.double().cpu().numpy()) for group, values in scores.items()}

    def widths_at(kept: float) -> Widths:
        lowest = float(values[int(kept)])
        return {group: max(1, len(of) - int(np.searchsorted(of, lowest))) for group, of in own.items()}

    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if budget.allows(cost(widths_at(middle))) else (low, middle - 1)
    return float(values[low : low + 2].mean())


def best_channels(scores: Scores, widths: Mapping[str, int]) -> dict[str, Tensor]:
    """The selection of the highest-scoring channels at those widths, in their old order."""
    return {
        group: values.cpu().argsort(descending=True, stable=True)[: widths[group]].sort().values
        for group, values in scores.items()
    }
