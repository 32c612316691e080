"""Curves out of ``log.jsonl``: one series for each stage and name, smoothed, and thinned to what an image can show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pocketgan.report.read import mapping, number, real

# Each kind of value and the prefix under which its names are shown.
KINDS = {"losses": "", "validation": "validation/", "search": "search/"}
MEMORY = 0.04
DRAWN = 400


@dataclass
class Series:
    """Values by step. ``dense`` ones are noisy (losses of a batch) and are drawn smoothed."""

    dense: bool
    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def curves(log: Iterable[dict[str, Any]]) -> dict[str, dict[str, Series]]:
    """``{stage: {name: series}}`` in order of first appearance. Entries without a step are left out."""
    found: dict[str, dict[str, Series]] = {}
    for entry in log:
        step = real(entry.get("step"))
        if step is None:
            continue
        for kind, prefix in KINDS.items():
            for name, value in mapping(entry.get(kind)).items():
                if (one := number(value)) is not None:
                    stage = found.setdefault(str(entry.get("stage", "run")), {})
                    series = stage.setdefault(prefix + name, Series(dense=kind == "losses"))
                    series.steps.append(int(step))
                    series.values.append(float(one))
    return found


def smooth(values: Sequence[float], *, memory: float = MEMORY) -> list[float]:
    """Exponential moving average that remembers about ``memory`` of the curve, without the bias of its start.

    The mean of what came so far, weighted by ``decay ** age`` (the bias correction of Adam, arXiv:1412.6980, section
    3). Values that are not finite are passed over and do not spoil what follows.
    """
    decay = 1 - 1 / max(1.0, memory * len(values))
    total = weight = 0.0
    averages = []
    for value in values:
        if math.isfinite(value):
            total, weight = decay * total + value, decay * weight + 1
        averages.append(total / weight if weight and math.isfinite(value) else math.nan)
    return averages


def thin(count: int, *, most: int = DRAWN) -> list[int]:
    """At most ``most`` indices below ``count``, evenly spaced, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def wide(values: Iterable[float], *, ratio: float = 100.0) -> bool:
    """Whether positive values span so much that only a logarithmic axis shows them all."""
    seen = [value for value in values if math.isfinite(value)]
    return bool(seen) and min(seen) > 0 and max(seen) > ratio * min(seen)
