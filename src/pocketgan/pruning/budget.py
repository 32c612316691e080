"""Budgets: upper bounds on the cost of the student, as written on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pocketgan.metrics.cost import Cost, CostModel

Kind = Literal["macs", "macs_paper", "params"]

_FORM = re.compile(r"(?P<number>[0-9]{1,18}(\.[0-9]{1,18})?)(?P<scale>[kKMGT]?)(?P<unit>x|ms|paper|params|)")
_SCALE = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass(frozen=True)
class Budget:
    """Upper bound on one count of the student."""

    asked: str
    """Text of the budget as given."""
    kind: Kind
    limit: int
    """Largest allowed count."""

    def allows(self, cost: Cost) -> bool:
        """True if the cost is within the budget."""
        return self.of(cost) <= self.limit

    def of(self, cost: Cost) -> int:
        """Count that the budget bounds."""
        return int(getattr(cost, self.kind))


def parse_budget(text: str, teacher: Cost) -> Budget:
    """Parse ``2.6G`` exact MACs, ``2.6Gpaper`` (count of the literature), ``0.5Mparams``, ``12x`` fewer MACs than the teacher.

    Raises ``ValueError`` for any other form, and for a budget that the teacher meets already.
    """
    number, unit = split_budget(text)
    if unit == "x":
        return Budget(text, "macs", int(teacher.macs / number))
    kind: Kind = {"": "macs", "paper": "macs_paper", "params": "params"}[unit]  # type: ignore[assignment]
    budget = Budget(text, kind, int(number))
    if budget.allows(teacher):
        raise ValueError(f"budget '{text}': the teacher has {budget.of(teacher):,} {kind}, it is within that already")
    return budget


def split_budget(text: str) -> tuple[float, str]:
    """Number and unit of a budget. Raises ``ValueError`` for any other form."""
    forms = "2.6G (exact MACs), 2.6Gpaper (the literature's count), 0.5Mparams, 12x (ratio of exact MACs)"
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"budget '{text}' is not understood; write it like {forms}")
    number, unit = float(match["number"]) * _SCALE[match["scale"]], match["unit"]
    if unit == "ms":
        raise ValueError(f"budget '{text}': no method here searches by latency yet; write {forms}")
    if unit == "x" and number <= 1:
        raise ValueError(f"budget '{text}': a ratio is above 1, for example 10x for a tenth of the teacher's MACs")
    return number, unit


def check_floor(budget: Budget, cost: CostModel, floor: dict[str, int]) -> None:
    """Raise ``ValueError`` that names the floor if even the smallest allowed widths cost more than the budget."""
    least = budget.of(cost(floor))
    if least > budget.limit:
        full = budget.of(cost())
        raise ValueError(
            f"budget '{budget.asked}' ({budget.limit:,} {budget.kind}) is below the floor: with every group at its least "
            f"width the network still has {least:,} ({full / least:.1f}x fewer than now); ask for at least that"
        )
