"""DMAD: differentiable masks on the channels of the teacher, closed by a steered sparsity until the budget is met.

Li et al., "Learning Efficient GANs using Differentiable Masks and Co-Attention Distillation", section III-B.

Where we deviate from the paper, and why: masks sit after the norm (an instance norm would cancel them), and norms get a
scale, so that what a mask has come to when its channel leaves the band is folded into that scale and the function does
not jump (the released fold is a no-op under instance norm and has the wrong sign below 0). The masks have a learning rate of
their own, from the length of the search (the paper's 2e-4 moves nothing in a short one). The sparsity's strength is no
constant to be tuned: it is steered along a path from the full cost to the budget. What the masks leave undecided is decided by
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
from pocketgan.methods.base import METHODS, Method, MethodContext
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.affine import affine_norms
from pocketgan.pruning.fit_budget import protected_widths, threshold_at
from pocketgan.pruning.gate import Gate, GateSite, add_gates_, expand_to_channels, fold_, remove_gates_, ungated
from pocketgan.pruning.importance import contribution
from pocketgan.pruning.mask import Form, MaskGate, boundary_at, group_coefficients, mask_value, polarization, sparsity
from pocketgan.pruning.masked import Masks
from pocketgan.pruning.selection import Selection
from pocketgan.pruning.steering import Steering
from pocketgan.utils.errors import unknown

TICKS = 300  # how often the group rule is weighed and the strength steered; the release: 150 times, once an epoch
TRAVEL = 3.0  # how far a mask can go under Adam before the boundary closes; it starts within 1 of either edge
SPREAD = 0.2  # standard deviation of p at the start, as released
LEAST_MASK = 0.05  # no mask begins below this, so that what makes up for it stays within a factor of 20
BINS = 20


@METHODS.register("dmad")
@dataclass(frozen=True, kw_only=True)
class Dmad(Method):
    """Masks learnt on the pre-trained teacher; a shared group is decided together; recovery from the inherited weights."""

    mask: Form = "quadratic"
    """The mask function: eq. 3, or the straight line of the ablation in table II."""
    group_rule: Literal["settling", "paper", "off"] = "settling"
    """Push the producers of a shared group together: eq. 6 with the released addition that a channel which is open for good
    in one of them is let be; eq. 6 as printed; or not (the ablation in table III)."""
    polarize: tuple[str, ...] = ()
    """Groups whose masks are pushed to the nearer edge and not closed (the release: stem, down1, up1, up2)."""
    polarize_weight: float = 100.0
    """The factor of that push against the others' (the release: 100 or 200)."""
    schedule: float = 0.75
    """The part of the search after which the boundary is 0 and the masks are frozen (the release: 0.75; the paper: 1)."""
    steer: bool = True
    """Steer the strength along a path to the budget; off, it is a constant, and the threshold alone meets the budget."""
    strength: float = 1e-3
    """The sparsity's factor, lambda_SPA; when steered, at the start (the paper's constant: 0.001 to 0.01)."""
    everywhere: bool = False
    """Push what has left the band too, as eq. 5 is printed."""
    least: float = 0.5
    """No group is cut below this part of the width that ``uniform`` would give it; 0 lets whole blocks and levels go. A block
    whose every mask is closed adds nothing and goes in any case."""
    cap: float = 1.0
    """The largest part of a layer's channels that may close (the release, for U-Nets: 0.7 and 0.8)."""
    init: Literal["teacher", "normal"] = "teacher"
    """p at the start, from N(0, 0.2): ``teacher`` deals the draws out in order of `contribution` and lets the scales make up
    for the masks, so that the search begins at the teacher's own images; ``normal`` deals by lot, as released."""
    scratch: float | None = None
    """Search from fresh weights at this part of the teacher's widths (the release: 0.5 to 1); None: on the teacher itself."""

    summary: ClassVar[str] = "masks learnt with the weights, closed by a steered sparsity until the budget is met"
    learns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("schedule", self.schedule), ("cap", self.cap), ("scratch", self.scratch)):
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"{name}={value}: a part, above 0 and up to 1")

    @classmethod
    def presets(cls, teacher: nn.Module, task: str) -> dict[str, dict[str, Any]]:
        """``paper``: the equations as printed; ``release``: what made the published checkpoints, its defects mended.

        Of images from numbers or in styles nothing was released.
        """
        released = task not in ("unconditional", "multimodal")
        return {"paper": _paper(task)} | ({"release": _release(teacher, task)} if released else {})

    def check(self, teacher: nn.Module, context: MethodContext, *, features: bool) -> None:
        """The floor, with what the cap leaves of every layer; the names of groups; a fresh network that is small already."""
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
        """What the cap leaves of a layer."""
        return math.ceil((1 - self.cap) * width)

    def prepare(self, teacher: nn.Module, context: MethodContext) -> nn.Module:
        """The teacher (or a fresh, narrower network) with scales on its norms and a mask on every producer."""
        model = affine_norms(teacher if self.scratch is None else _fresh(teacher, self.scratch))
        scores = contribution(model, context.images()) if self.init == "teacher" else None

        def gate(seat: GateSite) -> Gate:
            if seat.carrier or getattr(model.get_submodule(seat.module), "weight", None) is None:
                return Gate(seat.dim)  # it follows its group
            return MaskGate(seat.dim, self.mask, _start(scores[seat.dim.groups[0]] if scores else None, int(seat.dim.units)))

        add_gates_(model, gate)
        if self.init == "teacher":
            for member in Masks(model).members:
                fold_(member.layer, expand_to_channels(1 / mask_value(member.gate.p.detach(), 1.0, self.mask), member.gate.dim))
        return model

    def learner(self, model: nn.Module, context: MethodContext, steps: int) -> MaskLearner:
        """The search."""
        return MaskLearner(self, model, context, steps)

    def select(self, model: nn.Module, context: MethodContext) -> Selection:
        """The channels whose masks are open, after folding every mask into the weights; the gates are gone then."""
        return MaskLearner(self, model, context, 1).finish()


