"""Pareto front of a set of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pareto_front(points: Sequence[Sequence[float]], *, higher_is_better: bool | Sequence[bool] = True) -> list[int]:
    """Indices of the points that are not dominated, best in the first number first.

    With one flag the points are ``(cost, quality)``: a lower cost is better, the quality as the flag says. Otherwise
    there is a flag for every number of a point. A point is dominated if another is nowhere worse and somewhere better.
    Equal points are all on the front or none is. Points that are not finite are never on the front.
    """
    flags = (False, higher_is_better) if isinstance(higher_is_better, bool) else tuple(higher_is_better)
    table = np.asarray(points, np.float64).reshape(-1, len(flags))
    table = np.where(flags, -table, table)  # lower is better now
    finite = np.flatnonzero(np.isfinite(table).all(axis=1))
    order = finite[np.lexsort(table[finite].T[::-1])]  # no point is dominated by a later one
    front: list[int] = []
    for i in order.tolist():
        rivals = table[front]
        if not ((rivals <= table[i]).all(axis=1) & (rivals < table[i]).any(axis=1)).any():
            front.append(i)
    return front
