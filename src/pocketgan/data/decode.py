"""Decoding of image files to 8-bit RGB or four bands, and conversion between bytes and floats. Every failure names the file."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from pocketgan.data.config import Range
from pocketgan.data.geometry import Size

Half = Literal["left", "right"]
Pixels = NDArray[np.uint8]
"""Decoded image: H x W x 3, RGB, 0 to 255; or H x W x 4, where a fourth band is no opacity."""

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are read. A file's name does not tell its format, and others would start programs."""
MAX_PIXELS = 89_478_485
"""Pixels of the largest image that is read: where Pillow begins to warn, because a small file can claim any size."""
MAX_RATIO = 2000
"""Pixels a byte that any image may have: a PNG of a single color has 1,030."""

_SMALL = 8192  # bytes of a file whose image needs so little memory that it may claim anything
_ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_DRAFT_MARGIN = 2  # a reduced JPEG keeps at least this many pixels for each pixel of the result


def to_float(bytes_NHWC: Tensor) -> Tensor:
    """Bytes (N, H, W, 3) to network images: (N, 3, H, W), float32, ``x / 127.5 - 1``."""
    return bytes_NHWC.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1.0)


def to_bytes(images_NCHW: Tensor) -> Tensor:
    """Network images to bytes (N, H, W, 3), the inverse of ``to_float``: clipped to [-1, 1] and rounded."""
    scaled = images_NCHW.detach().to(torch.float32).clamp(-1.0, 1.0).add(1.0).mul_(127.5).round_()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def printable(text: str) -> str:
    """Text with paths on one line: line breaks, control characters and bytes that are no UTF-8 as escapes."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class BadImage(ValueError):
    """An image that cannot be used: ``path`` and the ``reason``, in one line."""

    def __init__(self, path: str, reason: str):
        super().__init__(printable(f"{path}: {reason}"))
        self.path, self.reason = path, reason


class ImageFile:
    """Header of an image file; the pixels are decoded on demand. No file stays open.

    Raises ``BadImage`` for a missing, empty or damaged file and for one of an unknown format.
    """

    is_map = False
    """True for a file of numbers."""

    def __init__(self, path: str, *, range: Range | None = None, opacity: bool | None = None):
        self.path, self.range, self.opacity = path, range, opacity
        with _opened(path) as image:
            pixels, size = image.width * image.height, os.path.getsize(path)
            if pixels > MAX_PIXELS:
                raise BadImage(path, _too_large())
            if pixels > MAX_RATIO * max(size, _SMALL):
                raise BadImage(path, f"claims {image.width}x{image.height} pixels in {size:,} bytes: it is damaged")
            self._orientation = _orientation(image)
            self.mode = image.mode
            """Pillow's name of the pixel format in the file."""
            self.bits = 32 if image.mode == "F" else 16 if image.mode.startswith("I") or _is_deep_color(image) else 8
            """16 or 32 for pixels that `range` scales, else 8."""
            self.lossy = image.format in ("JPEG", "MPO") or image.info.get("compression") == "jpeg"
            """True if compression has changed the pixels."""
            self._fourth = _fourth_band(image)
            self._doubtful = self._fourth == "opacity" and image.format == "TIFF"  # writers mark any fourth band so
            # Pillow states the upright size of a TIFF, and turns its pixels itself.
            self._sideways = self._orientation in _ROTATED and image.format != "TIFF"
            self.size: Size = (image.height, image.width) if self._sideways else image.size
            """Width and height of the upright image, in the file's own pixels."""
            has_opacity = self._fourth == "opacity" if opacity is None or self._fourth is None else opacity
            self.transparent = has_opacity or (self._fourth is None and image.has_transparency_data)
            """True if pixels may be transparent."""
            self.channels = 3 if self._fourth is None or has_opacity else 4
            """Channels of the decoded image."""

    @property
    def needs_pixels(self) -> bool:
        """True if the pixels, not the header alone, say whether the file can be read."""
        return self.bits > 8 or self._doubtful

    @property
    def rotated(self) -> bool:
        """True if EXIF asks for a rotation or a reflection."""
        return 2 <= self._orientation <= 8

    def decode(self, *, least: Size | None = None) -> Image.Image:
        """All pixels as upright 8-bit RGB or four bands (RGBX); a JPEG may come at 1/2, 1/4 or 1/8 of its size.

        ``least`` is the size that the whole image will be scaled to; ``None`` decodes every pixel. Deeper pixels are scaled
        from ``range`` to 8 bits, transparency is composited onto white. Raises ``BadImage``.
        """
        with _opened(self.path) as image:
            if least is not None and image.format == "JPEG":
                _reduce(image, (least[1], least[0]) if self._sideways else least)
            image.load()
            return self._converted(ImageOps.exif_transpose(image) if self.rotated else image)

    def extremes(self) -> Range:
        """Least and largest value of the pixels as they are in the file. Raises ``BadImage``."""
        with _opened(self.path) as image:
            values = np.asarray(image)
            unit = 1 if self.bits == 8 or is_deep_gray(self.mode) else 257  # of colors the upper 8 bits are read
            return float(values.min()) * unit, float(values.max()) * unit

    def _converted(self, image: Image.Image) -> Image.Image:
        if self.bits > 8 and self._fourth == "band":
            raise ValueError("has four bands of 16 bits, of which Pillow reads the upper 8 of three: save bands of 8 bits")
        if self.bits > 8 and self.range is not None and not is_deep_gray(self.mode):
            raise ValueError(
                "has colors of 16 bits, of which the upper 8 are read: a range cannot be applied; save gray images, or 8 bits"
            )
        if self._fourth is None:
            return to_rgb(image, self.range)
        bands = four_bands(image)
        if self.channels == 4:
            return bands
        if self._doubtful and self.opacity is None and np.asarray(bands)[..., 3].max() < 255:
            raise ValueError(
                "has a fourth band that is marked as opacity, but no pixel of it is opaque (255): data.opacity=false keeps "
                "four bands, data.opacity=true lays the image on white"
            )
        return to_rgb(Image.merge("RGBA", bands.split()))


