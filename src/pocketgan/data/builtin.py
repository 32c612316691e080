"""The built-in sets: drawn on demand, the same on every machine, without a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig, Split, has_pairs
from pocketgan.data.geometry import Geometry, Size
from pocketgan.data.image_source import Opened, Role, Values, packed, prepared
from pocketgan.data.labels import Labels, palette
from pocketgan.data.layout import SearchTarget
from pocketgan.data.shapes import CLASSES, drawing, generating, label_map, scene
from pocketgan.data.textures import texture
from pocketgan.data.values import Pixels

BUILTIN: dict[str, TaskName] = {"shapes": "paired", "textures": "unpaired"}
"""The built-in sets and the task that each is made for; ``shapes`` has label maps, too."""

IMAGES: dict[Split, int] = {"train": 2000, "test": 200}
"""Images of each side of a built-in set."""

_Kind = SearchTarget | Literal["labels"]
_ROLES: tuple[Role, Role] = ("input", "target")


class SyntheticImages:
    """Images of a built-in set. Raises ``ValueError`` for pairs or label maps of a set that has none."""

    kind = "built-in"

    def __init__(self, config: DataConfig, task: TaskName, split: Split):
        if config.path == "textures" and has_pairs(task):
            what = "label maps" if task == "labels" else "pairs"
            raise ValueError(f"the built-in set textures has no {what}: use shapes, or train unpaired")
        self.labels = Labels(classes=CLASSES, colors=palette(len(CLASSES)), edges=True) if task == "labels" else None
        # Drawn at the size that they would be scaled to, so that nothing is. They are square: an oblong size squeezes them.
        size = max(config.load_shape if split == "train" else config.shape)
        sides: tuple[_Kind, _Kind] = ("A", "B") if config.direction == "AtoB" else ("B", "A")
        sides = ("labels", "B") if task == "labels" else sides
        alone = {"inputs": _ROLES[:1], "unconditional": _ROLES[1:]}
        roles = alone.get(task, _ROLES)
        self._drawings = {role: _Drawing(config.path, split, sides[_ROLES.index(role)], size) for role in roles}
        count = min(IMAGES[split], config.limit or IMAGES[split])
        self.names = tuple(f"{index:04d}" for index in range(count))
        self.counts: dict[Role, int] = dict.fromkeys(roles, count)

    def open(self, wanted: Mapping[Role, int]) -> Opened:
        """Nothing is drawn yet."""
        return OpenedDrawings({role: (self._drawings[role], index) for role, index in wanted.items()})


@dataclass(frozen=True)
class _Drawing:
    """One side of one split of a set, at a size."""

    name: str
    split: Split
    side: _Kind
    size: int

    def draw(self, index: int) -> Pixels:
        split = ("train", "test").index(self.split)
        if self.side != "labels" and self.name == "textures":
            return texture(np.random.default_rng((1, split, "AB".index(self.side), index)), self.side, self.size)
        draw = {"A": drawing, "B": generating, "labels": label_map}[self.side]
        drawn = scene(np.random.default_rng((0, split, index)))  # one seed for both sides: they are a pair
        return draw(drawn, self.size)


class OpenedDrawings:
    """Images about to be drawn."""

    def __init__(self, drawings: Mapping[Role, tuple[_Drawing, int]]):
        self._drawings = drawings

    def size(self, role: Role) -> Size:
        """Width and height: they are square."""
        side = self._drawings[role][0].size
        return side, side

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Values]:
        """Draw the images."""
        return {role: _part(*drawn, geometries[role]) for role, drawn in self._drawings.items()}


def _part(drawing: _Drawing, index: int, geometry: Geometry) -> Values:
    drawn = drawing.draw(index)
    if drawing.side != "labels":
        return prepared(Image.fromarray(drawn), geometry, Image.Resampling.BICUBIC)
    maps, instances = (prepared(Image.fromarray(drawn[..., n]), geometry, Image.Resampling.NEAREST) for n in (0, 1))
    return packed(maps, instances)
