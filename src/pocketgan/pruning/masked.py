"""All masks of a network: what they leave alive, how they are bound to the budget, and how they are folded away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Needs, conditions, removable_groups, widths_of
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.budget import Budget
from pocketgan.pruning.fit_budget import threshold_widths
from pocketgan.pruning.gate import Gate, expand_to_channels, fold_, gate_sites
from pocketgan.pruning.mask import MaskGate, mask_value
from pocketgan.pruning.selection import drop_dead_groups, positions, readers

REOPENED = 0.5
"""The mask of a channel that comes back when the masks are made binary: the half from which all of them began."""


class MaskedProducer(NamedTuple):
    """One producer of a group's channels, with its mask."""

    name: str
    """The producing layer, as the model names it."""
    group: str
    layer: nn.Module
    """What the mask is folded into."""
    gate: MaskGate
    branch: frozenset[str]
    """The groups without which it would not exist."""
    adds: bool
    """It adds to a stream that goes on without it: closed altogether, its branch does nothing."""


class Masks:
    """The masks of a network whose seats hold `MaskGate` (producers) and `Gate` (carriers)."""

    def __init__(self, model: nn.Module):
        self.model, self.whole = model, widths_of(model)
        self.removable, self.readers, needs = removable_groups(model), readers(model), conditions(model)
        self.members: list[MaskedProducer] = []
        self.carriers: list[Gate] = []
        for seat in gate_sites(model):
            layer, group = model.get_submodule(seat.module), seat.dim.groups[0]
            branch = _groups(needs[seat.module])
            gate = layer.gate
            if isinstance(gate, MaskGate):
                assert len(seat.dim.units.parts) == 1, f"{seat.producer} makes several groups at once"
                adds = bool(branch) and any(branch.isdisjoint(_groups(reader)) for reader in self.readers[group])
                self.members.append(MaskedProducer(seat.producer, group, layer, gate, branch, adds))
            else:
                assert isinstance(gate, Gate)
                self.carriers.append(gate)
        self.gates: dict[str, list[MaskGate]] = {}
        for member in self.members:
            self.gates.setdefault(member.group, []).append(member.gate)

    @property
    def boundary(self) -> float:
        """Where the boundary stands: one for all masks."""
        return float(self.members[0].gate.boundary)

    def p(self) -> Tensor:
        """The parameters of all masks, member after member."""
        return torch.cat([member.gate.p for member in self.members])

    def scores(self) -> dict[str, Tensor]:
        """``{group: p of the producer that holds on to the channel most}``, on the CPU."""
        return {group: torch.stack([gate.p.detach() for gate in gates]).amax(0).cpu() for group, gates in self.gates.items()}

    def values(self) -> dict[str, Tensor]:
        """``{group: producers x C soft masks in [0, 1]}``."""
        return {
            group: torch.stack([gate.mask * mask_value(gate.p, gate.boundary, gate.form) for gate in gates])
            for group, gates in self.gates.items()
        }

    def alive(self) -> dict[str, Tensor]:
        """``{group: producers x C, whether the mask is not 0}``, on the CPU."""
        return {
            group: torch.stack([(gate.p > -gate.boundary) & (gate.mask > 0) for gate in gates]).cpu()
            for group, gates in self.gates.items()
        }

    def kept(self) -> dict[str, Tensor]:
        """The selection by the union rule: a channel stays if any of its producers keeps it; a block that adds nothing goes.

        A group that may not vanish keeps its best channel.
        """
        alive = self.alive()
        keep = {group: members.any(0).nonzero().flatten() for group, members in alive.items()}
        for group in self._idle(alive):
            keep[group] = torch.arange(0)
        for group in self.gates:
            if not len(keep[group]) and group not in self.removable:
                keep[group] = self.scores()[group].argmax(0, keepdim=True)
        final = drop_dead_groups({**self.whole, **{group: len(kept) for group, kept in keep.items()}}, self.readers)
        return {group: kept if final[group] else torch.arange(0) for group, kept in keep.items() if self.whole[group]}

    def widths(self) -> dict[str, int]:
        """How many channels of each group stay."""
        return {group: len(kept) for group, kept in self.kept().items()}

    @torch.no_grad()
    def set_boundary_(self, boundary: float) -> None:
        """Set the boundary; what leaves the band upwards is folded into the weights, so that nothing jumps.

        The released fold is a no-op under an instance norm; here norms have scales (`affine_norms`).
        """
        p, old = self.p(), self.members[0].gate.boundary
        leaving = (p >= boundary) & (p < old)
        if bool(leaving.any()):
            parts = torch.split(leaving, [len(member.gate.p) for member in self.members])
            for member, part in zip(self.members, parts, strict=True):
                self._fold_(member, part)
        for member in self.members:
            member.gate.boundary.fill_(boundary)

    @torch.no_grad()
    def freeze_at_minimum_(self, least: Mapping[str, int]) -> None:
        """Open what is left of every group that has come down to its ``least`` width: it is pushed no further.

        The released code does so a layer of a U-Net ("frozen_threshold"), letting the masks jump; here they are folded.
        """
        for group, members in self.alive().items():
            if int(members.any(0).sum()) <= least.get(group, 0):
                for member in (m for m in self.members if m.group == group):
                    gate = member.gate
                    soft = (gate.p > -gate.boundary) & (gate.p < gate.boundary)
                    self._fold_(member, soft)
                    gate.p[soft] = 1.0

    @torch.no_grad()
    def binarize_to_budget_(
        self,
        budget: Budget,
        cost: CostModel,
        *,
        multiple: int = 1,
        least: float = 0.0,
        protected: Mapping[str, int] | None = None,
    ) -> None:
        """Set every mask to 0 or 1 by one threshold on p, as close to the budget as one channel allows; fold what was between.

        A block none of whose channels is added to the stream goes first, so that what it cost is spent elsewhere. Raises
        ``ValueError`` that names the floor for a budget below it.
        """
        scores = self.scores()
        absent: set[str] = set()
        while True:
            widths = threshold_widths(
                self.model, scores, budget, cost, multiple=multiple, least=least, protected=protected, absent=absent
            )
            opened = self._opened(scores, widths)
            idle = self._idle(opened) - absent
            if not idle:
                break
            absent |= idle
        self._binarize_(opened)

    def fold_away_(self) -> None:
        """Fold binary masks into the weights; what is closed is all zeros then."""
        for member in self.members:
            fold_(member.layer, expand_to_channels(member.gate.mask, member.gate.dim))

    def _opened(self, scores: Mapping[str, Tensor], widths: Mapping[str, int]) -> dict[str, Tensor]:
        """``{group: producers x C}``: of the best channels, every mask that is not closed, and the best one in any case."""
        opened = {}
        for group, gates in self.gates.items():
            p = torch.stack([gate.p for gate in gates]).cpu()
            chosen = torch.zeros(p.shape[1], dtype=torch.bool)
            chosen[scores[group].argsort(descending=True, stable=True)[: widths[group]]] = True
            best = torch.zeros_like(p, dtype=torch.bool).scatter_(0, p.argmax(0, keepdim=True), True)
            opened[group] = chosen & ((p > -self.boundary) | best)
        return opened

    def _idle(self, alive: Mapping[str, Tensor]) -> set[str]:
        """The groups of the branches that add nothing to the stream that they would add to."""
        idle: set[str] = set()
        rows = dict.fromkeys(alive, 0)
        for member in self.members:
            row, rows[member.group] = rows[member.group], rows[member.group] + 1
            if member.adds and not bool(alive[member.group][row].any()):
                idle |= member.branch
        return idle

    def _binarize_(self, opened: Mapping[str, Tensor]) -> None:
        rows = dict.fromkeys(opened, 0)
        for member in self.members:
            gate, row = member.gate, rows[member.group]
            rows[member.group] += 1
            mask = opened[member.group][row].to(gate.mask)
            value = mask_value(gate.p, gate.boundary, gate.form)
            factor = torch.where(value > 0, value, torch.full_like(value, REOPENED))
            fold_(member.layer, expand_to_channels(torch.where(mask > 0, factor, torch.ones_like(value)), gate.dim))
            gate.mask.copy_(mask)
            gate.p.copy_(mask * 2 - 1)
            gate.boundary.zero_()
        survivors = self.kept()
        for carrier in self.carriers:
            kept = positions(carrier.dim, survivors)
            if kept is not None:
                carrier.mask.zero_()
                carrier.mask[kept.to(carrier.mask.device)] = 1.0

    @staticmethod
    def _fold_(member: MaskedProducer, where: Tensor) -> None:
        gate = member.gate
        value = mask_value(gate.p, gate.boundary, gate.form)
        fold_(member.layer, expand_to_channels(torch.where(where, value, torch.ones_like(value)), gate.dim))


def _groups(needs: Needs) -> frozenset[str]:
    return frozenset().union(*needs)
