"""Segmenters: images in, the class of every pixel out, as the published evaluations of label-map generators ask them.

All round the images to 8 bit first, as a saved file would hold them (GAN Compression and CAT cut off instead), and enlarge
scores, not classes. Pillow's bilinear filter, which the published Cityscapes code uses a channel at a time, and PyTorch's,
which the COCO code uses, agree where scores become larger, as they do in both; an antialiased filter is Pillow's in either
direction, so that is taken for all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from pocketgan.pretrained import deeplab, drn
from pocketgan.pretrained.weights import Published, find
from pocketgan.utils.errors import unknown
from pocketgan.utils.files import digest
from pocketgan.utils.images import check_rgb, resize, to_8bit
from pocketgan.utils.onnx_images import OnnxImageModel, Role

Size = tuple[int, int]
"""Height and width."""

PART = 4  # images at a time
PROBE = 256  # side of the first image, where an ONNX file leaves it open
MEAN = (0.29010095242892997, 0.32808144844279574, 0.28696394422942517)
STD = (0.1829540508368939, 0.18656561047509476, 0.18447508988480435)
"""Of the images of Cityscapes, red, green, blue, in [0, 1]; from ``info.json`` of DRN's code."""
MEAN_BGR = (104.008, 116.669, 122.675)
"""Of ImageNet, blue, green, red, in 0 to 255; DeepLab has no deviation."""


class CityscapesDrn:
    """DRN-D-105 on the 19 classes of Cityscapes, in the order of their train ids, as GAN Compression and CAT ask it.

    It looks at the images at their own size (256 x 256 or 512 x 256), whatever the size of the maps is; sides are best
    multiples of 8. Its log-probabilities are enlarged to the maps' size.
    """

    classes = drn.CLASSES
    of_present = False

    def __init__(self, weights: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        """``weights``: a file; by default the published one, from the cache. Raises ``ValueError``."""
        path = find(drn.WEIGHTS, weights)
        self.name, self._device = _name("drn-d-105", drn.WEIGHTS, path), torch.device(device)
        self._network = drn.load_drn(path).to(device)
        self._mean, self._std = (torch.tensor(v, device=device)[:, None, None] for v in (MEAN, STD))

    def __call__(self, images: Tensor, size: Size) -> Tensor:
        """The classes, N x h x w; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        return _classes(images, size, self._scores)

    def _scores(self, levels: Tensor) -> Tensor:
        scores: Tensor = self._network((levels.to(self._device) - self._mean) / self._std)
        return scores


class CocoDeepLab:
    """DeepLabV2 on the 182 numbers of COCO-Stuff (11 of which no image bears), as GAN Compression asks it.

    Images are resized to the maps' size by Pillow's bicubic filter and rounded again before it looks at them.
    """

    classes = deeplab.CLASSES
    of_present = True

    def __init__(self, weights: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        """``weights``: a file; by default the published one, from the cache or the web. Raises ``ValueError``."""
        path = find(deeplab.WEIGHTS, weights)
        self.name, self._device = _name("deeplabv2", deeplab.WEIGHTS, path), torch.device(device)
        self._network = deeplab.load_deeplab(path).to(device)

    def __call__(self, images: Tensor, size: Size) -> Tensor:
        """The classes, N x h x w; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        return _classes(images, size, lambda levels: self._network(bgr(levels, size).to(self._device)))


class OnnxSegmenter:
    """Any ONNX file with one input N x 3 x h x w (RGB in [0, 1]) and one output N x K x h' x w', the scores of K classes.

    Images are resized to the size that the file states, if it states one; the scores to the maps' size. Runs on the CPU.
    """

    of_present = False

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open ``path``; ``threads`` is for ONNX Runtime (default: all cores).

        Raises ``FileNotFoundError`` for no such file, ``ValueError`` for a file that is no model or has other inputs or
        outputs.
        """
        self._network = OnnxImageModel(path, Role("segmenter", "N x K x h x w", "scores"), threads=threads)
        self.name = self._network.name
        self.classes = self._scores(torch.zeros(1, 3, PROBE, PROBE)).shape[1]

    def __call__(self, images: Tensor, size: Size) -> Tensor:
        """The classes, N x h x w; ``ValueError`` for images that are not N x 3 x H x W in [-1, 1]."""
        return _classes(images, size, self._scores)

    def _scores(self, levels: Tensor) -> Tensor:
        height, width = self._network.size
        own = (height or levels.shape[-2], width or levels.shape[-1])
        return torch.from_numpy(self._network(resize(levels, own)))


Segmenter = CityscapesDrn | CocoDeepLab | OnnxSegmenter
"""Each is a `pocketgan.metrics.segmentation.Segmenter`."""

SEGMENTERS: dict[str, type[CityscapesDrn] | type[CocoDeepLab]] = {"drn-d-105": CityscapesDrn, "deeplabv2": CocoDeepLab}
"""Those that go by a name."""


def make_segmenter(text: str, *, device: str | torch.device = "cpu") -> Segmenter:
    """The segmenter that ``text`` names: ``drn-d-105`` or ``deeplabv2``, or one of them with a file of weights, as in
    ``drn-d-105:FILE.pth``; or ``FILE.onnx``, which runs on the CPU whatever ``device`` is.

    Raises ``ValueError`` for an unknown name and for weights that cannot be had, ``FileNotFoundError`` for no such ONNX file.
    """
    if text.endswith(".onnx"):
        return OnnxSegmenter(text)
    name, _, weights = text.partition(":")
    if name not in SEGMENTERS:
        raise unknown("segmenter", name, [*SEGMENTERS, "FILE.onnx"])
    return SEGMENTERS[name](weights or None, device=device)


def bgr(levels: Tensor, size: Size) -> Tensor:
    """Images in [0, 1] as DeepLab takes them: 8-bit levels 0 to 255 at another size, blue first, less the mean."""
    arrays = levels.mul(255.0).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    # Pillow rounds and cuts off after the rows and again after the columns; no resizing of tensors does.
    resized = [Image.fromarray(one).resize(size[::-1], Image.Resampling.BICUBIC) for one in arrays]
    colors = torch.from_numpy(np.stack([np.asarray(one) for one in resized])).permute(0, 3, 1, 2)
    return colors.flip(1) - torch.tensor(MEAN_BGR)[:, None, None]


def enlarged(scores: Tensor, size: Size) -> Tensor:
    """Scores N x K x h' x w' at another size, by Pillow's bilinear filter."""
    if tuple(scores.shape[-2:]) == size:
        return scores
    return interpolate(scores, size=size, mode="bilinear", align_corners=False, antialias=True)


def _classes(images: Tensor, size: Size, scores: Callable[[Tensor], Tensor]) -> Tensor:
    """The classes by ``scores`` of images in [0, 1]; enlarged one by one, for those of Cityscapes are 160 MB each."""
    levels = to_8bit(check_rgb(images, "segmenters"))
    found = [torch.empty((0, *size), dtype=torch.int64)]
    # The shortened floats that GPUs multiply by default would change classes where two scores are nearly equal.
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for part in torch.split(levels, PART) if len(levels) else ():
            found += [enlarged(one[None], size).argmax(1).cpu() for one in scores(part)]
    return torch.cat(found)


def _name(name: str, weights: Published, path: Path) -> str:
    """``name`` alone for weights that are known to be those published; else with the first digits of their SHA-256."""
    return name if weights.is_met_by(path) else f"{name}-{digest(path)[:8]}"
