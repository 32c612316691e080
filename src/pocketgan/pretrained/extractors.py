"""Feature extractors of distances between sets of images, and the statistics published for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pocketgan.metrics.features import Extractor, OnnxFeatures
from pocketgan.pretrained.inception import FEATURES, SIDE, WEIGHTS, Inception
from pocketgan.pretrained.weights import find, load
from pocketgan.utils.files import digest
from pocketgan.utils.images import check_rgb, resize, to_8bit
from pocketgan.utils.registry import unknown

INCEPTION = "inception"
PART = 16  # images at a time: half a gigabyte of maps


def legacy(images: Tensor) -> Tensor:
    """Preparation in GAN Compression, CAT, OMGD and DMAD, which call pytorch-fid: N x 3 x H x W in [-1, 1] -> 299 x 299.

    Truncated (not rounded) to 8 bit, scaled by a bilinear filter that is not antialiased. Their float32 arithmetic in their
    order: it makes 63 of the 256 levels of an 8-bit image one too low, in real and in generated images.
    """
    levels = images.float().add(1.0).div(2.0).mul(255.0).clamp(0.0, 255.0).floor()
    return 2.0 * interpolate(levels / 255.0, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1.0


def clean(images: Tensor) -> Tensor:
    """Preparation of clean-fid (Parmar, Zhang and Zhu 2022): N x 3 x H x W in [-1, 1] -> N x 3 x 299 x 299.

    Rounded to 8 bit as a saved image, scaled by Pillow's antialiased bicubic filter and not rounded again, then to
    ``(v - 128) / 128`` as in the network's TensorFlow graph, which is not quite [-1, 1].
    """
    return (resize(to_8bit(images), (SIDE, SIDE)) * 255.0 - 128.0) / 128.0


PROTOCOLS: Mapping[str, Callable[[Tensor], Tensor]] = {"clean": clean, "legacy": legacy}
"""Preparations of images for the network; the first is the default."""


class InceptionFeatures:
    """Extractor: images N x 3 x H x W in [-1, 1] to N x 2048 Inception features in float64, on the CPU.

    ``name`` is the protocol for the published weights; for others ``inception-PROTOCOL-HASH``, and no distance on them is
    called FID or KID.
    """

    dim = FEATURES

    def __init__(self, protocol: str = "clean", weights: str | Path | None = None):
        """``weights``: a file; by default the published one, from the cache or the web. Raises ``ValueError``."""
        if protocol not in PROTOCOLS:
            raise unknown("protocol of FID", protocol, PROTOCOLS)
        path = find(WEIGHTS, weights)
        self._prepare, self._network = PROTOCOLS[protocol], load(Inception, path, WEIGHTS)
        self.name = protocol if WEIGHTS.is_met_by(path) else f"inception-{protocol}-{digest(path)[:8]}"

    def __call__(self, images: Tensor) -> npt.NDArray[np.float64]:
        """Features N x 2048; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        images = check_rgb(images, "features")
        if len(images) == 0:
            return np.empty((0, self.dim))
        with torch.inference_mode():
            parts = [self._network(self._prepare(part)) for part in torch.split(images.detach().cpu(), PART)]
        return torch.cat(parts).double().numpy()


def make_extractor(text: str) -> Extractor:
    """Make the extractor that ``--features`` names.

    ``inception``, ``inception:PROTOCOL`` or ``inception:PROTOCOL:FILE`` (other weights), PROTOCOL ``clean`` or ``legacy``,
    by default ``clean``; else an ONNX file (RGB in [0, 1] to N x D). Raises ``ValueError`` or ``FileNotFoundError`` for
    weights or files that are missing or wrong.
    """
    if not is_inception(text):
        return OnnxFeatures(text)
    _, protocol, file = (*text.split(":", 2), "", "")[:3]
    return InceptionFeatures(protocol or "clean", file or None)


def is_inception(text: str) -> bool:
    """True if ``--features`` names Inception, with any protocol and weights."""
    return text.partition(":")[0] == INCEPTION


def published_statistics(root: Path, side: str) -> Path | None:
    """Statistics file of the real images of a side, A or B, that published repositories keep with a data set.

    Searched in ``root`` and ``root/real_stat``: ``<name of root>_B.npz`` (GAN Compression, CAT, OMGD) and
    ``real_stat_B.npz`` (DMAD); else any one ``*_B.npz`` in ``real_stat``. Raises ``ValueError`` if several fit.
    """
    inner = root / "real_stat"
    names = (f"{root.resolve().name}_{side}.npz", f"real_stat_{side}.npz")
    files = [folder / name for folder in (root, inner) for name in names if (folder / name).is_file()]
    files = files or sorted(inner.glob(f"*_{side}.npz"))
    if len(files) > 1:
        raise ValueError(f"several statistics of side {side}: {', '.join(map(str, files))}: say which with --stats")
    return files[0] if files else None