class MapFile(ImageFile):
    """File of a label map or an instance map: integer pixels, decoded to Pillow's mode L or I.

    Raises ``BadImage`` for a file of colors, even gray ones, and for a JPEG, whose compression changes the values.
    """

    is_map = True

    def __init__(self, path: str):
        super().__init__(path)
        if self.mode not in ("1", "L", "P", "I") and not self.mode.startswith("I;16"):
            raise BadImage(
                path,
                f"has {self.mode} pixels, which are colors: a label map holds the number of a class in each pixel (a gray or "
                "palette PNG). Train with the task paired on colors, or convert them to numbers",
            )
        if self.lossy:
            raise BadImage(path, "is a JPEG, whose compression changes the numbers of a label map: use PNG files")

    def _converted(self, image: Image.Image) -> Image.Image:
        if self.mode.startswith("I"):
            return image.convert("I")
        return Image.fromarray(np.asarray(image).astype(np.uint8))  # of a palette image, the indices


def half_of(image: Image.Image, half: Half) -> Image.Image:
    """The left (A) or right (B) half of an aligned image; a copy, so that scaling cannot mix the two."""
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height) if half == "left" else (middle, 0, 2 * middle, image.height))


def to_rgb(image: Image.Image, range: Range | None = None) -> Image.Image:
    """Any Pillow image as 8-bit RGB; deeper gray is scaled from ``range``, transparency is composited onto white.

    The range of 16-bit gray is 0 to 65535 by default. Raises ``ValueError`` for other pixels without a range.
    """
    if is_deep_gray(image.mode):
        return _scaled(np.asarray(image), range)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def is_deep_gray(mode: str) -> bool:
    """True for Pillow's modes of one channel with 16 or 32 bits."""
    return mode == "F" or mode.startswith("I")


