"""Images as files, alone and side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pocketgan.utils.files import atomic


def to_uint8(image: Tensor) -> np.ndarray:
    """C x H x W in [-1, 1] -> H x W x 3 uint8, rounded; one channel becomes gray."""
    scaled = ((image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.expand(3, -1, -1).permute(1, 2, 0).numpy()


def save_image(path: Path, image: Tensor) -> None:
    """Write one image, C x H x W in [-1, 1], as PNG, atomically."""
    _save(path, to_uint8(image))


def save_grid(path: Path, columns: Mapping[str, Tensor], *, gap: int = 2) -> None:
    """Write ``{role: N x C x H x W in [-1, 1]}`` as one PNG, one row an image, one column a role, atomically."""
    save_sheet(path, list(zip(*columns.values(), strict=True)), gap=gap)


def save_sheet(path: Path, rows: Sequence[Sequence[Tensor]], *, gap: int = 2) -> None:
    """Write the `sheet` of these images as PNG, atomically."""
    _save(path, sheet(rows, gap=gap))


def save_video(path: Path, frames: Sequence[np.ndarray], *, fps: int) -> None:
    """Write H x W x 3 uint8 arrays as an endless animation, atomically: GIF (256 colors) or, by the ending, lossless WebP."""
    first, *rest = map(Image.fromarray, frames)
    with atomic(path) as temporary:
        first.save(temporary, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, lossless=True)


def sheet(rows: Sequence[Sequence[Tensor]], *, gap: int = 2) -> np.ndarray:
    """Rows of images, each C x H x W in [-1, 1], as one: H' x W' x 3 uint8; a shorter row ends in white."""
    strips = [np.concatenate([_padded(to_uint8(image), gap, gap) for image in row], 1) for row in rows]
    widest = max(strip.shape[1] for strip in strips)
    return np.concatenate([_padded(strip, 0, widest - strip.shape[1]) for strip in strips], 0)


def _padded(pixels: np.ndarray, below: int, right: int) -> np.ndarray:
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), constant_values=255)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic(path) as temporary:
        Image.fromarray(array).save(temporary, "PNG")
