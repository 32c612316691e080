"""DMAD: differentiable masks on the channels of the teacher, closed by a controlled sparsity until the budget is met.

Li et al., "Learning Efficient GANs using Differentiable Masks and Co-Attention Distillation", section III-B.

Deviations from the paper and their reasons: masks are placed after the norm (an instance norm would cancel them), and norms
get a scale, so that the value of a mask whose channel leaves the band is folded into that scale and the function does not jump
(the released fold is a no-op under instance norm and has the wrong sign below 0). The masks have their own learning rate, from
the length of the search (the paper's 2e-4 moves nothing in a short one). The strength of the sparsity is not a constant to
tune: it is controlled along a path from the full cost to the budget. Masks that are still undecided at the end are decided by
one threshold on p, set exactly to the budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import spec_of
from pocketgan.core.tasks import traits_of
from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.allocation import SparsityController, protected_widths, threshold_at
from pocketgan.pruning.gate import Gate, GateSite, add_gates_, can_learn, expand_to_channels, fold_, remove_gates_, ungated
from pocketgan.pruning.importance import contribution
from pocketgan.pruning.masks import Form, MaskGate, Masks, boundary_at, group_coefficients, polarization, sparsity
from pocketgan.pruning.scales import affine_norms
from pocketgan.pruning.selection import Selection
from pocketgan.training.optimizers import Adam
from pocketgan.training.task import Learner
from pocketgan.utils.registry import unknown

UPDATES = 300  # updates of the group coefficients and of the strength; the release: 150, once an epoch
TRAVEL = 3.0  # distance a mask can go under Adam before the boundary closes; it starts within 1 of either edge
SPREAD = 0.2  # standard deviation of p at the start, as released
LEAST_MASK = 0.05  # smallest initial mask, so that the scales that compensate it stay below 20
BINS = 20


@METHODS.register("dmad")
@dataclass(frozen=True, kw_only=True)
class Dmad(Method):
    """Masks learned on the pre-trained teacher; a shared group is decided as one; recovery from the inherited weights."""

    mask: Form = "quadratic"
    """Mask function: eq. 3, or the straight line of the ablation in table II."""
    group_rule: Literal["settling", "paper", "off"] = "settling"
    """Coefficients of the producers of a shared group: eq. 6 with the released addition that a channel is no longer pushed once
    one producer is fully open; eq. 6 as printed; or 1 (the ablation in table III)."""
    polarize: tuple[str, ...] = ()
    """Groups whose masks are pushed to the nearer edge instead of closed (the release: stem, down1, up1, up2)."""
    polarize_weight: float = 100.0
    """Factor of that push relative to the sparsity (the release: 100 or 200)."""
    schedule: float = 0.75
    """Part of the search after which the boundary is 0 and the masks are frozen (the release: 0.75; the paper: 1)."""
    steer: bool = True
    """True: the strength is controlled along a path to the budget; False: a constant, and the threshold meets the budget."""
    strength: float = 1e-3
    """Factor of the sparsity, lambda_SPA; initial value if controlled (the paper's constant: 0.001 to 0.01)."""
    everywhere: bool = False
    """True: masks outside the band are pushed, too, as eq. 5 is printed."""
    least: float = 0.5
    """No group is cut below this part of its ``uniform`` width; 0 allows removing whole blocks and levels. A block with only
    closed masks adds nothing and is removed in any case."""
    cap: float = 1.0
    """Largest part of the channels of a layer that may close (the release, for U-Nets: 0.7 and 0.8)."""
    init: Literal["teacher", "normal"] = "teacher"
    """Initial p from N(0, 0.2): ``teacher`` assigns the draws in order of `contribution` and compensates the masks by the
    scales, so that the search begins at the teacher's function; ``normal`` assigns them at random, as released."""
    scratch: float | None = None
    """Part of the teacher's widths for a search from fresh weights (the release: 0.5 to 1); None: on the teacher itself."""

    summary: ClassVar[str] = "masks learned with the weights, closed by a sparsity of adjusted weight until the budget is met"
    learns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("schedule", self.schedule), ("cap", self.cap), ("scratch", self.scratch)):
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"{name}={value}: a part, above 0 and up to 1")

    @classmethod
    def presets(cls, teacher: nn.Module, task: str) -> dict[str, dict[str, Any]]:
        """``paper``: the equations as printed; ``release``: settings of the published checkpoints, without their defects.

        Nothing was released for unconditional and multimodal generators.
        """
        released = not (traits_of(task).reads_latents or traits_of(task).has_styles)
        return {"paper": _paper(task)} | ({"release": _release(teacher, task)} if released else {})

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        super().check(teacher, context, features=features)
        for group in self.polarize:
            if group not in widths_of(teacher):
                raise unknown("group", group, widths_of(teacher))
        budget, cost = context.budget, context.cost
        capped = cost({group: self._capped(width) for group, width in widths_of(teacher).items()})
        if not budget.allows(capped):
            raise ValueError(
                f"cap={self.cap} leaves {budget.of(capped):,} {budget.kind} at least, budget '{budget.asked}' allows "
                f"{budget.limit:,}: raise the cap or the budget"
            )
        if self.scratch is not None:
            fresh = cost(_narrow(teacher, self.scratch))
            if budget.allows(fresh):
                raise ValueError(
                    f"scratch={self.scratch}: the fresh network has {budget.of(fresh):,} {budget.kind}, within the budget "
                    f"'{budget.asked}' already, there is nothing to search: take a larger part"
                )

    def _capped(self, width: int) -> int:
        """Smallest width of a layer under the cap."""
        return math.ceil((1 - self.cap) * width)

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        if self.scratch is not None:
            teacher = spec_of(teacher).resized(_narrow(teacher, self.scratch)).build()
        model = affine_norms(teacher)
        scores = contribution(model, context.images()) if self.init == "teacher" else None

        def make_gate(site: GateSite) -> Gate:
            if not can_learn(model, site):
                return Gate(site.dim)
            return MaskGate(site.dim, self.mask, _start(scores[site.dim.groups[0]] if scores else None, int(site.dim.units)))

        add_gates_(model, make_gate)
        if self.init == "teacher":
            for producer in Masks(model).producers:
                fold_(producer.layer, expand_to_channels(1 / producer.gate.value().detach(), producer.gate.dim))
        return model

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> MaskLearner:
        return MaskLearner(self, model, context, steps)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        return MaskLearner(self, model, context, 1).finish()


