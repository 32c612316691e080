"""Built-in data sets, drawn on demand and the same on every machine: ``shapes`` (see `shapes`) and ``textures``.

``textures`` is an unpaired task: the same kind of blobs in two materials. A is warm, striped ink on cream paper; B is cool
ink with round dots on dark paper. In both, the outline, the shading and the tint of the blobs vary alike, so a translation has
to keep them and change the material alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig, Role, Split
from pocketgan.data.decode import Pixels
from pocketgan.data.geometry import Geometry, Size
from pocketgan.data.image_source import Opened, Values, packed, prepared
from pocketgan.data.labels import Labels, palette
from pocketgan.data.layout import Side
from pocketgan.data.shapes import CLASSES, draw_sketch, label_map, random_scene, render

BUILTIN: dict[str, TaskName] = {"shapes": "paired", "textures": "unpaired"}
"""The built-in sets and the task of each; ``shapes`` has label maps, too."""

IMAGES: dict[Split, int] = {"train": 2000, "test": 200}
"""Images of each side of a built-in set."""

_Kind = Side | Literal["labels"]
_ROLES: tuple[Role, Role] = ("input", "target")

_Field = NDArray[np.floating]
_CELLS = 5  # cells of random values across an image: the size of the blobs
_STRIPES, _DOTS = 9, 9  # across an image
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
        sides: tuple[_Kind, _Kind] = ("A", "B") if config.direction == "AtoB" else ("B", "A")
        sides = ("labels", "B") if traits_of(task).reads_labels else sides
        self._name, self._split, self._sides = config.path, split, dict(zip(_ROLES, sides, strict=True))
        roles = _ROLES[1:] if traits_of(task).reads_latents else _ROLES if traits_of(task).has_targets else _ROLES[:1]
        count = min(IMAGES[split], config.limit or IMAGES[split])
        self.names = tuple(f"{index:04d}" for index in range(count))
        self.counts: dict[Role, int] = dict.fromkeys(roles, count)

    def open(self, indices: Mapping[Role, int]) -> Opened:
        """Prepare to draw the images at these indices."""
        return OpenedDrawings(self, indices)

    def draw(self, role: Role, index: int) -> Pixels:
        """Draw an image, or a label map with its instances, ``size`` x ``size``."""
        split, side = ("train", "test").index(self._split), self._sides[role]
        if side != "labels" and self._name == "textures":
            return texture(np.random.default_rng((1, split, "AB".index(side), index)), side, self.size)
        draw = {"A": draw_sketch, "B": render, "labels": label_map}[side]
        return draw(random_scene(np.random.default_rng((0, split, index))), self.size)  # one seed for both sides of a pair


class OpenedDrawings:
    """Drawings of known size that are not drawn yet."""

    def __init__(self, images: SyntheticImages, indices: Mapping[Role, int]):
        self._images, self._indices = images, indices

    def size(self, role: Role) -> Size:
        """Width and height, which are equal."""
        return self._images.size, self._images.size

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Values]:
        """Draw the images and cut out the parts."""
        values: dict[Role, Values] = {}
        for role, index in self._indices.items():
            pixels, geometry = self._images.draw(role, index), geometries[role]
            if self._images.labels is None or role == "target":
                values[role] = prepared(Image.fromarray(pixels), geometry, Image.Resampling.BICUBIC)
            else:
                nearest = Image.Resampling.NEAREST
                values[role] = packed(*(prepared(Image.fromarray(pixels[..., n]), geometry, nearest) for n in (0, 1)))
        return values


def texture(rng: np.random.Generator, side: Side, size: int) -> Pixels:
    """A random image of ``side`` of the set ``textures``, ``size`` x ``size``."""
    height, tint = _noise(rng, size), 0.5 + 0.5 * _noise(rng, size)
    paper, low, high, pattern = (np.array(color, np.float32)[:, None, None] for color in _PALETTES[side])
    inside = np.clip(0.5 + height * size / (_EDGE * _CELLS), 0, 1)
    dome = 0.7 + 0.45 * np.sqrt(np.clip(height, 0, 1))
    marks = _stripes(size) if side == "A" else _dots(size)
    color = (low + (high - low) * np.clip(tint, 0, 1)) * dome
    color += (pattern - color) * (0.75 * marks)
    canvas = paper + (color - paper) * inside
    return np.ascontiguousarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def _noise(rng: np.random.Generator, size: int) -> _Field:
    """Smooth random values around 0, mostly between -1 and 1."""
    coarse = rng.standard_normal((_CELLS + 2, _CELLS + 2), dtype=np.float32)
    inner = (1, 1, _CELLS + 1, _CELLS + 1)  # the rim only feeds the filter, so that edges and middle look alike
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC, box=inner))


def _stripes(size: int) -> _Field:
    x, y = _unit_grid(size)
    return _soft(np.sin(math.tau * _STRIPES * (x * math.cos(0.6) + y * math.sin(0.6))), size)


def _dots(size: int) -> _Field:
    x, y = _unit_grid(size)
    angle = math.tau * _DOTS
    return _soft(np.cos(angle * x) + np.cos(angle * y) - 0.7, size)


def _soft(wave: _Field, size: int) -> _Field:
    """1 where the wave is positive, with an edge about one pixel wide."""
    soft: _Field = np.clip(0.5 + wave * size / (math.tau * _STRIPES), 0, 1)
    return soft


def _unit_grid(size: int) -> tuple[_Field, _Field]:
    line = np.arange(size, dtype=np.float32) / size
    return line[None, :], line[:, None]
