"""Images and label maps of known content."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDES = {"A": 50, "B": 200}


def flat(side: str, number: int, size: tuple[int, int] = (16, 16)) -> Image.Image:
    """Image of one color: red encodes the side, green the number."""
    return Image.new("RGB", size, (SIDES[side], number, 0))


def identify(pixels: np.ndarray) -> tuple[str, int]:
    """Side and number of an image made by ``flat``."""
    assert (pixels == pixels[0, 0]).all()
    side = {value: name for name, value in SIDES.items()}[int(pixels[0, 0, 0])]
    return side, int(pixels[0, 0, 1])


def noise(seed: int, size: tuple[int, int], *, smooth: int = 8) -> Image.Image:
    """A smooth random RGB image."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size[1] // smooth + 1, size[0] // smooth + 1, 3))
    return Image.fromarray(coarse.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def numbers(seed: int, size: tuple[int, int], values: list[int], *, coarse: int = 4, dtype: type = np.uint8) -> np.ndarray:
    """A random map of blocks of those values, H x W."""
    shape = size[1] // coarse + 1, size[0] // coarse + 1
    blocks = np.random.default_rng(seed).choice(np.array(values, dtype), shape)
    return blocks.repeat(coarse, 0).repeat(coarse, 1)[: size[1], : size[0]]
