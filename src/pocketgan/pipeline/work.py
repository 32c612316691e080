"""One compression in progress."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pocketgan.core.run import Run
from pocketgan.data.images import ImageData
from pocketgan.methods import Method, Setting
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.full import Cast
from pocketgan.pipeline.sides import Side


@dataclass(frozen=True)
class Pictures:
    """The images of a compression."""

    train: ImageData
    searched: ImageData
    """What the first fit trains on: without the images that its result is judged on."""
    held: ImageData | None
    """Those."""
    test: ImageData


@dataclass
class Work:
    """What its stages share."""

    config: CompressConfig
    run: Run
    cast: Cast
    method: Method
    sides: dict[str, Side]
    """By the name of the player in the search; the first is the generator that the run is about."""
    pictures: Pictures
    device: torch.device
    seconds: dict[str, float]
    """By stage."""
    models: dict[str, nn.Module] | None = None
    """What the first fit has made, by player, where it was made in this process."""

    @property
    def setting(self) -> Setting:
        """Budget and costs of the generator that the run is about."""
        return next(iter(self.sides.values())).setting

    @property
    def test(self) -> ImageData:
        """The images to judge on."""
        return self.pictures.test

    def file(self, name: str) -> Path:
        """A file of the run."""
        return self.run.path / name
