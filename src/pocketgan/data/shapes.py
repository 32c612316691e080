"""The built-in set ``shapes``: a sketch (A), or a label map of the same shapes, and the rendered scene (B).

Everything in the rendered scene follows from the sketch, most of it from distant parts of the image. The sketch has outlines
and a gray for each kind of shape, so that the kind is visible at a glance, but nothing else is:

- A black dot is the sun. Its direction from the center lights every shape and casts every shadow; it also sets the
  colors of the sky and the direction of its bands.
- The kind of a shape sets its hue, turning shifts it; size sets its lightness. The filling is shaded like a dome, so it
  depends on the whole outline.

Shapes are drawn from signed distances, negative inside, in the units of the coordinates, which gives soft edges.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pocketgan.data.decode import Pixels

Field = NDArray[np.floating]
_Distance = Callable[[Field, Field], Field]
_Window = tuple[slice, slice]
Color = NDArray[np.floating]
"""Red, green, blue from 0 to 1, shaped 3 x H x W or 3 x 1 x 1."""


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
    """Share of each pixel that lies inside, 0 to 1: an edge one pixel wide."""
    covered: Field = np.minimum(np.maximum(0.5 - distance / pixel, 0), 1)
    return covered


def _folded(x: Field, y: Field, wedges: int) -> tuple[Field, Field]:
    """Coordinates folded into one half wedge: along the middle of an edge (outwards), and the distance from it."""
    wedge = 2 * math.pi / wedges
    angle = np.arctan2(y, x) % wedge - wedge / 2
    radius = np.hypot(x, y)
    return radius * np.cos(angle), np.abs(radius * np.sin(angle))


@dataclass(frozen=True)
class _Kind:
    distance: _Distance
    hue: float
    """In turns."""
    symmetry: int
    """Rotations in one turn that leave the shape as it is; 0: all."""
    depth: float
    """The largest distance from the outline, for a radius of 1."""
    wash: float
    """Darkness of the inside in the sketch, from white (0) to black."""


_KINDS = (
    _Kind(circle, 0.02, 0, 1.0, 0.15),
    _Kind(ring, 0.50, 0, 0.25, 0.3),
    _Kind(box, 0.60, 2, 0.54, 0.45),
    _Kind(partial(polygon, corners=3), 0.35, 3, 0.5, 0.6),
    _Kind(partial(star, points=5), 0.13, 5, 0.4, 0.75),
)
CLASSES = ("background", "circle", "ring", "box", "triangle", "star", "sun")
"""Names of the classes, by value in a label map."""
_SMALL, _LARGE = 0.36, 0.6  # radii
_SUN_RADIUS, _SUN_DISTANCE = 0.075, 0.86
_SHADOW, _SOFT = 0.16, 0.14  # length of a shadow and width of its edge; the image spans -1 to 1
_LIGHT = math.cos(math.radians(40)), math.sin(math.radians(40))  # in the image plane, towards the viewer
_WHITE: Color = np.ones((3, 1, 1), np.float32)
_GLINT = math.cos(math.radians(65)), math.sin(math.radians(65))  # half way between the light and the viewer


@dataclass(frozen=True)
class Shape:
    """Shape: kind, center and radius (the image spans -1 to 1), and turn in radians."""

    kind: int
    x: float
    y: float
    radius: float
    turn: float


@dataclass(frozen=True)
class Scene:
    """A sun at an angle (radians) and shapes from back to front."""

    sun: float
    shapes: tuple[Shape, ...]


def random_scene(rng: np.random.Generator) -> Scene:
    """A random scene of two or three shapes."""
    shapes = [
        Shape(
            kind=int(rng.integers(len(_KINDS))),
            x=float(rng.uniform(-0.65, 0.65)),
            y=float(rng.uniform(-0.65, 0.65)),
            radius=float(rng.uniform(_SMALL, _LARGE)),
            turn=float(rng.uniform(0, 2 * math.pi)),
        )
        for _ in range(rng.integers(2, 4))
    ]
    shapes.sort(key=lambda shape: -shape.radius)  # small ones in front, so that none is fully hidden
    return Scene(float(rng.uniform(0, 2 * math.pi)), tuple(shapes))


def draw_sketch(scene: Scene, size: int) -> Pixels:
    """The sketch: black outlines on white, each kind's inside in its gray; ``size`` x ``size``, hidden lines left out."""
    pixel = 2 / size
    line = max(0.5 * pixel, 0.014)
    ink = np.zeros((size, size), np.float32)
    for shape in scene.shapes:
        window, distance = _distance(shape, shape.radius + line + pixel, size)
        part = ink[window]
        part += (_KINDS[shape.kind].wash - part) * coverage(distance, pixel)
        np.maximum(part, coverage(np.abs(distance) - line, pixel), out=part)
    window, sun = _sun(scene, size)
    np.maximum(ink[window], sun, out=ink[window])
    return np.repeat(_bytes(1 - ink)[..., None], 3, axis=2)


def label_map(scene: Scene, size: int) -> Pixels:
    """The label map: ``size`` x ``size`` x 2, class and instance of each visible pixel (0 is the background)."""
    labels = np.zeros((size, size, 2), np.uint8)
    for instance, shape in enumerate(scene.shapes, start=1):
        window, distance = _distance(shape, shape.radius, size)
        labels[window][distance < 0] = shape.kind + 1, instance
    window, sun = _sun(scene, size)
    labels[window][sun > 0.5] = CLASSES.index("sun"), len(scene.shapes) + 1
    return labels


