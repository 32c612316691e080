"""Network slimming: L1 on the scales of the norms, then one threshold on them.

Liu et al. 2017, "Learning Efficient Convolutional Networks through Network Slimming", section 3. Layers without a norm, and
norms without a scale, are given one of 1; producers of a shared group are evaluated together (`mean_scales`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.affine import affine_norms
from pocketgan.pruning.fit_budget import best_channels, threshold_widths
from pocketgan.pruning.gate import ungated
from pocketgan.pruning.scales import add_scales_, check_scales, fold_scales_away_, mean_scales, scales
from pocketgan.pruning.selection import Selection

TRAVEL = 1.0  # how far a scale can go under Adam in a search: from 1 to 0


@METHODS.register("slimming")
@dataclass(frozen=True, kw_only=True)
class Slimming(Method):
    """The channels whose scale is above one global threshold, after an L1 term has pressed on all scales."""

    strength: float = 1e-3
    """The factor of the L1 term (the paper: 1e-4 to 1e-5 on cross-entropy; GCC on pix2pix: 1e-2)."""
    least: float = 0.5
    """No group is cut below this part of the width that ``uniform`` would give it; 0 lets whole blocks and levels go."""

    summary: ClassVar[str] = "L1 on the scales of the norms, then one threshold on them, exact to the budget"
    learns: ClassVar[bool] = True

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        """The teacher, with a scale wherever it has none."""
        model = affine_norms(teacher)
        add_scales_(model)
        return model

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> ScaleLearner:
        """The L1 term."""
        return ScaleLearner(self.strength, model, steps)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        """The largest scales; those of gates are folded into the weights and the gates are gone then."""
        return select_by_scales(model, context, least=self.least)


class ScaleLearner:
    """Presses on all scales alike; with a strength of 0 they are only trained."""

    def __init__(self, strength: float, model: nn.Module, steps: int):
        self.strength, self.scales, self.lr = strength, scales(model), TRAVEL / steps

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam on the scales alone, at the rate that lets them come to 0 within the search."""
        return torch.optim.Adam([scale for own in self.scales.values() for scale in own], self.lr, (0.5, 0.999), fused=True)

    def on_step_start(self, step: int) -> None:
        """Nothing: the term is the same in every step."""

    def losses(self) -> Mapping[str, Tensor]:
        """The sum of |scale| over all producers, times its strength."""
        if not self.strength:
            return {}
        every = torch.cat([scale for own in self.scales.values() for scale in own])
        return {"sparsity": self.strength * every.abs().sum()}

    def log_dict(self) -> dict[str, Any]:
        """How large the scales are."""
        return {"scales": histogram(self.scales)}


def histogram(own: Mapping[str, list[nn.Parameter]], bins: int = 20) -> list[int]:
    """How many |scales| lie in each of ``bins`` equal parts of 0 to 2; larger ones are counted in the last."""
    every = torch.cat([scale.detach().abs().float().cpu() for scales in own.values() for scale in scales])
    return torch.histc(every.clamp_max(2.0), bins, 0.0, 2.0).int().tolist()


def select_by_scales(model: nn.Module, context: MethodContext, *, least: float) -> Selection:
    """One threshold on the scales, exact to the budget."""
    scores, cost = check_scales(mean_scales(model)), CostModel(ungated(model), context.cost.size)
    widths = threshold_widths(model, scores, context.budget, cost, multiple=context.multiple, least=least)
    fold_scales_away_(model)
    return best_channels(scores, widths)
