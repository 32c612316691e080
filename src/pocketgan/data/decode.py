"""From a file to 8-bit RGB, whatever the file holds. Every failure names the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from pocketgan.data.geometry import Size

Half = Literal["left", "right"]

_SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations that swap width and height
_DRAFT_GAP = 2  # a reduced JPEG keeps at least this many pixels for each pixel of the result
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImage(ValueError):
    """An image that cannot be used: ``path`` and the ``reason``, in one line."""

    def __init__(self, path: str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class ImageFile:
    """What the header of an image file says; the pixels are decoded on demand. No file stays open.

    Raises ``BadImage`` for a missing, empty, damaged or foreign file.
    """

    filter = Image.Resampling.BICUBIC
    """How the pixels are scaled."""

    def __init__(self, path: str):
        self.path = path
        with _naming(path), Image.open(path) as image:
            self._orientation = _orientation(image)
            self._sideways = self._orientation in _SIDEWAYS
            self.mode = image.mode
            """Pillow's name of the pixel format in the file."""
            self.format = image.format
            """Pillow's name of the file format."""
            self.transparent = _is_transparent(image)
            """Whether pixels may be see-through."""
            self.size: Size = (image.height, image.width) if self._sideways else image.size
            """Width and height when upright, in the file's own pixels."""

    @property
    def turned(self) -> bool:
        """Whether EXIF says that the image must be turned or mirrored to stand upright."""
        return self._orientation in _UPRIGHT

    def half_size(self) -> Size:
        """Size of each half of an aligned ``A|B`` image. Raises ``BadImage`` when the halves would differ."""
        width, height = self.size
        if width % 2:
            raise BadImage(self.path, f"is {width}x{height}: an A|B image of odd width has no equal halves")
        return width // 2, height

    def decode(self, *, least: Size | None = None) -> Image.Image:
        """All pixels as upright 8-bit RGB; a JPEG may come at 1/2, 1/4 or 1/8 of its size.

        ``least`` is the size that the whole image will be scaled to; ``None`` decodes every pixel. 16-bit grayscale is
        scaled to 8 bits, transparency is laid on white. Raises ``BadImage``.
        """
        with _naming(self.path), Image.open(self.path) as image:
            if least is not None and image.format == "JPEG":
                _reduce(image, (least[1], least[0]) if self._sideways else least)
            image.load()
            return self._converted(image.transpose(_UPRIGHT[self._orientation]) if self.turned else image)

    def _converted(self, image: Image.Image) -> Image.Image:
        return to_rgb(image)


class MapFile(ImageFile):
    """A file whose pixels are numbers: of classes, or of instances. ``decode`` gives them in Pillow's mode L or I.

    Raises ``BadImage`` for a file whose pixels are colors, also if it looks gray, and for a JPEG, which changes numbers.
    """

    filter = Image.Resampling.NEAREST

    def __init__(self, path: str):
        super().__init__(path)
        if self.mode not in ("1", "L", "P", "I") and not self.mode.startswith("I;16"):
            raise BadImage(
                path,
                f"has {self.mode} pixels, which are colors: a label map holds the number of a class in each pixel (a gray or "
                "palette PNG). Train with the task paired on colors, or convert them to numbers",
            )
        if self.format == "JPEG":
            raise BadImage(path, "is a JPEG, whose compression changes the numbers of a label map: take PNG files")

    def _converted(self, image: Image.Image) -> Image.Image:
        if self.mode.startswith("I"):
            return image.convert("I")
        return Image.fromarray(np.asarray(image).astype(np.uint8))  # of a palette image, the indices


def half_of(image: Image.Image, half: Half) -> Image.Image:
    """The left (A) or right (B) half of an aligned image; a copy, so that scaling cannot mix the two."""
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height) if half == "left" else (middle, 0, 2 * middle, image.height))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB; 16-bit gray is divided by 257, transparency is laid on white.

    Raises ``ValueError`` for pixels of 32 bits, whose range no file states.
    """
    if image.mode == "RGB" and not _is_transparent(image):
        return image
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.mode == "F":
        raise ValueError("has 32-bit float pixels of unknown range: save it as an 8-bit or 16-bit image")
    if _is_transparent(image):
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the whole image to look for EXIF at its end
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("has 32-bit integer pixels of unknown range: save it as an 8-bit or 16-bit image")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")


def _reduce(image: Image.Image, least: Size) -> None:
    """Let the JPEG decoder halve the size as often as leaves ``_DRAFT_GAP`` times ``least``, sides staying whole."""
    if image.width % 16 or image.height % 8:
        return  # a rounded side would shift the middle of an A|B image
    image.draft(None, (least[0] * _DRAFT_GAP, least[1] * _DRAFT_GAP))


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Turn whatever a decoder raises on broken bytes into one ``BadImage``."""
    try:
        yield
    except BadImage:
        raise
    except Exception as error:  # Pillow's plugins raise a dozen types on broken bytes
        raise BadImage(path, _reason(path, error)) from error


def _reason(path: str, error: Exception) -> str:
    if not os.path.exists(path):
        return "no such file"
    if not os.path.isfile(path):
        return "is not a file"
    if os.path.getsize(path) == 0:
        return "is an empty file (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image that can be read"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    return " ".join(str(error).split()) or type(error).__name__
