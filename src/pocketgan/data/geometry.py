"""Where the pixels that a network sees come from: scale, crop, mirror, kept apart from decoding.

A ``Geometry`` is planned once from the size of an image and can be applied to everything that lies under the same
pixels: both images of a pair, or an image and its label map with another resampling filter.
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
        """What the whole image may be decoded at without loss; None for every pixel, as of a square that is cut out."""
        return self.scaled if self.center is None else None


def whole(size: Size, config: DataConfig) -> Size:
    """What all else is made of: an image of ``size``, or its central square where one is cut out.

    Raises ``ValueError`` when the image is smaller than that square.
    """
    side = config.center
    if side is None:
        return size
    if min(size) < side:
        raise ValueError(
            f"is {size[0]}x{size[1]}, smaller than the central {side}x{side} that center={side} cuts out: use a smaller one, "
            "or leave it out"
        )
    return side, side


def plan(size: Size, config: DataConfig, rng: np.random.Generator | None) -> Geometry:
    """The geometry for an image of ``size``; random in training, central and unmirrored with ``rng=None``.

    Follows pytorch-CycleGAN-and-pix2pix: scale to ``load_shape``, cut a random part of ``shape``, mirror every second
    image; before all that, the ``center``. Raises ``ValueError`` when the image is smaller than the crop or the center, and
    with ``scale_width`` when its proportion is not that of ``shape``: costs and latencies are stated for that, so what the
    networks see must be that.
    """
    size = whole(size, config)
    scaled = _scaled(size, config, training=rng is not None)
    crop = scaled if config.preprocess == "none" else config.shape[::-1]
    room = scaled[0] - crop[0], scaled[1] - crop[1]
    if min(room) < 0:
        raise ValueError(
            f"is {size[0]}x{size[1]}, smaller than the {crop[0]}x{crop[1]} crop: use a smaller size or preprocess=resize"
        )
    if rng is None:
        left, top, flip = room[0] // 2, room[1] // 2, False
    else:
        left, top = int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
        flip = config.flip and bool(rng.integers(2))
    return Geometry(scaled, (left, top, left + crop[0], top + crop[1]), flip, config.center)


def apply(image: Image.Image, geometry: Geometry, *, filter: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    """The part of ``image`` that ``geometry`` describes. The image may have been decoded at any reduced size, with a center
    at its own alone.

    Only the crop is computed. It equals scaling first and cropping second, because the filter still sees the pixels
    around the box; of what lies around a center it sees nothing.
    """
    if geometry.center is not None:
        image = _central(image, geometry.center)
    if image.size == geometry.scaled:
        part = image if geometry.size == image.size else image.crop(geometry.box)
    else:
        across, down = image.width / geometry.scaled[0], image.height / geometry.scaled[1]
        left, top, right, bottom = geometry.box
        # The far edge must not leave the image by a rounding error: Pillow refuses such a box.
        box = left * across, top * down, min(right * across, image.width), min(bottom * down, image.height)
        part = image.resize(geometry.size, filter, box=box)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if geometry.flip else part


def _central(image: Image.Image, side: int) -> Image.Image:
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _scaled(size: Size, config: DataConfig, *, training: bool) -> Size:
    width, height = size
    least_high, least_wide = config.load_shape if training else config.shape
    match config.preprocess:
        case "resize":
            return least_wide, least_high
        case "scale_shorter" if least_wide * height >= least_high * width:
            return least_wide, max(least_high, round(height * least_wide / width))
        case "scale_shorter":
            return max(least_wide, round(width * least_high / height)), least_high
        case "scale_width":
            return config.size, _in_proportion(size, config)
        case "crop":
            return size
        case "none":
            return _rounded(width), _rounded(height)


def _in_proportion(size: Size, config: DataConfig) -> int:
    """The height of ``shape`` if that is, to a multiple of 4, the image's own at the width of ``shape``."""
    (width, height), (wanted, wide) = size, config.shape
    if abs(height * wide / width - wanted) > _MULTIPLE / 2:
        raise ValueError(
            f"is {width}x{height}, at width {wide} {round(height * wide / width)} high and not {wanted} (size={wide}, "
            f"aspect={config.aspect:g}): use aspect={width / height:.4g}, or preprocess=resize or scale_shorter"
        )
    return wanted


def _rounded(length: float) -> int:
    return max(_MULTIPLE, round(length / _MULTIPLE) * _MULTIPLE)
