"""The size of an image: height and width, in the order of tensors; a square is said and written as one number."""

from __future__ import annotations

import math
from collections.abc import Sequence

Shape = tuple[int, int]
"""Height and width in pixels."""

Size = int | Shape
"""The side of a square, or height and width: what callers give and files hold."""


def shape_of(width: int, aspect: float) -> Shape:
    """An image of ``width`` whose width over height is ``aspect``.

    Raises ``ValueError`` for an aspect that is no positive number, or leaves less than two rows.
    """
    if not 0 < aspect < math.inf or round(width / aspect) < 2:
        raise ValueError(
            f"aspect={aspect:g} is width over height: with size={width} it must be above 0 and at most {width / 2:g}"
        )
    return round(width / aspect), width


def as_shape(size: int | Sequence[int]) -> Shape:
    """Height and width of what may be one number."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


def plain(shape: Shape) -> Size:
    """One number for a square, as files of older versions have it."""
    return shape[1] if shape[0] == shape[1] else shape


def said(shape: Shape) -> str:
    """For people, width first: ``512 x 256``."""
    return f"{shape[1]} x {shape[0]}"