def four_bands(image: Image.Image) -> Image.Image:
    """The four bands of an image of mode RGBA, or of mode RGB with a fourth band behind, as mode RGBX: no opacity."""
    data = image.tobytes("raw", "RGBX") if image.mode == "RGB" else image.tobytes()
    return Image.frombytes("RGBX", image.size, data)


def _fourth_band(image: Image.Image) -> Literal["opacity", "band"] | None:
    """Meaning of the fourth band, where there is one: TIFF states it in ExtraSamples, other formats have opacity alone.

    Raises ``ValueError`` for more than four bands.
    """
    if image.mode not in ("RGB", "RGBA") or (image.mode == "RGB" and image.format != "TIFF"):
        return None
    if image.format != "TIFF":
        return "opacity"
    tags = image.tag_v2  # type: ignore[attr-defined]
    bands = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    if bands > 4:
        raise ValueError(f"has {bands} bands: images of at most 4 are read")
    if bands < 4:
        return None
    return "opacity" if set(tags.get(TiffImagePlugin.EXTRASAMPLES, ())) & {1, 2} else "band"


def _is_deep_color(image: Image.Image) -> bool:
    """True for colors of 16 bits, of which Pillow reads the upper 8."""
    tiles: list[tuple[Any, ...]] = getattr(image, "tile", [])
    return any(";16" in str(tile[3]) for tile in tiles)


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the whole image to look for EXIF at its end
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _scaled(values: NDArray[Any], range: Range | None) -> Image.Image:
    """Gray RGB of numbers: black at the first value of the range and below, white at the second and above."""
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("has pixels that are no finite number: repair it")
    if range is None and (values.dtype.kind == "f" or numbers.min() < 0 or numbers.max() > 65535):
        kind = "float" if values.dtype.kind == "f" else "integer"
        raise ValueError(
            f"has 32-bit {kind} pixels from {numbers.min():g} to {numbers.max():g} of unknown range: give "
            "data.range=LOW..HIGH, the values of black and white, or data.range=auto"
        )
    low, high = range or (0, 65535)
    scaled = np.clip((numbers - low) / (high - low), 0, 1) * 255 + 0.5
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")


def _reduce(image: Image.Image, least: Size) -> None:
    """Let the JPEG decoder halve the size while ``_DRAFT_MARGIN`` times ``least`` remains and sides stay integers."""
    if image.width % 16 or image.height % 8:
        return  # a rounded side would shift the middle of an A|B image
    image.draft(None, (least[0] * _DRAFT_MARGIN, least[1] * _DRAFT_MARGIN))


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """Open an image file of `FORMATS`, and turn any exception of a decoder into one ``BadImage``."""
    try:
        if not os.path.isfile(path):  # opening a pipe would wait for its other end
            raise BadImage(path, "is not a file" if os.path.exists(path) else "no such file")
        with Image.open(path, formats=FORMATS) as image, _silent() if image.format == "TIFF" else nullcontext():
            yield image
    except BadImage:
        raise
    except Exception as error:  # Pillow's plugins raise a dozen types on broken bytes
        raise BadImage(path, _reason(path, error)) from error


def _reason(path: str, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "cannot be read (permission denied)"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return _too_large()
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        return "is an empty file (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return f"is not an image that can be read ({', '.join(FORMATS)})"
    return " ".join(str(error).split()) or type(error).__name__


def _too_large() -> str:
    return f"has more than {MAX_PIXELS:,} pixels, the most that are read: make it smaller"


@contextmanager
def _silent() -> Iterator[None]:
    """Send what libtiff itself prints about damaged bytes, past Python, to nowhere; one thread at a time."""
    with _PRINTING, open(os.devnull, "w") as nowhere:
        kept = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_PRINTING = threading.Lock()


def silence_pillow() -> None:
    """Keep what Pillow says about odd bytes from the user: a file is read, or refused in words of our own."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())


silence_pillow()
