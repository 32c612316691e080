"""Widths by what can be reconstructed: a search without training over how the budget is divided between stages."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pocketgan.core.dims import widths_of
from pocketgan.core.inputs import ModelInputs, as_tuple
from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.image import psnr
from pocketgan.pruning.allocation import best_channels, uniform_widths
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.pruning.reconstruct import images_of, reconstruct_
from pocketgan.pruning.selection import Selection, shrink
from pocketgan.utils.progress import Reporter
from pocketgan.utils.registry import check_at_least

ROWS = 2**13
"""Rows of a layer's regression: enough to rank widths, a thirtieth of those of the student's reconstruction."""
UNSEEN = 4
"""Images that compare the candidates and that no regression sees."""
STEP, FINEST = 1.5, 1.1
"""Factor by which a stage becomes wider or narrower beside the others: at first, and the smallest that is tried."""

Shares = tuple[float, ...]
"""Factor of every stage beside the others; 1 for all is ``uniform``."""


@METHODS.register("allocation")
@dataclass(frozen=True, kw_only=True)
class Allocation(Method):
    """Widths whose reconstruction is nearest to the teacher (PSNR), by a coordinate search from the uniform ones.

    Groups of equal width and cost are one stage. A candidate is a factor for each stage; the largest common factor within the
    budget gives its widths, and each is reconstructed from a few images (`reconstruct_`) and compared on others.
    """

    candidates: int = 24
    """Widths that are reconstructed and compared."""
    images: int = 12
    """Training images of each reconstruction."""

    summary: ClassVar[str] = "the widths that reconstruct the teacher best, by a search without training"

    def __post_init__(self) -> None:
        check_at_least(self, candidates=1, images=2)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        teacher = copy.deepcopy(model).to(context.device)
        scores = IMPORTANCES["contribution"](model, context.images())
        stages = stages_of(widths_of(model), context.cost)
        seen, unseen = _divided(list(context.images(self.images + UNSEEN)), context.device)
        wanted = images_of(teacher, unseen)

        def selected(shares: Shares) -> Selection:
            of_group = {group: share for stage, share in zip(stages, shares, strict=True) for group in stage}
            widths = uniform_widths(model, context.budget, context.cost, multiple=context.multiple, shares=of_group)
            return best_channels(scores, widths)

        def score(shares: Shares) -> float:
            selection = selected(shares)
            student = shrink(teacher, selection)
            reconstruct_(student, teacher, selection, seen, seed=context.seed, rows=ROWS)
            return float(psnr(images_of(student, unseen), wanted).mean())

        with (context.reporter or Reporter()).task("allocation", self.candidates) as tick:
            found = coordinate_search(score, len(stages), self.candidates, lambda done, best: tick(done, {"psnr": best}))
        return selected(found)


def stages_of(widths: Mapping[str, int], cost: CostModel) -> list[list[str]]:
    """Groups of equal width and equal costs, the cheapest stage first: widening that one costs the others least."""
    shares = cost.by_group()
    stages: dict[tuple[int, int], list[str]] = {}
    for group, width in widths.items():
        stages.setdefault((width, shares[group].macs), []).append(group)
    return sorted(stages.values(), key=lambda stage: sum(shares[group].macs for group in stage))


def coordinate_search(
    score: Callable[[Shares], float], length: int, candidates: int, tick: Callable[[int, float], object]
) -> Shares:
    """Shares with the highest score of ``candidates`` at most, from 1 for all on.

    One share after the other is multiplied with a step as long as that helps, or else divided; a round without any gain takes
    the root of the step. ``tick`` gets the number of candidates and the best score so far.
    """
    best: Shares = (1.0,) * length
    known = {best: score(best)}
    tick(1, known[best])

    def try_(place: int, factor: float) -> bool:
        nonlocal best
        moved = (*best[:place], best[place] * factor, *best[place + 1 :])
        moved = tuple(round(share / max(moved), 9) for share in moved)  # shares that are multiples of others are the same
        if moved in known or len(known) == candidates:
            return False
        known[moved] = score(moved)
        better = known[moved] > known[best]
        best = moved if better else best
        tick(len(known), known[best])
        return better

    step = STEP
    while len(known) < candidates and step >= FINEST:
        before = best
        for place in range(length):
            if try_(place, step):
                while try_(place, step):
                    pass
            else:
                while try_(place, 1 / step):
                    pass
        step = step if best != before else step**0.5
    return best


def _divided(batches: Sequence[ModelInputs], device: torch.device) -> tuple[list[ModelInputs], list[ModelInputs]]:
    """Batches of the regressions, and those of `UNSEEN` images at least, the last ones."""
    on_device: list[ModelInputs] = [tuple(tensor.to(device) for tensor in as_tuple(batch)) for batch in batches]
    last = max(1, -(-UNSEEN // len(on_device[0][0])))
    return (on_device[:-last] or on_device), on_device[-last:]
