"""Feature extractors: images in, one row of features an image out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from pocketgan.metrics.statistics import F64, feature_rows
from pocketgan.utils.images import check_rgb, resize, to_8bit
from pocketgan.utils.onnx_images import OnnxImageModel, Role

DEFAULT_SIZE = 224  # of ImageNet networks, where the file leaves height and width open

_ROLE = Role("feature extractor", "N x D", "features")


class Extractor(Protocol):
    """What distances are measured on. Its ``name`` is part of the name of every number measured on it."""

    @property
    def name(self) -> str:
        """Short, and different for different weights."""
        ...

    @property
    def dim(self) -> int:
        """D, the number of features of an image."""
        ...

    def __call__(self, images: Tensor) -> F64:
        """Features N x D of images N x 3 x H x W in [-1, 1]."""
        ...


STANDARD = ("clean", "legacy")
"""Names that only the standard Inception features bear: distances on them are FID and KID."""


Kind = Literal["frechet", "kernel", "precision", "recall"]
"""What is measured between two sets of features."""


def distance_name(kind: Kind, extractor: Extractor, reals: str = "test") -> str:
    """The name of a distance to the real images ``reals``: ``FID[clean,test]``, ``kernel[mobilenet-1a2b3c4d]``.

    FID and KID are Inception's. On its features every measure says which protocol and which real images, as numbers of
    different ones do not compare. On other features only images other than those of the test split are named.
    """
    if extractor.name in STANDARD:
        word = {"frechet": "FID", "kernel": "KID"}.get(kind, kind)
        return f"{word}[{extractor.name},{reals}]"
    return f"{kind}[{extractor.name}]" if reals == "test" else f"{kind}[{extractor.name},{reals}]"


class OnnxFeatures:
    """Any ONNX file with one input N x 3 x H x W (RGB in [0, 1]) and one output N x D as an extractor.

    Called with images N x 3 x H x W in [-1, 1], which are rounded to 8 bit first, as a saved file would be, then
    resized (``resize``) to the size that the file states, or 224 x 224 where it leaves it open. Runs on the CPU, so
    that the numbers are the same everywhere.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open ``path``; ``threads`` is for ONNX Runtime (default: all cores).

        Raises ``FileNotFoundError`` for no such file, ``ValueError`` for a file that is no model or has other inputs or
        outputs.
        """
        self._network = OnnxImageModel(path, _ROLE, threads=threads)
        self.path, self.name = self._network.path, self._network.name
        height, width = self._network.size
        self.size = (height or DEFAULT_SIZE, width or DEFAULT_SIZE)
        self.dim = self._run(torch.zeros(1, 3, *self.size)).shape[1]

    def __call__(self, images: Tensor) -> F64:
        """Features N x D in float64; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        check_rgb(images, "features")
        if len(images) == 0:
            return np.empty((0, self.dim))
        return self._run(resize(to_8bit(images).cpu(), self.size))

    def _run(self, images: Tensor) -> F64:
        return feature_rows(self._network(images))
