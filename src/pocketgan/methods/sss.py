"""Sparse structure selection: a scale a channel whose L1 term is minimized by exact proximal steps.

Huang and Wang 2018, "Data-Driven Sparse Structure Selection for Deep Neural Networks", sections 3.2 and 3.3. The paper's
constant is replaced by a strength that is steered to the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.methods.slimming import histogram, select_by_scales
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.affine import affine_norms
from pocketgan.pruning.fit_budget import threshold_at
from pocketgan.pruning.gate import ungated
from pocketgan.pruning.scales import add_scales_, mean_scales, scales
from pocketgan.pruning.selection import Selection
from pocketgan.pruning.steering import Steering
from pocketgan.training.proximal import AcceleratedProximal

TICKS = 300  # how often the strength is steered in a search
TRAVEL = 4.0  # how far a scale would go in a search at a strength of one root mean square of its gradients
MOMENTUM = 0.9


@METHODS.register("sss")
@dataclass(frozen=True, kw_only=True)
class Sss(Method):
    """A scale after every producer, brought to exact zeros until what is left meets the budget."""

    strength: float = 0.1
    """The factor of the L1 term at the start, in root mean squares of the scales' gradients; it is steered from there."""
    least: float = 0.5
    """No group is cut below this part of the width that ``uniform`` would give it; 0 lets whole blocks and levels go."""

    summary: ClassVar[str] = "scales brought to exact zeros by accelerated proximal steps, steered to the budget"
    learns: ClassVar[bool] = True

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        """The teacher with scales on its norms, to fold into, and a further scale of 1 after every producer."""
        model = affine_norms(teacher)
        add_scales_(model, everywhere=True)
        return model

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> ProximalLearner:
        """The proximal steps."""
        return ProximalLearner(self, model, context, steps)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        """The largest scales, folded into the weights; the gates are gone then."""
        if hasattr(model, "search"):
            del model.search
        return select_by_scales(model, context, least=self.least)


class ProximalLearner:
    """Brings scales to 0, as hard as the budget asks."""

    def __init__(self, method: Sss, model: nn.Module, context: MethodContext, steps: int):
        self.model, self.context, self.steps = model, context, steps
        self.scales, self.every = scales(model), max(1, steps // TICKS)
        if not hasattr(model, "search"):
            model.search = Steering(method.strength)
        search = model.search
        assert isinstance(search, Steering)
        self.steering = search
        self.lr = TRAVEL * (1 - MOMENTUM) / steps
        self.cost = CostModel(ungated(model), context.cost.size)

    def optimizer(self) -> torch.optim.Optimizer:
        """Accelerated proximal gradient on the scales alone."""
        every = [scale for own in self.scales.values() for scale in own]
        return AcceleratedProximal(every, self.lr, strength=lambda: self.steering.strength, momentum=MOMENTUM)

    def on_step_start(self, step: int) -> None:
        """Now and then steer: the threshold that meets the budget must come to 0, where scales are closed."""
        if step % self.every == 0:
            threshold = threshold_at(mean_scales(self.model), self.context.budget, self.cost)
            full = TRAVEL * self.every / self.steps
            self.steering.adapt_(threshold, left=1 - step / self.steps, full=full)

    def losses(self) -> Mapping[str, Tensor]:
        """None: the L1 term is minimized by the optimizer itself."""
        return {}

    def log_dict(self) -> dict[str, Any]:
        """How large the scales are, how many are 0, and what that would cost."""
        open_ = {group: int(torch.stack([s.detach() != 0 for s in own]).any(0).sum()) for group, own in self.scales.items()}
        every = torch.cat([scale.detach() for own in self.scales.values() for scale in own])
        return {
            "kind": self.context.budget.kind,
            "cost": self.context.budget.of(self.cost({group: max(1, width) for group, width in open_.items()})),
            "budget": self.context.budget.limit,
            "strength": float(self.steering.strength),
            "zeros": float((every == 0).float().mean()),
            "scales": histogram(self.scales),
        }
