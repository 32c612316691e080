"""Curves and distributions out of ``log.jsonl``: losses, validation, and the state of a search."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pocketgan.report.numbers import finite
from pocketgan.report.read import mapping, number, real

KINDS = {"losses": "", "validation": "validation/", "search": "search/"}
"""Prefix of the names of each kind of value."""
MEMORY = 0.04
"""Part of a curve that its moving average covers."""
POINTS = 400
"""Largest number of points of a line."""
SEARCH_CURVES = ("cost", "boundary", "strength", "zeros", "largest", "smallest")
TOPS = {"masks": 1.0, "scales": 2.0}
"""Distributions of a search, with the upper end of the histogram; the lower end is 0."""
COLUMNS = 60
"""Largest number of columns of a heat map."""


@dataclass
class Series:
    """Values by step; ``dense`` ones are noisy (losses of a batch) and are drawn smoothed."""

    dense: bool
    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Distribution:
    """Histograms of masks or scales at some steps: shares from 0 to ``top``, in equal bins, that sum to 1."""

    of: str
    top: float
    steps: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class History:
    """Search of one generator; what the log does not have is empty or None."""

    generator: str
    kind: str
    """Unit of the cost: ``macs``, ``macs_paper`` or ``params``."""
    budget: float | None
    curves: dict[str, Series]
    """Known curves of ``SEARCH_CURVES``."""
    distribution: Distribution | None
    closed: dict[str, float]
    """Part of each layer's channels that is closed at the end, in the order of the network."""

    @property
    def met(self) -> int | None:
        """First logged step with a cost within the budget; masks that freeze have frozen by this step."""
        cost = self.curves.get("cost")
        if cost is None or self.budget is None:
            return None
        return next((step for step, value in zip(cost.steps, cost.values, strict=True) if value <= self.budget), None)


def curves(log: Iterable[dict[str, Any]]) -> dict[str, dict[str, Series]]:
    """``{stage: {name: series}}`` in order of first appearance, without entries that have no step."""
    found: dict[str, dict[str, Series]] = {}
    for entry in log:
        step = real(entry.get("step"))
        if step is None:
            continue
        for kind, prefix in KINDS.items():
            for name, value in mapping(entry.get(kind)).items():
                if (known := number(value)) is not None:
                    stage = found.setdefault(str(entry.get("stage", "run")), {})
                    series = stage.setdefault(prefix + name, Series(dense=kind == "losses"))
                    series.steps.append(int(step))
                    series.values.append(float(known) if finite(known) else math.nan)
    return found


def smooth(values: Sequence[float], *, memory: float = MEMORY) -> list[float]:
    """Exponential moving average over about ``memory`` of the curve, without the bias of its start.

    The average has weights ``decay ** age`` (bias correction of Adam, arXiv:1412.6980, section 3). Values that are not finite
    have weight 0, and NaN in the result.
    """
    decay = 1 - 1 / max(1.0, memory * len(values))
    total = weight = 0.0
    averages = []
    for value in values:
        if math.isfinite(value):
            total, weight = decay * total + value, decay * weight + 1
        averages.append(total / weight if weight and math.isfinite(value) else math.nan)
    return averages


def thin(count: int, *, most: int = POINTS) -> list[int]:
    """At most ``most`` indices below ``count``, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def histories(log: Iterable[dict[str, Any]]) -> list[History]:
    """Search of every generator in the log; of a step that was logged twice, after a resumption, the later entry counts."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for entry in log:
        step = real(entry.get("step"))
        if step is None or entry.get("stage", "search") != "search":
            continue
        for generator, facts in mapping(entry.get("search")).items():
            found.setdefault(generator, {})[int(step)] = mapping(facts)
    every = [_history(generator, dict(sorted(facts.items()))) for generator, facts in found.items()]
    return [history for history in every if history.curves or history.distribution or history.closed]


def _history(generator: str, facts: dict[int, dict[str, Any]]) -> History:
    last = {key: value for one in facts.values() for key, value in one.items()}
    known = {key: _series(facts, key) for key in SEARCH_CURVES}
    rates = {str(layer): real(part) for layer, part in mapping(last.get("closed")).items()}
    return History(
        generator=generator,
        kind=str(last.get("kind", "")),
        budget=real(last.get("budget")),
        curves={key: series for key, series in known.items() if series.values},
        distribution=next(filter(None, (_distribution(facts, of) for of in TOPS)), None),
        closed={layer: part for layer, part in rates.items() if part is not None and 0 <= part <= 1},
    )


def _series(facts: dict[int, dict[str, Any]], key: str) -> Series:
    known = {step: value for step, one in facts.items() if (value := real(one.get(key))) is not None}
    return Series(dense=False, steps=list(known), values=list(known.values()))


def _distribution(facts: dict[int, dict[str, Any]], of: str) -> Distribution | None:
    """Evenly spaced columns, with the first and the last; histograms of another length than the last are left out."""
    read = {step: _shares(one.get(of)) for step, one in facts.items()}
    bins = next((len(shares) for shares in reversed(read.values()) if shares), 0)
    complete = [(step, shares) for step, shares in read.items() if shares and len(shares) == bins]
    if not complete:
        return None
    steps, columns = zip(*(complete[i] for i in thin(len(complete), most=COLUMNS)), strict=True)
    return Distribution(of, TOPS[of], steps, columns)


def _shares(counts: object) -> tuple[float, ...]:
    """Counts as parts of their sum; empty if ``counts`` is no list of counts."""
    values = [real(count) for count in counts] if isinstance(counts, list) else []
    known = [value for value in values if value is not None and value >= 0]
    total = sum(known)
    return tuple(value / total for value in known) if len(known) == len(values) and 0 < total < math.inf else ()
