"""DMAD's differentiable masks: one learned value per channel and producer, sharpened by a shrinking boundary.

Li et al., "Learning Efficient GANs using Differentiable Masks and Co-Attention Distillation", equations 3 to 6. `Masks` holds
all masks of a network: which channels they keep, their binarization to the budget, and folding into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim, conditions, removable_groups, widths_of
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.allocation import threshold_widths
from pocketgan.pruning.budget import Budget
from pocketgan.pruning.gate import Gate, expand_to_channels, fold_, gate_sites
from pocketgan.pruning.selection import drop_dead_groups, group_requirements, positions

Form = Literal["quadratic", "linear"]

REOPENED = 0.5
"""Mask of a channel that is opened again when the masks become binary: the value at which all masks start."""


def mask_value(p: Tensor, boundary: Tensor | float, form: Form = "quadratic") -> Tensor:
    """Mask in [0, 1], eq. 3: 0 at p <= -b, 1/2 at 0, 1 at p >= b; slope (b - |p|) / b^2 inside, 0 outside.

    Two parabolas that meet at p = 0; ``linear`` is the straight line of the ablation in table II. At b = 0: the step p > 0,
    without gradient.
    """
    b = torch.as_tensor(boundary, dtype=p.dtype, device=p.device)
    u = (p / b.clamp_min(1e-12)).clamp(-1, 1)
    soft = (1 + u) / 2 if form == "linear" else torch.where(u <= 0, (1 + u).square() / 2, 1 - (1 - u).square() / 2)
    return torch.where(b > 0, soft, (p > 0).to(p.dtype))


def boundary_at(step: int, steps: int) -> float:
    """b = 1 - (step / steps)^(1/3), eq. 4; 0 from ``steps`` on."""
    return max(0.0, 1.0 - float((step / steps) ** (1 / 3)))


def group_coefficients(p: Tensor, boundary: Tensor | float, *, settling: bool = True) -> Tensor:
    """Weight of the sparsity of each channel of a group, eq. 6: s / (producers not closed), for s producers x C channels -> C.

    0 where all producers are closed. With ``settling`` (the released rule, not in the paper) also 0 where one producer is
    fully open, so that the channel stays; else all producers that are not closed are inside the band.
    """
    present = (p > -boundary).sum(0)
    done = present == 0
    if settling:
        done = done | (p >= boundary).any(0)
    return torch.where(done, 0.0, len(p) / present.clamp_min(1))


def sparsity(p: Tensor, boundary: Tensor | float, coefficients: Tensor | float, *, everywhere: bool = False) -> Tensor:
    """Sum of c |p + b|, eq. 5 and 6, over p inside the band (released): outside there is neither loss nor gradient.

    ``everywhere`` is eq. 5 as printed: closed masks are pulled up to the edge of the band, open ones are pulled down.
    """
    terms = coefficients * (p + boundary).abs()
    return (terms if everywhere else terms * (p.abs() < boundary)).sum()


def polarization(p: Tensor, boundary: Tensor | float) -> Tensor:
    """L2 norm of (b - |p|) inside the band: a push to the nearer edge, up or down.

    Not in the paper; the released code applies it to the layers next to the image.
    """
    inside = (boundary - p.abs()) * (p.abs() < boundary)
    return inside.square().sum().clamp_min(1e-24).sqrt()


class MaskGate(Gate):
    """Gate with a learned mask."""

    AXES = {"p": ("channels",), "mask": ("channels",)}  # noqa: RUF012
    learned = True

    def __init__(self, dim: Dim, form: Form, start: Tensor):
        """``start``: p of each channel of the group."""
        super().__init__(dim)
        self.form: Form = form
        self.p = nn.Parameter(start)
        self.register_buffer("boundary", torch.ones(()))
        self.boundary: Tensor

    def value(self) -> Tensor:
        """Soft mask of each channel of the group, without the binary one."""
        return mask_value(self.p, self.boundary, self.form)

    def factors(self) -> Tensor:
        return expand_to_channels(self.mask * self.value(), self.dim)


class MaskedProducer(NamedTuple):
    """Producer of the channels of a group, with its mask."""

    name: str
    """Name of the producing layer in the model."""
    group: str
    row: int
    """Index among the producers of the group."""
    layer: nn.Module
    """Layer into which the mask is folded."""
    gate: MaskGate
    branch: frozenset[str]
    """Groups without which the producer would not exist."""
    is_residual: bool
    """True if the output is added to a stream that exists without the branch: if all is closed, the branch does nothing."""

    def fold_(self, where: Tensor) -> None:
        """Fold the soft masks of the channels ``where`` into the layer."""
        value = self.gate.value()
        fold_(self.layer, expand_to_channels(torch.where(where, value, torch.ones_like(value)), self.gate.dim))


class Masks:
    """All masks of a network whose gates are `MaskGate` (producers) and `Gate` (pass-through layers)."""

    def __init__(self, model: nn.Module):
        self.model, self.full_widths = model, widths_of(model)
        self.removable, self.requirements, needs = removable_groups(model), group_requirements(model), conditions(model)
        self.producers: list[MaskedProducer] = []
        self.pass_through: list[Gate] = []
        self.gates: dict[str, list[MaskGate]] = {}
        for site in gate_sites(model):
            layer, group = model.get_submodule(site.module), site.dim.groups[0]
            branch = frozenset[str]().union(*needs[site.module])
            gate = layer.gate
            if not isinstance(gate, MaskGate):
                assert isinstance(gate, Gate)
                self.pass_through.append(gate)
                continue
            assert len(site.dim.units.parts) == 1, f"{site.producer} makes several groups at once"
            residual = bool(branch) and any(all(map(branch.isdisjoint, user)) for user in self.requirements[group])
            gates = self.gates.setdefault(group, [])
            self.producers.append(MaskedProducer(site.producer, group, len(gates), layer, gate, branch, residual))
            gates.append(gate)

    @property
    def boundary(self) -> float:
        """Boundary, the same for all masks."""
        return float(self.producers[0].gate.boundary)

    def p(self) -> Tensor:
        """Parameters of all masks, producer after producer."""
        return torch.cat([producer.gate.p for producer in self.producers])

    def scores(self) -> dict[str, Tensor]:
        """``{group: largest p of each channel over the producers}``, on the CPU."""
        return {group: torch.stack([gate.p.detach() for gate in gates]).amax(0).cpu() for group, gates in self.gates.items()}

    def values(self) -> dict[str, Tensor]:
        """``{group: producers x C masks in [0, 1]}``."""
        return {group: torch.stack([gate.mask * gate.value() for gate in gates]) for group, gates in self.gates.items()}

    def open_masks(self) -> dict[str, Tensor]:
        """``{group: producers x C, True where the mask is not 0}``, on the CPU."""
        return {
            group: torch.stack([(gate.p > -gate.boundary) & (gate.mask > 0) for gate in gates]).cpu()
            for group, gates in self.gates.items()
        }

    def kept(self) -> dict[str, Tensor]:
        """Channels to keep, by group: a channel stays if any layer that writes it keeps it.

        A residual branch that adds nothing is removed with its groups; any other group keeps at least its best channel.
        """
        opened = self.open_masks()
        keep = {group: rows.any(0).nonzero().flatten() for group, rows in opened.items()}
        for group in self._inactive_groups(opened):
            keep[group] = torch.arange(0)
        for group in self.gates:
            if not len(keep[group]) and group not in self.removable:
                keep[group] = self.scores()[group].argmax(0, keepdim=True)
        widths = {**self.full_widths, **{group: len(kept) for group, kept in keep.items()}}
        final = drop_dead_groups(widths, self.requirements)
        return {group: kept if final[group] else torch.arange(0) for group, kept in keep.items() if self.full_widths[group]}

    def widths(self) -> dict[str, int]:
        """Number of kept channels of each group."""
        return {group: len(kept) for group, kept in self.kept().items()}

    @torch.no_grad()
    def set_boundary_(self, boundary: float) -> None:
        """Set the boundary; masks that leave the band upwards are folded into the weights, so that no output jumps.

        The released fold is a no-op under an instance norm; here norms have scales (`affine_norms`).
        """
        p, old = self.p(), self.producers[0].gate.boundary
        leaving = (p >= boundary) & (p < old)
        if bool(leaving.any()):  # one question to the device instead of one per producer
            parts = torch.split(leaving, [len(producer.gate.p) for producer in self.producers])
            for producer, part in zip(self.producers, parts, strict=True):
                producer.fold_(part)
        for producer in self.producers:
            producer.gate.boundary.fill_(boundary)

    @torch.no_grad()
    def freeze_at_minimum_(self, least: Mapping[str, int]) -> None:
        """Open the remaining channels of every group at its ``least`` width: the sparsity narrows it no further.

        The released code does so for a layer of a U-Net ("frozen_threshold") and lets the masks jump; here they are folded.
        """
        at_minimum = {group for group, rows in self.open_masks().items() if int(rows.any(0).sum()) <= least.get(group, 0)}
        for producer in self.producers:
            if producer.group in at_minimum:
                gate = producer.gate
                soft = (gate.p > -gate.boundary) & (gate.p < gate.boundary)
                producer.fold_(soft)
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
        """Set every mask to 0 or 1 by one threshold on p, as close to the budget as one channel allows; fold soft values.

        A residual branch that adds nothing is removed first, so that its cost is spent elsewhere. Raises ``ValueError`` that
        names the floor for a budget below it.
        """
        scores = self.scores()
        absent: set[str] = set()
        while True:
            widths = threshold_widths(
                self.model, scores, budget, cost, multiple=multiple, least=least, protected=protected, absent=absent
            )
            opened = self._opened(scores, widths)
            inactive = self._inactive_groups(opened) - absent
            if not inactive:
                break
            absent |= inactive
        for producer in self.producers:
            self._binarize_(producer, opened[producer.group][producer.row])
        kept = self.kept()
        for gate in self.pass_through:
            indices = positions(gate.dim, kept)
            if indices is not None:
                gate.mask.zero_()
                gate.mask[indices.to(gate.mask.device)] = 1.0

    def fold_away_(self) -> None:
        """Fold binary masks into the weights: the filters of closed channels become zeros."""
        for producer in self.producers:
            fold_(producer.layer, expand_to_channels(producer.gate.mask, producer.gate.dim))

    def _opened(self, scores: Mapping[str, Tensor], widths: Mapping[str, int]) -> dict[str, Tensor]:
        """``{group: producers x C}``: of the best channels, every mask that is not closed and the best one in any case."""
        opened = {}
        for group, gates in self.gates.items():
            p = torch.stack([gate.p for gate in gates]).cpu()
            chosen = torch.zeros(p.shape[1], dtype=torch.bool)
            chosen[scores[group].argsort(descending=True, stable=True)[: widths[group]]] = True
            best = torch.zeros_like(p, dtype=torch.bool).scatter_(0, p.argmax(0, keepdim=True), True)
            opened[group] = chosen & ((p > -self.boundary) | best)
        return opened

    def _inactive_groups(self, opened: Mapping[str, Tensor]) -> set[str]:
        """Groups of the residual branches that add nothing to their stream."""
        closed = (m for m in self.producers if m.is_residual and not bool(opened[m.group][m.row].any()))
        return set().union(*(producer.branch for producer in closed))

    @staticmethod
    def _binarize_(producer: MaskedProducer, opened: Tensor) -> None:
        gate = producer.gate
        mask, value = opened.to(gate.mask), gate.value()
        factor = torch.where(value > 0, value, torch.full_like(value, REOPENED))
        fold_(producer.layer, expand_to_channels(torch.where(mask > 0, factor, torch.ones_like(value)), gate.dim))
        gate.mask.copy_(mask)
        gate.p.copy_(mask * 2 - 1)
        gate.boundary.zero_()
