"""Built-in data sets, drawn on demand and the same on every machine: ``shapes`` (see `shapes`) and ``textures``.

``textures`` is an unpaired task: the same kind of blobs in two materials. A is warm, striped ink on cream paper; B is cool
ink with round dots on dark paper. In both, the outline, the shading and the tint of the blobs vary alike, so a translation has
to keep them and change the material alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig, Role, Side, Split, sides_of
from pocketgan.data.decode import Pixels
from pocketgan.data.image_source import Drawing, Opened
from pocketgan.data.labels import Labels, palette
from pocketgan.data.shapes import CLASSES, draw_sketch, label_map, random_scene, render

BUILTIN: dict[str, TaskName] = {"shapes": "paired", "textures": "unpaired"}
"""The built-in sets and the task of each; ``shapes`` has label maps, too."""

IMAGES: dict[Split, int] = {"train": 2000, "test": 200}
"""Images of each side of a built-in set."""

_Field = NDArray[np.floating]
_CELLS = 5  # cells of random values across an image: the size of the blobs
_MARKS = 9  # stripes or dots across an image
_EDGE = 3.0  # pixels over which a blob's edge is drawn, at 64 x 64
# Paper, and the two colors between which a blob's tint varies; then the color of the pattern. RGB, 0 to 1.
_PALETTES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "A": ((0.97, 0.93, 0.84), (0.90, 0.30, 0.16), (0.96, 0.68, 0.18), (0.45, 0.10, 0.08)),
    "B": ((0.08, 0.10, 0.17), (0.16, 0.42, 0.86), (0.20, 0.80, 0.66), (0.92, 0.98, 1.00)),
}


class SyntheticImages:
    """Images of a built-in set. Raises ``ValueError`` for pairs or label maps of a set that has none."""

    kind = "built-in"

    def __init__(self, config: DataConfig, task: TaskName, split: Split):
        if config.path == "textures" and traits_of(task).has_pairs:
            missing = "label maps" if traits_of(task).reads_labels else "pairs"
            raise ValueError(f"the built-in set textures has no {missing}: use shapes, or train unpaired")
        self.labels = (
            Labels(classes=CLASSES, colors=palette(len(CLASSES)), edges=True) if traits_of(task).reads_labels else None
        )
        # Drawn at the size to scale to, so that nothing is scaled. Drawings are square: a non-square size squeezes them.
        self.size = max(config.load_shape if split == "train" else config.shape)
        self._name, self._split, self._sides = config.path, split, sides_of(task, config.direction)
        count = min(IMAGES[split], config.limit or IMAGES[split])
        self.names = tuple(f"{index:04d}" for index in range(count))
        self.counts: dict[Role, int] = dict.fromkeys(self._sides, count)

    def open(self, indices: Mapping[Role, int]) -> Opened:
        """Prepare to draw the images at these indices."""
        size = self.size, self.size
        images = {role: Drawing(self._name, size, partial(self.draw, role, index)) for role, index in indices.items()}
        if self.labels is None or "input" not in images:
            return Opened(images)
        both = cache(images["input"].draw)
        images["input"] = Drawing(self._name, size, lambda: both()[..., 0], is_map=True)
        return Opened(images, instances=Drawing(self._name, size, lambda: both()[..., 1], is_map=True))

    def draw(self, role: Role, index: int) -> Pixels:
        """Draw an image, or a label map with its instances, ``size`` x ``size``."""
        split, side = ("train", "test").index(self._split), self._sides[role]
        if self._name == "textures":
            return texture(np.random.default_rng((1, split, "AB".index(side), index)), side, self.size)
        draw = render if side == "B" else draw_sketch if self.labels is None else label_map
        return draw(random_scene(np.random.default_rng((0, split, index))), self.size)  # one seed for both sides of a pair


def texture(rng: np.random.Generator, side: Side, size: int) -> Pixels:
    """A random image of ``side`` of the set ``textures``, ``size`` x ``size``."""
    height, tint = _noise(rng, size), 0.5 + 0.5 * _noise(rng, size)
    paper, low, high, pattern = (np.array(color, np.float32)[:, None, None] for color in _PALETTES[side])
    inside = np.clip(0.5 + height * size / (_EDGE * _CELLS), 0, 1)
    dome = 0.7 + 0.45 * np.sqrt(np.clip(height, 0, 1))
    color = (low + (high - low) * np.clip(tint, 0, 1)) * dome
    color += (pattern - color) * (0.75 * _marks(side, size))
    canvas = paper + (color - paper) * inside
    return np.ascontiguousarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def _noise(rng: np.random.Generator, size: int) -> _Field:
    """Smooth random values around 0, mostly between -1 and 1."""
    coarse = rng.standard_normal((_CELLS + 2, _CELLS + 2), dtype=np.float32)
    inner = (1, 1, _CELLS + 1, _CELLS + 1)  # the rim only feeds the filter, so that edges and middle look alike
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC, box=inner))


def _marks(side: Side, size: int) -> _Field:
    """Stripes (A) or dots (B): 1 where a wave is positive, with an edge about one pixel wide."""
    line, frequency = np.arange(size, dtype=np.float32) / size, math.tau * _MARKS
    x, y = line[None, :], line[:, None]
    if side == "A":
        wave = np.sin(frequency * (x * math.cos(0.6) + y * math.sin(0.6)))
    else:
        wave = np.cos(frequency * x) + np.cos(frequency * y) - 0.7
    marks: _Field = np.clip(0.5 + wave * size / frequency, 0, 1)
    return marks
