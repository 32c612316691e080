"""Methods that train scales with an L1 term and select by one threshold on them: network slimming and SSS.

Liu et al. 2017, "Learning Efficient Convolutional Networks through Network Slimming", section 3. Layers without a norm, and
norms without a scale, get a scale of 1; producers of a shared group are scored together (`mean_scales`).

Huang and Wang 2018, "Data-Driven Sparse Structure Selection for Deep Neural Networks", sections 3.2 and 3.3: one more scale
per channel, whose L1 term is minimized by exact proximal steps. The paper's constant is replaced by a strength that is
controlled by the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.allocation import SparsityController, best_channels, threshold_at, threshold_widths
from pocketgan.pruning.gate import ungated
from pocketgan.pruning.scales import add_scales_, affine_norms, check_scales, fold_scales_away_, mean_scales, scales
from pocketgan.pruning.selection import Selection
from pocketgan.training.optimizers import AcceleratedProximal, Adam
from pocketgan.training.task import Learner

SLIMMING_TRAVEL = 1.0  # distance a scale can go under Adam in a search: from 1 to 0
SSS_TRAVEL = 4.0  # distance a scale would go in a search at a strength of one root mean square of its gradients
SSS_UPDATES = 300  # updates of the strength in a search
MOMENTUM = 0.9


@METHODS.register("slimming")
@dataclass(frozen=True, kw_only=True)
class Slimming(Method):
    """Channels with a scale above one global threshold, after training with an L1 term on all scales."""

    strength: float = 1e-3
    """Factor of the L1 term (the paper: 1e-4 to 1e-5 on cross-entropy; GCC on pix2pix: 1e-2)."""
    least: float = 0.5
    """No group is cut below this part of its ``uniform`` width; 0 allows removing whole blocks and levels."""

    summary: ClassVar[str] = "L1 on the scales of the norms, then one threshold on them, exact to the budget"
    learns: ClassVar[bool] = True

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        model = affine_norms(teacher)
        add_scales_(model)
        return model

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> Learner:
        return ScaleLearner(self.strength, model, steps)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        scores, cost = check_scales(mean_scales(model)), CostModel(ungated(model), context.cost.size)
        widths = threshold_widths(model, scores, context.budget, cost, multiple=context.multiple, least=self.least)
        fold_scales_away_(model)
        return best_channels(scores, widths)


class ScaleLearner(Learner):
    """Trains all scales, with an L1 term unless the strength is 0."""

    def __init__(self, strength: float, model: nn.Module, steps: int):
        self.strength, self.lr = strength, SLIMMING_TRAVEL / steps
        self.scales: list[nn.Parameter] = [scale for found in scales(model).values() for scale in found]

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam on the scales alone, at the rate with which they can reach 0 within the search."""
        return Adam(self.scales, self.lr, (0.5, 0.999))

    def losses(self) -> Mapping[str, Tensor]:
        """Sum of |scale| over all producers, times the strength."""
        return {"sparsity": self.strength * torch.cat([*self.scales]).abs().sum()} if self.strength else {}

    def log_dict(self) -> dict[str, Any]:
        """Histogram of the scales."""
        return {"scales": histogram(self.scales)}


def histogram(values: list[nn.Parameter], bins: int = 20) -> list[int]:
    """Number of |values| in each of ``bins`` equal parts of 0 to 2; larger ones count in the last."""
    magnitudes = torch.cat([value.detach().abs().float().cpu() for value in values])
    return torch.histc(magnitudes.clamp_max(2.0), bins, 0.0, 2.0).int().tolist()


@METHODS.register("sss")
@dataclass(frozen=True, kw_only=True)
class Sss(Slimming):
    """Scale after every producer, driven to exact zeros until the remaining channels meet the budget."""

    strength: float = 0.1
    """Initial factor of the L1 term, in root mean squares of the scales' gradients; controlled from then on."""

    summary: ClassVar[str] = "scales brought to exact zeros by accelerated proximal steps, steered to the budget"

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        model = affine_norms(teacher)  # scales to fold the further ones into
        add_scales_(model, everywhere=True)
        return model

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> ProximalLearner:
        return ProximalLearner(self, model, context, steps)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        if hasattr(model, "search"):
            del model.search
        return super().select(model, context)


class ProximalLearner(Learner):
    """Drives scales to 0, as strongly as the budget requires; the optimizer itself minimizes the L1 term."""

    def __init__(self, method: Sss, model: nn.Module, context: MethodContext, steps: int):
        self.model, self.context, self.steps = model, context, steps
        self.scales, self.every = scales(model), max(1, steps // SSS_UPDATES)
        self.controller: SparsityController = getattr(model, "search", None) or SparsityController(method.strength)
        model.search = self.controller
        self.lr = SSS_TRAVEL * (1 - MOMENTUM) / steps
        self.cost = CostModel(ungated(model), context.cost.size)

    def optimizer(self) -> torch.optim.Optimizer:
        """Accelerated proximal gradient on the scales alone."""
        parameters = [scale for found in self.scales.values() for scale in found]
        return AcceleratedProximal(parameters, self.lr, strength=lambda: self.controller.strength, momentum=MOMENTUM)

    def on_step_start(self, step: int) -> None:
        """Update the strength at times: the threshold that meets the budget must come to 0, where scales are closed."""
        if step % self.every == 0:
            threshold = threshold_at(mean_scales(self.model), self.context.budget, self.cost)
            full = SSS_TRAVEL * self.every / self.steps
            self.controller.update_(threshold, left=1 - step / self.steps, full=full)

    def log_dict(self) -> dict[str, Any]:
        """Histogram of the scales, part of them that is 0, and cost of the others."""
        opened = {group: torch.stack([s.detach() != 0 for s in found]).any(0).sum() for group, found in self.scales.items()}
        parameters = [scale for found in self.scales.values() for scale in found]
        return {
            "kind": self.context.budget.kind,
            "cost": self.context.budget.of(self.cost({group: max(1, int(width)) for group, width in opened.items()})),
            "budget": self.context.budget.limit,
            "strength": float(self.controller.strength),
            "zeros": float((torch.cat([scale.detach() for scale in parameters]) == 0).float().mean()),
            "scales": histogram(parameters),
        }