class SearchState(nn.Module):
    """State of the search, a child of the network, so that checkpoints have it."""

    def __init__(self, strength: float, masks: int):
        super().__init__()
        self.steering = SparsityController(strength)
        self.register_buffer("frozen", torch.tensor(False))
        self.register_buffer("push", torch.ones(masks))
        self.frozen: Tensor
        self.push: Tensor
        """Coefficient of the sparsity of each mask at the last update, producer after producer."""


class MaskLearner(Learner):
    """Moves the boundary, controls the sparsity, and freezes the masks at the budget."""

    def __init__(self, method: Dmad, model: nn.Module, context: MethodContext, steps: int):
        self.method, self.model, self.context, self.masks = method, model, context, Masks(model)
        self.end = max(1, int(method.schedule * steps))
        self.every = max(1, self.end // UPDATES)
        self.lr = TRAVEL / self.end
        if steps > 1 and self.lr > 0.05:
            context.warn(f"a search of {steps} steps is too short for masks to settle: take 100 at least")
        self.state: SearchState = getattr(model, "search", None) or SearchState(method.strength, len(self.masks.p()))
        model.search = self.state
        self.cost = CostModel(ungated(model), context.cost.size)  # the scales of the norms are parameters, too
        least = protected_widths(model, context.budget, self.cost, least=method.least, multiple=context.multiple)
        self.protected = {group: max(least[group], method._capped(w)) for group, w in self.masks.full_widths.items()}
        self._known_frozen = False
        self.adam: torch.optim.Adam

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam on the masks alone, at the rate with which they can cross the band within the search."""
        self.adam = Adam([producer.gate.p for producer in self.masks.producers], self.lr, (0.5, 0.999))
        return self.adam

    def on_step_start(self, step: int) -> None:
        """Move the boundary; at times update coefficients and strength, and freeze at the budget."""
        if not self._frozen() and step >= self.end:
            self._freeze()
        elif not self._frozen():
            boundary = boundary_at(step, self.end)
            self.masks.set_boundary_(boundary)
            if step % self.every == 0:
                self._update(boundary)
        if self._frozen():
            self.adam.param_groups[0]["lr"] = 0.0  # remaining momentum must not move a decided mask

    def losses(self) -> Mapping[str, Tensor]:
        """Sparsity times its strength; nothing once the masks are frozen."""
        if self._frozen():
            return {}
        boundary, method = self.masks.producers[0].gate.boundary, self.method
        total = sparsity(self.masks.p(), boundary, self.state.push, everywhere=method.everywhere)
        for group in method.polarize:
            for gate in self.masks.gates[group]:
                total = total + method.polarize_weight * polarization(gate.p, boundary)
        return {"sparsity": self.state.steering.strength * total}

    def log_dict(self) -> dict[str, Any]:
        """Values of the log and the report: cost and its limit, boundary, histogram of the masks, closed part by layer."""
        values = {group: rows.detach().cpu() for group, rows in self.masks.values().items()}
        flat = torch.cat([rows.flatten() for rows in values.values()])
        return {
            "kind": self.context.budget.kind,
            "cost": self._cost(),
            "budget": self.context.budget.limit,
            "boundary": self.masks.boundary,
            "strength": float(self.state.steering.strength),
            "masks": torch.histc(flat.float(), BINS, 0.0, 1.0).int().tolist(),
            "closed": {m.name: float((values[m.group][m.row] == 0).float().mean()) for m in self.masks.producers},
        }

    def finish(self) -> dict[str, Tensor]:
        """Fold the masks into the weights, remove the gates, and return the selection."""
        if not self._frozen():
            self._freeze()
        kept = self.masks.kept()
        self.masks.fold_away_()
        remove_gates_(self.model)
        del self.model.search
        return kept

    def _frozen(self) -> bool:
        """True once the masks are frozen; read from the device only until then."""
        self._known_frozen = self._known_frozen or bool(self.state.frozen)
        return self._known_frozen

    def _cost(self) -> int:
        return self.context.budget.of(self.cost(self.masks.widths()))

    @torch.no_grad()
    def _update(self, boundary: float) -> None:
        self.masks.freeze_at_minimum_(self.protected)
        self._update_coefficients()
        if self._cost() <= self.context.budget.limit:
            self._freeze()
        elif self.method.steer:
            # At b = 0 open means p > 0: the threshold that meets the budget must come to 0 as the boundary does.
            threshold = threshold_at(self.masks.scores(), self.context.budget, self.cost)
            self.state.steering.update_(threshold, left=boundary, full=self.lr * self.every)

    def _freeze(self) -> None:
        context, least = self.context, self.method.least
        self.masks.binarize_to_budget_(
            context.budget, self.cost, multiple=context.multiple, least=least, protected=self.protected
        )
        self.state.frozen.fill_(True)

    def _update_coefficients(self) -> None:
        """Coefficients of eq. 6 for the producers of each group; 0 for polarized ones, which have their own loss."""
        coefficients: dict[str, Tensor] = {}
        for group, gates in self.masks.gates.items():
            p = torch.stack([gate.p.detach() for gate in gates])
            if group in self.method.polarize:
                coefficients[group] = torch.zeros_like(p[0])
            elif self.method.group_rule == "off" or len(gates) == 1:  # eq. 6 is for shared groups
                coefficients[group] = torch.ones_like(p[0])
            else:
                settling = self.method.group_rule == "settling"
                coefficients[group] = group_coefficients(p, gates[0].boundary, settling=settling)
        self.state.push.copy_(torch.cat([coefficients[producer.group] for producer in self.masks.producers]))


def _paper(task: str) -> dict[str, Any]:
    """Section IV-A: a constant strength, co-attention and discriminator features in the recovery alone."""
    unpaired = not traits_of(task).has_pairs
    return {
        "method_options": {
            "group_rule": "paper",
            "schedule": 1.0,
            "steer": False,
            "everywhere": True,
            "least": 0.0,
            "init": "normal",
            "strength": 0.001 if unpaired else 0.01,
        },
        "search_objective": "none",
        "weights": "inherit",
        "objective": "coattention+discriminator",
        "objective_options.coattention": {"channels": "sum"},
        "recovery.weights.coattention": 10.0 if traits_of(task).reads_latents else 100.0 if unpaired else 50.0,
        "recovery.weights.discriminator": 1e-4,
    }


def _release(teacher: nn.Module, task: str) -> dict[str, Any]:
    """Released scripts: a search from fresh weights, layers next to the image polarized, U-Nets capped, two-way."""
    spec, unpaired = spec_of(teacher), not traits_of(task).has_pairs
    outer = ["stem", "down1", "up1", "up2"]
    mobile, trunk = bool(getattr(spec, "separable", False)), "trunk" in spec.widths
    return {
        "method_options": {
            "steer": False,
            "least": 0.0,
            "init": "normal",
            "strength": 0.002 if mobile else 0.001 if unpaired else 0.01,
            "scratch": (0.5 if mobile else 1.0) if unpaired else 0.75,
            "polarize": [group for group in outer if trunk and group in spec.widths],
            "polarize_weight": 200.0 if mobile else 100.0,
            "cap": 1.0 if trunk else 0.8,
        },
        "search_objective": "none",
        "weights": "inherit",
        "two_way": traits_of(task).is_two_way,
        "discriminator_options": {"ndf": 64 if unpaired else 128, "norm": "instance" if unpaired or mobile else "batch"},
        "objective": "coattention+discriminator",
        "objective_options.coattention": {"shown": "student", "per_pixel": True},
        "objective_options.discriminator": {"layer": "hidden", "squared": False},
        "recovery.weights.coattention": 100.0 if unpaired else 10.0,
        "recovery.weights.discriminator": 1e-4,
    }


def _start(scores: Tensor | None, width: int) -> Tensor:
    """Initial p of a mask: draws from N(0, 0.2), in random order or sorted by the scores of the channels."""
    draws = torch.randn(width) * SPREAD
    if scores is None:
        return draws
    ranks = scores.argsort(descending=True, stable=True).argsort(stable=True)
    lowest = math.sqrt(2 * LEAST_MASK) - 1  # the mask of eq. 3 is LEAST_MASK there at b = 1
    return draws.sort(descending=True).values[ranks.cpu()].clamp_min(lowest)


def _narrow(teacher: nn.Module, part: float) -> dict[str, int]:
    return {group: max(1, round(part * width)) if width else 0 for group, width in widths_of(teacher).items()}
