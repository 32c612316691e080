"""Signed distances to simple shapes, negative inside, in the units of the coordinates; for drawing with soft edges."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]


def circle(x: Field, y: Field) -> Field:
    """A disc of radius 1."""
    return np.hypot(x, y) - 1.0


def ring(x: Field, y: Field) -> Field:
    """A disc of radius 1 with a hole of radius 0.5."""
    return np.abs(np.hypot(x, y) - 0.75) - 0.25


def box(x: Field, y: Field) -> Field:
    """A rectangle of 1.8 x 1.08 with rounded corners."""
    right, below = np.abs(x) - 0.74, np.abs(y) - 0.38
    outside = np.hypot(np.maximum(right, 0), np.maximum(below, 0))
    return outside + np.minimum(np.maximum(right, below), 0) - 0.16


def polygon(x: Field, y: Field, corners: int) -> Field:
    """A regular polygon in the unit circle, one corner along x; outside, the distance to the nearest edge's line."""
    return _folded(x, y, corners)[0] - math.cos(math.pi / corners)


def star(x: Field, y: Field, points: int) -> Field:
    """A star in the unit circle, one point along x; the distance is to the line of the nearest edge."""
    along, across = _folded(x, y, points)
    # In the wedge of half a point the edge runs from the tip, at angle pi / points, to the notch on the middle.
    tip = math.cos(math.pi / points), math.sin(math.pi / points)
    notch = 0.48, 0.0
    edge = tip[0] - notch[0], tip[1] - notch[1]
    length = math.hypot(*edge)
    distance: Field = ((along - notch[0]) * edge[1] - (across - notch[1]) * edge[0]) / length
    return distance


def coverage(distance: Field, pixel: float) -> Field:
    """How much of each pixel lies inside, 0 to 1: an edge one pixel wide."""
    covered: Field = np.minimum(np.maximum(0.5 - distance / pixel, 0), 1)
    return covered


def _folded(x: Field, y: Field, wedges: int) -> tuple[Field, Field]:
    """Coordinates folded into one half wedge: along the middle of an edge (outwards), and the distance from it."""
    wedge = 2 * math.pi / wedges
    angle = np.arctan2(y, x) % wedge - wedge / 2
    radius = np.hypot(x, y)
    return radius * np.cos(angle), np.abs(radius * np.sin(angle))