class SearchState(nn.Module):
    """What the search has come to; a child of the network, so that checkpoints have it."""

    def __init__(self, strength: float, masks: int):
        super().__init__()
        self.steering = Steering(strength)
        self.register_buffer("frozen", torch.tensor(False))
        self.register_buffer("push", torch.ones(masks))
        self.frozen: Tensor
        self.push: Tensor
        """How hard each mask is pushed, as weighed at the last tick; member after member."""


class MaskLearner:
    """Moves the boundary, steers the sparsity, freezes the masks at the budget."""

    def __init__(self, method: Dmad, model: nn.Module, context: MethodContext, steps: int):
        self.method, self.model, self.context, self.masks = method, model, context, Masks(model)
        self.end = max(1, int(method.schedule * steps))
        self.every = max(1, self.end // TICKS)
        self.lr = TRAVEL / self.end
        if steps > 1 and self.lr > 0.05:
            context.warn(f"a search of {steps} steps is too short for masks to settle: take 100 at least")
        if not hasattr(model, "search"):
            model.search = SearchState(method.strength, sum(len(member.gate.p) for member in self.masks.members))
        state = model.search
        assert isinstance(state, SearchState)
        self.state = state
        self.cost = CostModel(ungated(model), context.cost.size)  # the scales of the norms are parameters, too
        self.protected = self._protected()
        self._decided = False
        self.adam: torch.optim.Adam

    def _protected(self) -> dict[str, int]:
        """The least width of every group: its part of the uniform one, and what the cap leaves."""
        method, context = self.method, self.context
        part = protected_widths(self.model, context.budget, self.cost, least=method.least, multiple=context.multiple)
        return {group: max(part[group], method._capped(whole)) for group, whole in self.masks.whole.items()}

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam on the masks alone, at the rate that lets them travel across the band within the search."""
        self.adam = torch.optim.Adam([member.gate.p for member in self.masks.members], self.lr, (0.5, 0.999), fused=True)
        return self.adam

    def on_step_start(self, step: int) -> None:
        """Move the boundary; now and then weigh, steer, and freeze at the budget."""
        if not self._frozen():
            self._advance(step)
        if self._frozen():
            self.adam.param_groups[0]["lr"] = 0.0  # what momentum is left must not move a decided mask

    def _advance(self, step: int) -> None:
        if step >= self.end:
            self._freeze()
            return
        self.masks.set_boundary_(boundary_at(step, self.end))
        if step % self.every == 0:
            self._tick(boundary_at(step, self.end))

    def losses(self) -> Mapping[str, Tensor]:
        """The sparsity, times its strength; nothing once the masks are frozen."""
        if self._frozen():
            return {}
        boundary, method = self.masks.members[0].gate.boundary, self.method
        total = sparsity(self.masks.p(), boundary, self.state.push, everywhere=method.everywhere)
        for group in method.polarize:
            for gate in self.masks.gates[group]:
                total = total + method.polarize_weight * polarization(gate.p, boundary)
        return {"sparsity": self.state.steering.strength * total}

    def log_dict(self) -> dict[str, Any]:
        """What the log and the report show: cost and its limit, the boundary, the masks' distribution, what is closed."""
        values = {group: values.detach().cpu() for group, values in self.masks.values().items()}
        rows = {group: list(values[group]) for group in values}
        flat = torch.cat([part.flatten() for part in values.values()])
        return {
            "kind": self.context.budget.kind,
            "cost": self._cost(),
            "budget": self.context.budget.limit,
            "boundary": self.masks.boundary,
            "strength": float(self.state.steering.strength),
            "masks": torch.histc(flat.float(), BINS, 0.0, 1.0).int().tolist(),
            "closed": {m.name: float((rows[m.group].pop(0) == 0).float().mean()) for m in self.masks.members},
        }

    def finish(self) -> dict[str, Tensor]:
        """Fold the masks, take the gates away, and say which channels stay."""
        if not self._frozen():
            self._freeze()
        keep = self.masks.kept()
        self.masks.fold_away_()
        remove_gates_(self.model)
        del self.model.search
        return keep

    def _frozen(self) -> bool:
        """Asked in every step: once true it stays true, and the device is asked no more."""
        self._decided = self._decided or bool(self.state.frozen)
        return self._decided

    def _cost(self) -> int:
        return self.context.budget.of(self.cost(self.masks.widths()))

    @torch.no_grad()
    def _tick(self, boundary: float) -> None:
        self.masks.freeze_at_minimum_(self.protected)
        self._weigh()
        cost, limit = self._cost(), self.context.budget.limit
        if cost <= limit:
            self._freeze()
        elif self.method.steer:
            # At b = 0 what is open is p > 0: the threshold that meets the budget must come to 0 as the boundary does.
            threshold = threshold_at(self.masks.scores(), self.context.budget, self.cost)
            self.state.steering.adapt_(threshold, left=boundary, full=self.lr * self.every)

    def _freeze(self) -> None:
        context, method = self.context, self.method
        self.masks.binarize_to_budget_(
            context.budget, self.cost, multiple=context.multiple, least=method.least, protected=self.protected
        )
        self.state.frozen.fill_(True)

    def _weigh(self) -> None:
        """The coefficients of eq. 6, dealt out to the members of each group; polarized ones have a loss of their own."""
        found: dict[str, Tensor] = {}
        for group, gates in self.masks.gates.items():
            p = torch.stack([gate.p.detach() for gate in gates])
            found[group] = group_coefficients(p, gates[0].boundary, settling=self.method.group_rule == "settling")
            if self.method.group_rule == "off" or len(gates) == 1:  # eq. 6 is for shared groups
                found[group] = torch.ones_like(found[group])
            if group in self.method.polarize:
                found[group] = torch.zeros_like(found[group])
        self.state.push.copy_(torch.cat([found[member.group] for member in self.masks.members]))


def _paper(task: str) -> dict[str, Any]:
    """Section IV-A: a constant strength, co-attention and discriminator features in the recovery alone."""
    unpaired = _without_pairs(task)
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
        "objective": "coattention+discriminator",
        "objective_options.coattention": {"channels": "sum"},
        "recovery.weights.coattention": 10.0 if task == "unconditional" else 100.0 if unpaired else 50.0,
        "recovery.weights.discriminator": 1e-4,
    }


