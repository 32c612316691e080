"""Scaling, cropping and mirroring of images, independent of decoding.

A ``Geometry`` is planned once from the size of an image and can be applied to everything with the same pixel grid: both
images of a pair, or an image and its label map with another resampling filter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pocketgan.data.config import DataConfig

Size = tuple[int, int]
"""Width and height in pixels, as Pillow orders them."""

_MULTIPLE = 4  # sizes that are not cropped are rounded to this, as published


@dataclass(frozen=True, slots=True)
class Geometry:
    """Scale the whole image to ``scaled``, cut out ``box`` (left, top, right, bottom), mirror if ``flip``.

    With a ``center`` the whole image is the central square of that side.
    """

    scaled: Size
    box: tuple[int, int, int, int]
    flip: bool
    center: int | None = None

    @property
    def size(self) -> Size:
        """Size of the result."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    @property
    def least(self) -> Size | None:
        """Smallest lossless size to decode the whole image at; None for every pixel, as with a ``center``."""
        return self.scaled if self.center is None else None


def whole(size: Size, config: DataConfig) -> Size:
    """Size of an image before scaling: ``size``, or that of its central square with a ``center``.

    Raises ``ValueError`` when the image is smaller than that square.
    """
    side = config.center
    if side is None:
        return size
    if min(size) < side:
        raise ValueError(
            f"is {size[0]}x{size[1]}, smaller than the central {side}x{side} that center={side} cuts out: use a smaller "
            "center, or none"
        )
    return side, side


def plan(size: Size, config: DataConfig, rng: np.random.Generator | None) -> Geometry:
    """The geometry for an image of ``size``; random in training, central and unmirrored with ``rng=None``.

    Follows pytorch-CycleGAN-and-pix2pix: scale to ``load_shape``, cut a random part of ``shape``, mirror every second
    image; before all that, the ``center``. Raises ``ValueError`` when the image is smaller than the crop or the center, and
    with ``scale_width`` when its proportion is not that of ``shape``, for which costs and latencies are stated.
    """
    size = whole(size, config)
    scaled = _scaled(size, config, training=rng is not None)
    crop = scaled if config.preprocess == "none" else config.shape[::-1]
    slack = scaled[0] - crop[0], scaled[1] - crop[1]
    if min(slack) < 0:
        raise ValueError(
            f"is {size[0]}x{size[1]}, smaller than the {crop[0]}x{crop[1]} crop: use a smaller size or preprocess=resize"
        )
    if rng is None:
        left, top, flip = slack[0] // 2, slack[1] // 2, False
    else:
        left, top = int(rng.integers(slack[0] + 1)), int(rng.integers(slack[1] + 1))
        flip = config.flip and bool(rng.integers(2))
    return Geometry(scaled, (left, top, left + crop[0], top + crop[1]), flip, config.center)


def apply(image: Image.Image, geometry: Geometry, *, filter: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    """The part of ``image`` that ``geometry`` describes. Without a center, the image may have been decoded at a reduced size.

    Only the crop is computed. The result equals scaling first and cropping second, because the filter still reads the pixels
    around the box; pixels around a center are not read.
    """
    if geometry.center is not None:
        left, top = (image.width - geometry.center) // 2, (image.height - geometry.center) // 2
        image = image.crop((left, top, left + geometry.center, top + geometry.center))
    if image.size == geometry.scaled:
        part = image if geometry.size == image.size else image.crop(geometry.box)
    else:
        across, down = image.width / geometry.scaled[0], image.height / geometry.scaled[1]
        left, top, right, bottom = geometry.box
        # Pillow rejects a box whose far edge leaves the image by a rounding error.
        box = left * across, top * down, min(right * across, image.width), min(bottom * down, image.height)
        part = image.resize(geometry.size, filter, box=box)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if geometry.flip else part


def _scaled(size: Size, config: DataConfig, *, training: bool) -> Size:
    width, height = size
    least_height, least_width = config.load_shape if training else config.shape
    match config.preprocess:
        case "resize":
            return least_width, least_height
        case "scale_shorter" if least_width * height >= least_height * width:
            return least_width, max(least_height, round(height * least_width / width))
        case "scale_shorter":
            return max(least_width, round(width * least_height / height)), least_height
        case "scale_width":
            return config.size, _in_proportion(size, config)
        case "crop":
            return size
        case "none":
            return _rounded(width), _rounded(height)


def _in_proportion(size: Size, config: DataConfig) -> int:
    """The height of ``shape``; ``ValueError`` unless the image scaled to its width has about that height."""
    (width, height), (target_height, target_width) = size, config.shape
    own_height = height * target_width / width
    if abs(own_height - target_height) > _MULTIPLE / 2:
        raise ValueError(
            f"is {width}x{height}: scaled to width {target_width} the height is {round(own_height)}, not {target_height} "
            f"(size={target_width}, aspect={config.aspect:g}): use aspect={width / height:.4g}, or preprocess=resize or "
            "scale_shorter"
        )
    return target_height


def _rounded(length: float) -> int:
    return max(_MULTIPLE, round(length / _MULTIPLE) * _MULTIPLE)
