"""Void pixels of label maps: how many there are, and which values they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pocketgan.data.decode import BadImage
from pocketgan.data.folders import shortened
from pocketgan.data.labels import Labels


@dataclass(frozen=True)
class Void:
    """What of one label map is no class."""

    values: tuple[int, ...]
    pixels: int
    of: int
    """Pixels of the map."""


def void_in(path: str, image: Image.Image, labels: Labels) -> Void:
    """The void pixels of a decoded label map. Raises ``BadImage`` if it holds nothing else."""
    pixels = np.asarray(image)
    void = pixels[(pixels < 0) | (pixels >= len(labels.classes))]
    values = tuple(np.unique(void).tolist())
    if len(void) == pixels.size:
        raise BadImage(path, f"holds no class at all, of {len(labels.classes)}, but the values {_listed(values)}")
    return Void(values, len(void), pixels.size)


def void_note(found: Sequence[Void]) -> tuple[str, ...]:
    """The share of void pixels in all maps, in one line; nothing where there are none."""
    void, maps = sum(one.pixels for one in found), sum(one.pixels > 0 for one in found)
    if not void:
        return ()
    values = sorted({value for one in found for value in one.values})
    share = void / sum(one.of for one in found)
    return (f"{maps} of {len(found)} label maps have void pixels, {share:.2%} of all (values {_listed(values)})",)


def _listed(values: Sequence[int]) -> str:
    return shortened([str(value) for value in values], most=5)
