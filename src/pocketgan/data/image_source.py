"""Raw images: opened by index, then decoded, scaled and cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketgan.data.config import Role
from pocketgan.data.decode import BadImage, Half, ImageFile, Pixels, half_of
from pocketgan.data.geometry import Geometry, Size, apply

Values = NDArray[Any]
"""H x W x 3 bytes of an image, x 4 with a fourth band; or of a label map H x W x 1 classes, or x 2 with instances, of an
integer type."""


@dataclass(frozen=True)
class Drawing:
    """Image of a built-in set, drawn at its final size when it is decoded."""

    path: str
    """Name of the set, for errors."""
    size: Size
    draw: Callable[[], Pixels]
    is_map: bool = False
    channels = 3

    def decode(self, *, least: Size | None = None) -> Image.Image:
        """Draw the image, whatever ``least`` is."""
        return Image.fromarray(self.draw())


Source = ImageFile | Drawing
"""Image of known size whose pixels are not decoded yet."""


class Opened:
    """Images of one sample; a file that holds both halves of a pair is decoded once.

    Raises ``BadImage`` when the instance map has another size than the label map.
    """

    def __init__(
        self,
        images: Mapping[Role, Source],
        halves: Mapping[Role, Half | None] | None = None,
        instances: Source | None = None,
    ):
        self.images, self._halves, self._instances = images, halves or {}, instances
        if instances is not None:
            self._check_size(instances, instances.size, "input", "label map")

    @property
    def files(self) -> tuple[Source, ...]:
        """Every file once, with the instance map."""
        return tuple(dict.fromkeys([*self.images.values(), *([self._instances] if self._instances else [])]))

    def size(self, role: Role) -> Size:
        """Width and height of the image: of its half, in an aligned file. Raises ``BadImage`` when the halves would differ."""
        image = self.images[role]
        width, height = image.size
        if not self._halves.get(role):
            return width, height
        if width % 2:
            raise BadImage(image.path, f"is {width}x{height}: an A|B image of odd width has no equal halves")
        return width // 2, height

    def check_pair(self) -> None:
        """Raise ``BadImage`` when the two images of a pair differ in size."""
        self._check_size(self.images["input"], self.size("input"), "target", "partner")

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Values]:
        """Decode every file once, no larger than needed, and cut out the parts that the geometries describe."""
        decoded: dict[Source, Image.Image] = {}
        values: dict[Role, Values] = {}
        for role, image in self.images.items():
            geometry, half = geometries[role], self._halves.get(role)
            if image not in decoded:
                least = geometry.least
                decoded[image] = image.decode(least=(2 * least[0], least[1]) if least and half else least)
            whole = half_of(decoded[image], half) if half else decoded[image]
            if image.is_map:
                maps = [whole, *([self._instances.decode()] if self._instances else [])]
                parts = [apply(one, geometry, filter=Image.Resampling.NEAREST) for one in maps]
                values[role] = np.stack([np.asarray(part) for part in parts], axis=-1)
            else:
                values[role] = np.asarray(apply(whole, geometry))
        return values

    def _check_size(self, image: Source, size: Size, role: Role, kind: str) -> None:
        (width, height), (other_width, other_height) = size, self.size(role)
        if (width, height) != (other_width, other_height):
            other = f"{kind} {self.images[role].path} is {other_width}x{other_height}"
            raise BadImage(image.path, f"is {width}x{height} but its {other}: both must have the same size")
