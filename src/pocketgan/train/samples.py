"""Grids of pictures: one row an image, one column a role."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pocketgan.core.files import atomic


def to_uint8(picture: Tensor) -> np.ndarray:
    """C x H x W in [-1, 1] -> H x W x 3 uint8, rounded; one channel becomes gray."""
    scaled = ((picture.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.expand(3, -1, -1).permute(1, 2, 0).numpy()


def save_picture(path: Path, picture: Tensor) -> None:
    """Write one picture, C x H x W in [-1, 1], as PNG, atomically."""
    _save(path, to_uint8(picture))


def save_grid(path: Path, columns: Mapping[str, Tensor], *, gap: int = 2) -> None:
    """Write ``{role: N x C x H x W in [-1, 1]}`` as one PNG with N rows, atomically."""
    rows = []
    for index in range(len(next(iter(columns.values())))):
        tiles = [np.pad(to_uint8(c[index]), ((0, gap), (0, gap), (0, 0)), constant_values=255) for c in columns.values()]
        rows.append(np.concatenate(tiles, 1))
    _save(path, np.concatenate(rows, 0))


def _save(path: Path, array: np.ndarray) -> None:
    with atomic(path) as temporary:
        Image.fromarray(array).save(temporary, "PNG")
