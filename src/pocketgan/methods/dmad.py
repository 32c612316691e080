"""DMAD: differentiable masks on the channels of the teacher, closed by a steered sparsity until the budget is met.

Li et al., "Learning Efficient GANs using Differentiable Masks and Co-Attention Distillation", section III-B.

Where we deviate from the paper, and why: masks sit after the norm (an instance norm would cancel them), and norms get a
scale, so that what a mask has come to when its channel leaves the band is folded into that scale and the function does
not jump (the released fold is a no-op under instance norm and has the wrong sign below 0). The sparsity's strength is not
a constant to be tuned: it is steered along a path from the full cost to the budget. What the masks leave undecided is
decided by one threshold on p, set exactly to the budget.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pocketgan.compress.affine import affine_norms
from pocketgan.compress.fit_budget import threshold_widths
from pocketgan.compress.gate import Gate, Seat, add_gates_, fold_, remove_gates_, seats
from pocketgan.compress.mask import (
    Form,
    MaskGate,
    boundary_at,
    group_coefficients,
    mask_value,
    polarisation,
    sparsity,
)
from pocketgan.compress.selection import Selection, readers, settle
from pocketgan.core.dims import conditions, removable_groups, widths_of
from pocketgan.methods.base import METHODS, Method, Setting
from pocketgan.metrics.cost import CostModel

TICKS = 300  # how often the boundary moves in a search; the release: 150 times, once an epoch
GAIN = 0.5  # how much the log of the strength changes in a tick when the cost is a factor of e off its path
TRAVEL = 3.0  # how far a mask can go under Adam before the boundary closes; it starts within 1 of either edge


@METHODS.register("dmad")
@dataclass(frozen=True, kw_only=True)
class Dmad(Method):
    """Masks learnt on the pre-trained teacher; a shared group is decided together; recovery from the inherited weights."""

    mask: Form = "quadratic"
    """The mask function: eq. 3, or the straight line of the ablation in table II."""
    group_rule: bool = True
    """Push the producers of a shared group together (eq. 6); off for the ablation in table III."""
    polarise: tuple[str, ...] = ()
    """Groups whose masks are pushed to the nearer edge and not closed (the release: stem, down1, up1, up2)."""
    schedule: float = 0.75
    """The part of the search after which the boundary is 0 and the masks are frozen (the release: 0.75; the paper: 1)."""
    strength: float = 1e-3
    """The sparsity's factor at the start; it is steered from there (the paper's constant: 0.001 to 0.01)."""
    least: float = 0.5
    """No group is cut below this part of the width that ``uniform`` would give it; 0 lets whole blocks and levels go."""

    summary: ClassVar[str] = "masks learnt with the weights, closed by a steered sparsity until the budget is met"
    learns: ClassVar[bool] = True

    def prepare(self, teacher: nn.Module, setting: Setting) -> nn.Module:
        """The teacher with scales on its norms and a mask a producer, p drawn from N(0, 0.2) as released."""
        model = affine_norms(teacher)

        def gate(seat: Seat) -> Gate:
            return Gate(seat.dim) if seat.carrier else MaskGate(seat.dim, self.mask, torch.randn(int(seat.dim)) * 0.2)

        add_gates_(model, gate)
        return model

    def learner(self, model: nn.Module, setting: Setting, steps: int) -> MaskLearner:
        """The search."""
        return MaskLearner(self, model, setting, steps)

    def select(self, model: nn.Module, setting: Setting) -> Selection:
        """The channels whose masks are open, after folding every mask into the weights; the gates are gone then."""
        return MaskLearner(self, model, setting, 1).finish()


class SearchState(nn.Module):
    """What the search has come to; a child of the network, so that checkpoints have it."""

    def __init__(self, strength: float, widths: Mapping[str, int]):
        super().__init__()
        self.register_buffer("strength", torch.tensor(strength))
        self.register_buffer("frozen", torch.tensor(False))
        self.strength: Tensor
        self.frozen: Tensor
        for group, width in widths.items():
            self.register_buffer(f"push_{group}", torch.ones(width))

    def push(self, group: str) -> Tensor:
        """How hard each channel of the group is pushed, as weighed at the last tick."""
        found = getattr(self, f"push_{group}")
        assert isinstance(found, Tensor)
        return found


class MaskLearner:
    """Moves the boundary, steers the sparsity, freezes the masks at the budget."""

    def __init__(self, method: Dmad, model: nn.Module, setting: Setting, steps: int):
        self.method, self.model, self.setting = method, model, setting
        self.end = max(1, int(method.schedule * steps))
        self.every = max(1, self.end // TICKS)
        self.lr = TRAVEL / self.end
        if steps > 1 and self.lr > 0.05:
            warnings.warn(f"a search of {steps} steps is too short for masks to settle: take 100 at least", stacklevel=2)
        if not hasattr(model, "search"):
            model.search = SearchState(method.strength, widths_of(model))
        state = model.search
        assert isinstance(state, SearchState)
        self.state = state
        found = [(seat, model.get_submodule(seat.module)) for seat in seats(model)]
        self.producers = [(seat, layer) for seat, layer in found if not seat.carrier]
        self.carriers: list[tuple[Seat, Gate]] = [(s, layer.gate) for s, layer in found if s.carrier]  # type: ignore[misc]
        self.by_group: dict[str, list[MaskGate]] = {}
        for seat, layer in self.producers:
            assert len(seat.dim.parts) == 1, f"{seat.producer} makes several groups at once"
            self.by_group.setdefault(seat.dim.groups[0], []).append(_gate(layer))
        self.cost = CostModel(_ungated(model), setting.cost.size)  # the scales of the norms are parameters, too
        self.needs, self.readers = conditions(model), readers(model)

    def parameters(self) -> Iterable[nn.Parameter]:
        """The masks of all producers."""
        return [_gate(layer).p for _, layer in self.producers]

    @property
    def boundary(self) -> float:
        """Where the boundary stands."""
        return float(_gate(self.producers[0][1]).boundary)

    def before(self, step: int) -> None:
        """A tick now and then: fold what leaves the band, move the boundary, steer, and freeze at the budget."""
        if not bool(self.state.frozen) and (step % self.every == 0 or step >= self.end):
            self._tick(step)

    def losses(self) -> Mapping[str, Tensor]:
        """The sparsity, times its strength; nothing once the masks are frozen."""
        if bool(self.state.frozen):
            return {}
        total = torch.zeros((), device=self.state.strength.device)
        for group, gates in self.by_group.items():
            p = torch.stack([gate.p for gate in gates])
            if group in self.method.polarise:
                total = total + polarisation(p, gates[0].boundary)
            else:
                total = total + sparsity(p, gates[0].boundary, self.state.push(group))
        return {"sparsity": self.state.strength * total}

    def facts(self) -> dict[str, float]:
        """Cost of what is open, the boundary and the strength, for the log and the report."""
        return {
            "cost": float(self.setting.budget.of(self.cost(self._widths()))),
            "budget": float(self.setting.budget.limit),
            "boundary": self.boundary,
            "strength": float(self.state.strength),
            "undecided": self._undecided(),
        }

    def finish(self) -> dict[str, Tensor]:
        """Fold the masks, take the gates away, and say which channels stay."""
        if not bool(self.state.frozen):
            self._freeze()
        keep = self._kept()
        for _, layer in self.producers:
            fold_(layer, _gate(layer).mask)
        remove_gates_(self.model)
        del self.model.search
        return keep

    @torch.no_grad()
    def _tick(self, step: int) -> None:
        if step >= self.end:
            self._freeze()
            return
        new = boundary_at(step, self.end)
        for _, layer in self.producers:
            gate = _gate(layer)
            value = mask_value(gate.p, gate.boundary, gate.form)
            leaving = (gate.p >= new) & (gate.p < gate.boundary)
            fold_(layer, torch.where(leaving, value, torch.ones_like(value)))
            gate.boundary.fill_(new)
        self._weigh()
        cost, setting = self.setting.budget.of(self.cost(self._widths())), self.setting
        if cost <= setting.budget.limit:
            self._freeze()
            return
        # The path: what has left the band is decided, so the cost must come down as the band narrows, slowly at first.
        whole = setting.budget.of(self.cost())
        wanted = math.log(whole) + (1 - new) ** 2 * math.log(setting.budget.limit / whole)
        error = max(-1.0, min(1.0, math.log(cost) - wanted))
        self.state.strength.mul_(math.exp(GAIN * error)).clamp_(1e-6, 10.0)

    @torch.no_grad()
    def _freeze(self) -> None:
        """Set every mask to 0 or 1 by one threshold on p, exact to the budget; fold what was between."""
        scores = {group: torch.stack([gate.p for gate in gates]).amax(0).cpu() for group, gates in self.by_group.items()}
        setting, budget = self.setting, self.setting.budget
        widths = threshold_widths(self.model, scores, budget, self.cost, multiple=setting.multiple, least=self.method.least)
        for group, gates in self.by_group.items():
            p, device = torch.stack([gate.p for gate in gates]), gates[0].p.device
            kept = torch.zeros(p.shape[1], dtype=torch.bool, device=device)
            kept[scores[group].argsort(descending=True, stable=True)[: widths[group]].to(device)] = True
            best = p.argmax(0)
            for index, gate in enumerate(gates):
                gate.mask.copy_(kept & ((gate.p > -gate.boundary) | (best == index)))
        for _, layer in self.producers:
            gate = _gate(layer)
            value = mask_value(gate.p, gate.boundary, gate.form)
            between = (gate.mask > 0) & (value > 0)  # a channel that the threshold opened again begins whole
            fold_(layer, torch.where(between, value, torch.ones_like(value)))
            gate.p.copy_(gate.mask * 2 - 1)
            gate.boundary.zero_()
        survivors = self._kept()
        for seat, carrier in self.carriers:
            carrier.mask.zero_()
            carrier.mask[survivors[seat.dim.groups[0]].to(carrier.mask.device)] = 1.0
        self.state.frozen.fill_(True)

    def _weigh(self) -> None:
        for group, gates in self.by_group.items():
            p = torch.stack([gate.p.detach() for gate in gates])
            coefficients = group_coefficients(p, gates[0].boundary)
            self.state.push(group).copy_(coefficients if self.method.group_rule else torch.ones_like(coefficients))

    def _alive(self) -> dict[str, Tensor]:
        """``{group: (producers x C) whether the mask is not 0}``."""
        return {
            group: torch.stack([(gate.p > -gate.boundary) & (gate.mask > 0) for gate in gates]).cpu()
            for group, gates in self.by_group.items()
        }

    def _kept(self) -> dict[str, Tensor]:
        """The union rule: a channel stays if any of its producers keeps it; a block that adds nothing goes."""
        alive, whole = self._alive(), widths_of(self.model)
        keep = {group: members.any(0).nonzero().flatten() for group, members in alive.items()}
        removable, rows = removable_groups(self.model), dict.fromkeys(alive, 0)
        for seat, layer in self.producers:
            group = seat.dim.groups[0]
            row, rows[group] = rows[group], rows[group] + 1
            branch = self.needs[seat.module]
            adds_to_outside = any(branch.isdisjoint(reader) for reader in self.readers[group])
            if branch and adds_to_outside and not alive[group][row].any():
                keep |= dict.fromkeys(branch, torch.arange(0))
            if not len(keep[group]) and group not in removable:
                keep[group] = _gate(layer).p.detach().cpu().argmax(0, keepdim=True)  # this one may not vanish
        final = settle({**whole, **{group: len(kept) for group, kept in keep.items()}}, self.readers)
        return {group: kept if final[group] else torch.arange(0) for group, kept in keep.items() if whole[group]}

    def _widths(self) -> dict[str, int]:
        return {group: len(kept) for group, kept in self._kept().items()}

    def _undecided(self) -> float:
        """The part of the masks that is inside the band."""
        inside = torch.cat([(gate.p.abs() < gate.boundary).flatten() for gates in self.by_group.values() for gate in gates])
        return float(inside.float().mean())


def _ungated(model: nn.Module) -> nn.Module:
    """A copy without the search: what will be left."""
    plain = copy.deepcopy(model)
    remove_gates_(plain)
    del plain.search
    return plain


def _gate(layer: nn.Module) -> MaskGate:
    gate = layer.gate
    assert isinstance(gate, MaskGate)
    return gate
