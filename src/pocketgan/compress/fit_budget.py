"""From scores or a factor to the largest selection within a budget, exactly: every cost is monotone in what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pocketgan.compress.budget import Budget, check_floor
from pocketgan.compress.importance import Scores
from pocketgan.compress.selection import settled
from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.metrics.cost import CostModel

Widths = dict[str, int]


def rounded(wanted: Mapping[str, int], model: nn.Module, *, multiple: int = 1, removing: bool = True) -> Widths:
    """``wanted`` widths as they may be: rounded up to a multiple, at most whole, at least one (or ``multiple``).

    With ``removing``, a group whose branch can go may be 0.
    """
    whole, removable = widths_of(model), removable_groups(model) if removing else frozenset()
    widths = {}
    for group, width in whole.items():
        least = 0 if group in removable else 1
        widths[group] = min(width, -(-max(wanted[group], min(least, width)) // multiple) * multiple)
    return settled(model, widths)


def floor_widths(model: nn.Module, *, multiple: int = 1, removing: bool = True) -> Widths:
    """The least widths that the network may have."""
    return rounded(dict.fromkeys(widths_of(model), 0), model, multiple=multiple, removing=removing)


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
    whole = widths_of(model)
    check_floor(budget, cost, floor_widths(model, multiple=multiple, removing=False))

    def widths_at(factor: float) -> Widths:
        wanted = {group: int(factor * width + 1e-9) for group, width in whole.items()}
        return rounded(wanted, model, multiple=multiple, removing=False)

    factors = sorted({0.0} | {kept / width for width in whole.values() for kept in range(1, width + 1)})
    return largest_within(budget, cost, factors, widths_at)


def threshold_widths(
    model: nn.Module, scores: Scores, budget: Budget, cost: CostModel, *, multiple: int = 1, least: float = 0.0
) -> Widths:
    """How many channels of each group score above the lowest one threshold that meets the budget.

    No group falls below the part ``least`` of its uniform width (`uniform_widths`); with 0 whole branches may go. Ties are
    broken by the order of the groups, so that the budget is met as closely as one channel allows. Raises ``ValueError``
    that names the floor for a budget below it.
    """
    removing = least == 0
    check_floor(budget, cost, floor_widths(model, multiple=multiple, removing=removing))
    floor = dict.fromkeys(widths_of(model), 0)
    if not removing:
        uniform = uniform_widths(model, budget, cost, multiple=multiple)
        floor = {group: int(least * width) for group, width in uniform.items()}
    owners = [group for group, values in scores.items() for _ in values]
    order = torch.cat([values.double().cpu() for values in scores.values()]).argsort(descending=True, stable=True)
    ranked = [owners[index] for index in order.tolist()]

    def widths_at(kept: float) -> Widths:
        wanted = dict.fromkeys(widths_of(model), 0)
        for group in ranked[: int(kept)]:
            wanted[group] += 1
        wanted = {group: max(width, floor[group]) for group, width in wanted.items()}
        return rounded(wanted, model, multiple=multiple, removing=removing)

    return largest_within(budget, cost, range(len(ranked) + 1), widths_at)


def best_channels(scores: Scores, widths: Mapping[str, int]) -> dict[str, Tensor]:
    """The selection of the highest-scoring channels at those widths, in their old order."""
    return {
        group: values.cpu().argsort(descending=True, stable=True)[: widths[group]].sort().values
        for group, values in scores.items()
    }