def render(scene: Scene, size: int) -> Pixels:
    """The rendered scene, lit and colored, ``size`` x ``size``."""
    pixel = 2 / size
    canvas = _sky(scene, size)
    light = math.cos(scene.sun), math.sin(scene.sun)
    for shape in scene.shapes:
        shadow = replace(shape, x=shape.x - _SHADOW * light[0], y=shape.y - _SHADOW * light[1])
        window, distance = _distance(shadow, shape.radius + _SOFT, size)
        canvas[:, *window] *= 1 - 0.45 * coverage(distance, _SOFT)
        window, distance = _distance(shape, shape.radius + 2 * pixel, size)
        _blend(canvas[:, *window], _lit(shape, distance, light, pixel), coverage(distance, pixel))
    window, sun = _sun(scene, size)
    _blend(canvas[:, *window], _WHITE, sun)
    return np.ascontiguousarray(_bytes(canvas).transpose(1, 2, 0))


def _lit(shape: Shape, distance: Field, light: tuple[float, float], pixel: float) -> Color:
    """The filling: rounded like a ball or a tube, shaded by Lambert's law, with Blinn's highlight."""
    outwards_y, outwards_x = np.gradient(distance, pixel)
    towards = outwards_x * light[0] + outwards_y * light[1]
    depth = _KINDS[shape.kind].depth * shape.radius
    tilt = np.minimum(np.maximum(1 + distance / depth, 0), 1)
    up = np.sqrt(1 - tilt**2)
    leaning = tilt * towards
    facing = np.maximum(_LIGHT[0] * leaning + _LIGHT[1] * up, 0)
    highlight = np.maximum(_GLINT[0] * leaning + _GLINT[1] * up, 0)
    for _ in range(4):
        highlight *= highlight  # to the power of 16
    lit: Color = _color(shape) * (0.3 + 0.8 * facing) + 0.5 * highlight
    return lit


def _color(shape: Shape) -> Color:
    kind = _KINDS[shape.kind]
    shift = 0.05 * math.cos(kind.symmetry * shape.turn) if kind.symmetry else 0.0
    return _hsl(kind.hue + shift, 0.75, 0.66 - 0.7 * (shape.radius - _SMALL))


def _sky(scene: Scene, size: int) -> Color:
    """Bands across the light; the sun's height sets their hue."""
    x, y = _grid(size, (slice(None), slice(None)))
    along = x * math.cos(scene.sun) + y * math.sin(scene.sun)
    hue = 0.58 + 0.5 * (0.5 + 0.5 * math.sin(scene.sun))  # blue when the sun is high, red when it is low
    far, near = _hsl(hue, 0.35, 0.42), _hsl(hue + 0.06, 0.6, 0.86)
    nearness = 0.5 + 0.35 * along + 0.05 * np.sin(14 * along)
    sky: Color = far + (near - far) * nearness
    return sky


def _distance(shape: Shape, reach: float, size: int) -> tuple[_Window, Field]:
    """Window of what is nearer than ``reach`` to the center, and the signed distances there."""
    window = _window(shape.x, shape.y, reach, size)
    x, y = _grid(size, window)
    cos, sin = math.cos(shape.turn) / shape.radius, math.sin(shape.turn) / shape.radius
    right, down = x - shape.x, y - shape.y
    return window, shape.radius * _KINDS[shape.kind].distance(right * cos + down * sin, down * cos - right * sin)


def _sun(scene: Scene, size: int) -> tuple[_Window, Field]:
    """Window of the sun's dot, and its coverage there."""
    sun_x, sun_y = _SUN_DISTANCE * math.cos(scene.sun), _SUN_DISTANCE * math.sin(scene.sun)
    window = _window(sun_x, sun_y, _SUN_RADIUS + 2 / size, size)
    x, y = _grid(size, window)
    return window, coverage(np.hypot(x - sun_x, y - sun_y) - _SUN_RADIUS, 2 / size)


def _blend(canvas: Color, color: Color, alpha: Field) -> None:
    canvas += (color - canvas) * alpha


def _window(x: float, y: float, reach: float, size: int) -> _Window:
    """Rows and columns around a point; at least two of each, even outside the image, so that slopes exist."""

    def span(center: float) -> slice:
        first = math.floor((center - reach + 1) * size / 2)
        last = math.ceil((center + reach + 1) * size / 2)
        return slice(min(max(first, 0), size - 2), max(min(last, size), 2))

    return span(y), span(x)


def _grid(size: int, window: _Window) -> tuple[Field, Field]:
    """Coordinates of the pixel centers in a window: x as a row, y (pointing down) as a column."""
    line = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    return line[None, window[1]], line[window[0], None]


def _hsl(hue: float, saturation: float, lightness: float) -> Color:
    return np.array(colorsys.hls_to_rgb(hue % 1.0, lightness, saturation), dtype=np.float32)[:, None, None]


def _bytes(values: NDArray[np.floating]) -> Pixels:
    pixels: Pixels = (np.minimum(np.maximum(values, 0), 1) * 255 + 0.5).astype(np.uint8)
    return pixels
