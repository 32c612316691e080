"""The features of FID and KID, by the protocols in which figures are published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pocketgan.pretrained.inception import FEATURES, SIDE, WEIGHTS, load_inception
from pocketgan.pretrained.weights import find
from pocketgan.utils.errors import unknown
from pocketgan.utils.files import digest
from pocketgan.utils.images import check_rgb, resize, to_8bit

PART = 16  # images at a time: half a gigabyte of maps


def legacy(images: Tensor) -> Tensor:
    """As pytorch-fid is called by GAN Compression, CAT, OMGD and DMAD: N x 3 x H x W in [-1, 1] -> N x 3 x 299 x 299.

    Cut off (not rounded) to 8 bit, scaled by a bilinear filter that is not antialiased. Their float32 arithmetic in their
    order: it takes 63 of the 256 levels of an 8-bit image one too low, in the real images as in the generated ones.
    """
    levels = images.float().add(1.0).div(2.0).mul(255.0).clamp(0.0, 255.0).floor()
    return 2.0 * interpolate(levels / 255.0, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1.0


def clean(images: Tensor) -> Tensor:
    """Parmar, Zhang and Zhu 2022 ("clean-fid"): N x 3 x H x W in [-1, 1] -> N x 3 x 299 x 299.

    As a saved image is read: rounded to 8 bit, scaled by Pillow's antialiased bicubic filter and not rounded again, then
    to ``(v - 128) / 128`` as in the network's TensorFlow graph, which is not quite [-1, 1].
    """
    return (resize(to_8bit(images), (SIDE, SIDE)) * 255.0 - 128.0) / 128.0


PROTOCOLS: Mapping[str, Callable[[Tensor], Tensor]] = {"clean": clean, "legacy": legacy}
"""How images come to the network; the first is the default."""


class InceptionFeatures:
    """An extractor: images N x 3 x H x W in [-1, 1] to N x 2048 features in float64, on the CPU.

    Its ``name`` is that of the protocol, and only with the published weights; with others it is
    ``inception-PROTOCOL-HASH``, and no distance on them is to be called FID or KID.
    """

    dim = FEATURES

    def __init__(self, protocol: str = "clean", weights: str | Path | None = None):
        """``weights``: a file; by default the published one, from the cache or the web. Raises ``ValueError``."""
        if protocol not in PROTOCOLS:
            raise unknown("protocol of FID", protocol, PROTOCOLS)
        path = find(WEIGHTS, weights)
        self._prepare, self._network = PROTOCOLS[protocol], load_inception(path)
        self.name = protocol if WEIGHTS.is_met_by(path) else f"inception-{protocol}-{digest(path)[:8]}"

    def __call__(self, images: Tensor) -> npt.NDArray[np.float64]:
        """Features N x 2048; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        check_rgb(images, "features")
        if len(images) == 0:
            return np.empty((0, self.dim))
        with torch.inference_mode():
            parts = [self._network(self._prepare(part)) for part in torch.split(images.detach().cpu(), PART)]
        return torch.cat(parts).double().numpy()
