"""Segmenters: the class of every pixel, as in the published evaluations of label-map generators.

All round the images to 8 bit first, as a saved file would hold them (GAN Compression and CAT truncate instead), and enlarge
scores, not classes. Pillow's bilinear filter, in the published Cityscapes code, and PyTorch's, in the COCO code, agree where
scores become larger, as they do in both; the antialiased filter is Pillow's in either direction, so all use that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pocketgan.core.inputs import Shape
from pocketgan.metrics.segmentation import Segmenter
from pocketgan.pretrained import deeplab, drn
from pocketgan.pretrained.weights import Published, find, load
from pocketgan.utils.files import digest
from pocketgan.utils.images import check_rgb, resize, to_8bit
from pocketgan.utils.onnx_models import OnnxImageModel, Role
from pocketgan.utils.registry import unknown

PART = 4  # images at a time
PROBE = 256  # side of the first image, where an ONNX file leaves it open
MEAN = (0.29010095242892997, 0.32808144844279574, 0.28696394422942517)
STD = (0.1829540508368939, 0.18656561047509476, 0.18447508988480435)
"""Of the images of Cityscapes, red, green, blue, in [0, 1]; from ``info.json`` of DRN's code."""
MEAN_BGR = (104.008, 116.669, 122.675)
"""Of ImageNet, blue, green, red, in 0 to 255; DeepLab has no deviation."""


class PublishedSegmenter:
    """Segmenter with published weights, by its name in `SEGMENTERS`."""

    def __init__(self, name: str, weights: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        """``weights``: a file; by default the published one, from the cache or the web. Raises ``ValueError``."""
        make, published, self._prepare, self.classes, self.of_present = SEGMENTERS[name]
        path = find(published, weights)
        # The name alone is for weights with the published checksum.
        self.name = name if published.is_met_by(path) else f"{name}-{digest(path)[:8]}"
        self._device, self._network = torch.device(device), load(make, path, published).to(device)

    def __call__(self, images: Tensor, size: Shape) -> Tensor:
        """Classes N x h x w; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        return _classes(images, size, lambda levels: self._network(self._prepare(levels, size).to(self._device)))


class OnnxSegmenter:
    """Segmenter from any ONNX file with one input N x 3 x h x w (RGB in [0, 1]) and one output N x K x h' x w', scores.

    Images are resized to the size that the file states, if any; the scores to the maps' size. Runs on the CPU.
    """

    of_present = False

    def __init__(self, path: str | Path) -> None:
        """Raises ``FileNotFoundError`` for no such file, ``ValueError`` for no model and for other inputs or outputs."""
        self._network = OnnxImageModel(path, Role("segmenter", "N x K x h x w", "scores"))
        self.name = self._network.name
        self.classes = self._scores(torch.zeros(1, 3, PROBE, PROBE)).shape[1]

    def __call__(self, images: Tensor, size: Shape) -> Tensor:
        """Classes N x h x w; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        return _classes(images, size, self._scores)

    def _scores(self, levels: Tensor) -> Tensor:
        height, width = self._network.size
        size = (height or levels.shape[-2], width or levels.shape[-1])
        return torch.from_numpy(self._network(resize(levels, size)))


def make_segmenter(text: str, *, device: str | torch.device = "cpu") -> Segmenter:
    """Make the segmenter that ``text`` names: ``drn-d-105`` or ``deeplabv2``, either with a file of weights, as in
    ``drn-d-105:FILE.pth``; or ``FILE.onnx``, which always runs on the CPU.

    Raises ``ValueError`` for an unknown name and for missing or wrong weights, ``FileNotFoundError`` for no such ONNX file.
    """
    if text.endswith(".onnx"):
        return OnnxSegmenter(text)
    name, _, weights = text.partition(":")
    if name not in SEGMENTERS:
        raise unknown("segmenter", name, [*SEGMENTERS, "FILE.onnx"])
    return PublishedSegmenter(name, weights or None, device=device)


def normalized(levels: Tensor, size: Shape) -> Tensor:
    """Input of DRN from images in [0, 1], of any ``size`` of the maps: by the mean and deviation of Cityscapes."""
    mean, std = (torch.tensor(values, device=levels.device)[:, None, None] for values in (MEAN, STD))
    return (levels - mean) / std


def bgr(levels: Tensor, size: Shape) -> Tensor:
    """Input of DeepLab from images in [0, 1]: 8-bit levels 0 to 255 at the maps' ``size``, blue first, minus the mean."""
    arrays = levels.mul(255.0).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    # Pillow rounds and clamps after the rows and again after the columns; resizing of tensors does not.
    resized = [Image.fromarray(one).resize(size[::-1], Image.Resampling.BICUBIC) for one in arrays]
    colors = torch.from_numpy(np.stack([np.asarray(one) for one in resized])).permute(0, 3, 1, 2)
    return colors.flip(1) - torch.tensor(MEAN_BGR)[:, None, None]


class Family(NamedTuple):
    """Published network, and what it takes and gives."""

    make: Callable[[], nn.Module]
    weights: Published
    prepare: Callable[[Tensor, Shape], Tensor]
    """Input of the network from images in [0, 1] and the size of the maps."""
    classes: int
    of_present: bool


SEGMENTERS = {
    "drn-d-105": Family(drn.Drn, drn.WEIGHTS, normalized, drn.CLASSES, of_present=False),
    "deeplabv2": Family(deeplab.DeepLab, deeplab.WEIGHTS, bgr, deeplab.CLASSES, of_present=True),
}
"""Published segmenters, both as in GAN Compression.

``drn-d-105``: the 19 classes of Cityscapes in the order of their train ids, as in CAT, too. Images keep their own size (256 x
256 or 512 x 256; best are multiples of 8), the log-probabilities are enlarged to that of the maps. ``deeplabv2``: the 182
class numbers of COCO-Stuff (11 of which occur in no image); images are resized to the maps' size by Pillow's bicubic filter
and rounded again first.
"""


def enlarged(scores: Tensor, size: Shape) -> Tensor:
    """Scores N x K x h' x w' at another size, by Pillow's bilinear filter."""
    if tuple(scores.shape[-2:]) == size:
        return scores
    return interpolate(scores, size=size, mode="bilinear", align_corners=False, antialias=True)


def _classes(images: Tensor, size: Shape, scores: Callable[[Tensor], Tensor]) -> Tensor:
    """Classes by the ``scores`` of images in [0, 1], enlarged one by one, as those of Cityscapes are 160 MB each."""
    levels = to_8bit(check_rgb(images, "segmenters"))
    classes = [torch.empty((0, *size), dtype=torch.int64)]
    # TF32, the default of GPUs, would change classes where two scores are nearly equal.
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for part in torch.split(levels, PART) if len(levels) else ():
            classes += [enlarged(one[None], size).argmax(1).cpu() for one in scores(part)]
    return torch.cat(classes)
