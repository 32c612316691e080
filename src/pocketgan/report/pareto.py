"""The points that no other point beats."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]], *, higher_is_better: bool = True) -> list[int]:
    """Indices of the ``(cost, quality)`` pairs that are not dominated, cheapest first.

    A point is dominated if another is no dearer and no worse, and better in one of the two. Equal points stand or
    fall together. Points that are not finite are never on the front.
    """
    sign = 1.0 if higher_is_better else -1.0
    finite = [i for i, point in enumerate(points) if all(map(math.isfinite, point))]
    order = sorted(finite, key=lambda i: (points[i][0], -sign * points[i][1]))
    front: list[int] = []
    for i in order:
        if not front or sign * points[i][1] > sign * points[front[-1]][1] or points[i] == points[front[-1]]:
            front.append(i)
    return front
