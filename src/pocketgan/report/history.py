"""How a search went, out of ``log.jsonl``: what it cost, where its masks or scales stood, what was closed at its end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pocketgan.report.curves import Series, thin
from pocketgan.report.read import mapping, real

CURVES = ("cost", "boundary", "strength", "zeros", "largest", "smallest")
TOPS = {"masks": 1.0, "scales": 2.0}
"""What a search may count, and the end of the last of its equal parts; the first begins at 0."""
COLUMNS = 60
"""A heat map has no more of them: beyond that nobody sees the difference, and the page grows."""


@dataclass(frozen=True)
class Spread:
    """How masks or scales are distributed, at some steps: shares from 0 up to ``top``, in equal parts, that sum to 1."""

    of: str
    top: float
    steps: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class History:
    """The search of one generator. What the log does not tell is empty or None."""

    generator: str
    kind: str
    """What the cost counts: ``macs``, ``macs_paper`` or ``params``."""
    budget: float | None
    curves: dict[str, Series]
    """Those of ``CURVES`` that are known."""
    spread: Spread | None
    closed: dict[str, float]
    """The part of each layer's channels that is closed at the end, in the order of the network."""

    @property
    def met(self) -> int | None:
        """The first logged step at which the cost was within the budget; where masks freeze, they have frozen by then."""
        cost = self.curves.get("cost")
        if cost is None or self.budget is None:
            return None
        return next((step for step, value in zip(cost.steps, cost.values, strict=True) if value <= self.budget), None)


def histories(log: Iterable[dict[str, Any]]) -> list[History]:
    """The search of every generator of which the log tells anything. Of a step that was logged twice, the later word counts."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for entry in log:
        step = real(entry.get("step"))
        if step is None or entry.get("stage", "search") != "search":
            continue
        for generator, facts in mapping(entry.get("search")).items():
            found.setdefault(generator, {})[int(step)] = mapping(facts)
    every = [_history(generator, dict(sorted(facts.items()))) for generator, facts in found.items()]
    return [one for one in every if one.curves or one.spread or one.closed]


def _history(generator: str, facts: dict[int, dict[str, Any]]) -> History:
    last = {key: value for one in facts.values() for key, value in one.items()}
    known = {key: _series(facts, key) for key in CURVES}
    rates = {str(layer): real(part) for layer, part in mapping(last.get("closed")).items()}
    return History(
        generator=generator,
        kind=str(last.get("kind", "")),
        budget=real(last.get("budget")),
        curves={key: series for key, series in known.items() if series.values},
        spread=next(filter(None, (_spread(facts, of) for of in TOPS)), None),
        closed={layer: part for layer, part in rates.items() if part is not None and 0 <= part <= 1},
    )


def _series(facts: dict[int, dict[str, Any]], key: str) -> Series:
    values = {step: real(one.get(key)) for step, one in facts.items()}
    known = {step: value for step, value in values.items() if value is not None}
    return Series(dense=False, steps=list(known), values=list(known.values()))


def _spread(facts: dict[int, dict[str, Any]], of: str) -> Spread | None:
    """Some columns at even distances, the first and the last among them; those of another length are left out."""
    read = {step: _shares(one.get(of)) for step, one in facts.items()}
    parts = next((len(shares) for shares in reversed(read.values()) if shares), 0)
    whole = [(step, shares) for step, shares in read.items() if shares and len(shares) == parts]
    if not whole:
        return None
    steps, columns = zip(*(whole[i] for i in thin(len(whole), most=COLUMNS)), strict=True)
    return Spread(of, TOPS[of], steps, columns)


def _shares(counts: object) -> tuple[float, ...]:
    """Counts as parts of their sum; nothing for what is no list of counts."""
    values = [real(count) for count in counts] if isinstance(counts, list) else []
    known = [value for value in values if value is not None and value >= 0]
    total = sum(known)
    return tuple(value / total for value in known) if len(known) == len(values) and 0 < total < math.inf else ()
