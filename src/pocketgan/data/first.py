"""A few images to look at, from a file or a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pocketgan.core.shape import Shape
from pocketgan.data.config import DataConfig
from pocketgan.data.decode import ImageFile
from pocketgan.data.geometry import plan
from pocketgan.data.image_source import OpenedFiles, Values
from pocketgan.data.images import open_data
from pocketgan.data.listing import Item
from pocketgan.data.values import to_float


def first_images(path: str, shape: Shape, *, most: int) -> Tensor:
    """The image in a file, or up to ``most`` of a folder (its test images, where it has some): N x 3 x H x W in [-1, 1].

    Raises ``ValueError`` when there is nothing at ``path``, and ``BadImage`` naming a file that cannot be read.
    """
    height, width = shape
    config = DataConfig(path=path, size=width, aspect=width / height, workers=0)
    return to_float(torch.from_numpy(np.stack(_of_file(config) if Path(path).is_file() else _of_folder(config, most))))


def _of_file(config: DataConfig) -> list[Values]:
    opened = OpenedFiles({"input": Item(config.path, None)}, {config.path: ImageFile(config.path)})
    return [opened.pixels({"input": plan(opened.size("input"), config, None)})["input"]]


def _of_folder(config: DataConfig, most: int) -> list[Values]:
    data = open_data(config, "inputs", "test")
    return [data.load(index, None)["input"] for index in range(min(most, len(data)))]
