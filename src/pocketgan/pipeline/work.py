"""One compression in progress."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pocketgan.core.run import Run
from pocketgan.data.images import ImageData
from pocketgan.methods import Method, MethodContext
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.full import Networks
from pocketgan.pipeline.search_targets import SearchTarget


@dataclass(frozen=True)
class Splits:
    """The images of a compression."""

    train: ImageData
    searched: ImageData
    """What the first fit trains on: without the images that its result is evaluated on."""
    held: ImageData | None
    """Those."""
    test: ImageData


@dataclass
class CompressionState:
    """What its stages share."""

    config: CompressConfig
    run: Run
    networks: Networks
    method: Method
    targets: dict[str, SearchTarget]
    """By the name of the network in the search; the first is the generator that the run is about."""
    splits: Splits
    device: torch.device
    seconds: dict[str, float]
    """By stage."""
    models: dict[str, nn.Module] | None = None
    """What the first fit has made, by network, where it was made in this process."""

    @property
    def context(self) -> MethodContext:
        """Budget and costs of the generator that the run is about."""
        return next(iter(self.targets.values())).context

    @property
    def test(self) -> ImageData:
        """The images to evaluate on."""
        return self.splits.test

    def file(self, name: str) -> Path:
        """A file of the run."""
        return self.run.path / name