def _without_pairs(task: str) -> bool:
    return task not in ("paired", "labels")


def _release(teacher: nn.Module, task: str) -> dict[str, Any]:
    """The released scripts: a search from fresh weights, layers beside the image polarized, U-Nets capped, two ways."""
    spec, unpaired = spec_of(teacher), _without_pairs(task)
    beside = ["stem", "down1", "up1", "up2"]
    mobile, trunk = bool(getattr(spec, "separable", False)), "trunk" in spec.widths
    return {
        "method_options": {
            "steer": False,
            "least": 0.0,
            "init": "normal",
            "strength": 0.002 if mobile else 0.001 if unpaired else 0.01,
            "scratch": (0.5 if mobile else 1.0) if unpaired else 0.75,
            "polarize": [group for group in beside if trunk and group in spec.widths],
            "polarize_weight": 200.0 if mobile else 100.0,
            "cap": 1.0 if trunk else 0.8,
        },
        "search_objective": "none",
        "two_way": task == "unpaired",
        "discriminator_options": {"ndf": 64 if unpaired else 128, "norm": "instance" if unpaired or mobile else "batch"},
        "objective": "coattention+discriminator",
        "objective_options.coattention": {"shown": "student", "per_pixel": True},
        "objective_options.discriminator": {"layer": "hidden", "squared": False},
        "recovery.weights.coattention": 100.0 if unpaired else 10.0,
        "recovery.weights.discriminator": 1e-4,
    }


def _start(scores: Tensor | None, width: int) -> Tensor:
    """p of a mask: draws from N(0, 0.2), by lot or the larger ones to the channels of higher scores."""
    draws = torch.randn(width) * SPREAD
    if scores is None:
        return draws
    ranks = scores.argsort(descending=True, stable=True).argsort(stable=True)
    lowest = math.sqrt(2 * LEAST_MASK) - 1  # where the mask of eq. 3 is LEAST_MASK at b = 1
    return draws.sort(descending=True).values[ranks.cpu()].clamp_min(lowest)


def _fresh(teacher: nn.Module, part: float) -> nn.Module:
    """The teacher's architecture at that part of its widths, with fresh weights."""
    return spec_of(teacher).resized(_narrow(teacher, part)).build()


def _narrow(teacher: nn.Module, part: float) -> dict[str, int]:
    return {group: max(1, round(part * width)) if width else 0 for group, width in widths_of(teacher).items()}
