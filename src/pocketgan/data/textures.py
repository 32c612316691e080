"""The built-in unpaired task ``textures``: the same kind of blobs in two materials.

A is warm, striped generate on cream paper; B is cool ink with round dots on dark paper. In both, the outline, the shading
and the tint of the blobs vary alike, so a translation has to keep them and change the material alone.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketgan.data.values import Pixels

_Field = NDArray[np.floating]
_CELLS = 5  # cells of random values across an image: the size of the blobs
_STRIPES, _DOTS = 9, 9  # across an image
_EDGE = 3.0  # pixels over which a blob's edge is drawn, at 64 x 64
# Paper, and the two colors between which a blob's tint varies; then the color of the pattern. RGB, 0 to 1.
_PALETTES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "A": ((0.97, 0.93, 0.84), (0.90, 0.30, 0.16), (0.96, 0.68, 0.18), (0.45, 0.10, 0.08)),
    "B": ((0.08, 0.10, 0.17), (0.16, 0.42, 0.86), (0.20, 0.80, 0.66), (0.92, 0.98, 1.00)),
}


def texture(rng: np.random.Generator, side: Literal["A", "B"], size: int) -> Pixels:
    """A random image of ``side``, ``size`` x ``size``."""
    height, tint = _noise(rng, size), 0.5 + 0.5 * _noise(rng, size)
    paper, one, other, pattern = (np.array(color, np.float32)[:, None, None] for color in _PALETTES[side])
    inside = np.clip(0.5 + height * size / (_EDGE * _CELLS), 0, 1)
    dome = 0.7 + 0.45 * np.sqrt(np.clip(height, 0, 1))
    marks = _stripes(size) if side == "A" else _dots(size)
    color = (one + (other - one) * np.clip(tint, 0, 1)) * dome
    color += (pattern - color) * (0.75 * marks)
    canvas = paper + (color - paper) * inside
    return np.ascontiguousarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def _noise(rng: np.random.Generator, size: int) -> _Field:
    """Smooth random values around 0, mostly between -1 and 1."""
    coarse = rng.standard_normal((_CELLS + 2, _CELLS + 2), dtype=np.float32)
    inner = (1, 1, _CELLS + 1, _CELLS + 1)  # the rim only feeds the filter, so that the edges look like the middle
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC, box=inner))


def _stripes(size: int) -> _Field:
    x, y = _grid(size)
    return _soft(np.sin(math.tau * _STRIPES * (x * math.cos(0.6) + y * math.sin(0.6))), size)


def _dots(size: int) -> _Field:
    x, y = _grid(size)
    angle = math.tau * _DOTS
    return _soft(np.cos(angle * x) + np.cos(angle * y) - 0.7, size)


def _soft(wave: _Field, size: int) -> _Field:
    """1 where the wave is positive, with an edge about one pixel wide."""
    soft: _Field = np.clip(0.5 + wave * size / (math.tau * _STRIPES), 0, 1)
    return soft


def _grid(size: int) -> tuple[_Field, _Field]:
    line = np.arange(size, dtype=np.float32) / size
    return line[None, :], line[:, None]
