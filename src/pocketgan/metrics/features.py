"""Feature extractors (images to one row of features an image) and names of distances on them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pocketgan.metrics.registry import METRICS
from pocketgan.metrics.statistics import F64, feature_rows
from pocketgan.utils.images import check_rgb, resize, to_8bit
from pocketgan.utils.onnx_models import OnnxImageModel, Role

DEFAULT_SIZE = 224  # of ImageNet networks, where the file leaves height and width open


class Extractor(Protocol):
    """Feature extractor of distances. Its ``name`` is part of the name of every figure on its features."""

    name: str
    """Short, and different for different weights."""
    dim: int
    """D, the number of features of an image."""

    def __call__(self, images: Tensor) -> F64:
        """Features N x D of images N x 3 x H x W in [-1, 1]."""
        ...


STANDARD = ("clean", "legacy")
"""Names of the standard Inception features: distances on them are FID and KID."""


def distance_name(kind: str, extractor: Extractor, reals: str = "test") -> str:
    """Name of a distance to the real images ``reals``: ``FID[clean,test]``, ``kernel[mobilenet-1a2b3c4d]``.

    FID and KID are Inception's. On its features every name states the protocol and the real images, as figures of
    different ones do not compare. On other features only images other than those of the test split are named.
    """
    if extractor.name in STANDARD:
        return f"{METRICS[kind].standard or kind}[{extractor.name},{reals}]"
    return f"{kind}[{extractor.name}]" if reals == "test" else f"{kind}[{extractor.name},{reals}]"


class OnnxFeatures:
    """Extractor from any ONNX file with one input N x 3 x H x W (RGB in [0, 1]) and one output N x D, on the CPU.

    Images N x 3 x H x W in [-1, 1] are rounded to 8 bit first, as a saved file would be, then resized (``resize``) to the
    size that the file states, or 224 x 224 where it leaves it open.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """``threads``: of ONNX Runtime, by default all cores.

        Raises ``FileNotFoundError`` for no such file, ``ValueError`` for no model and for other inputs or outputs.
        """
        self._network = OnnxImageModel(path, Role("feature extractor", "N x D", "features"), threads=threads)
        self.path, self.name = self._network.path, self._network.name
        height, width = self._network.size
        self.size = (height or DEFAULT_SIZE, width or DEFAULT_SIZE)
        self.dim = self._run(torch.zeros(1, 3, *self.size)).shape[1]

    def __call__(self, images: Tensor) -> F64:
        """Features N x D in float64; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        images = check_rgb(images, "features")
        if len(images) == 0:
            return np.empty((0, self.dim))
        return self._run(resize(to_8bit(images).cpu(), self.size))

    def _run(self, images: Tensor) -> F64:
        return feature_rows(self._network(images))
