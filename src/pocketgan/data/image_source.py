"""Where raw images come from: files, or a built-in drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketgan.core.tasks import TaskName
from pocketgan.data.decode import BadImage, ImageFile, half_of
from pocketgan.data.geometry import Geometry, Size, apply
from pocketgan.data.labels import Labels
from pocketgan.data.listing import Item, Listing

Role = Literal["input", "target"]
Values = NDArray[Any]
"""H x W x 3 bytes of an image; or of a label map H x W x 1 classes, or x 2 with instances, of an integer type."""


def leading_role(task: TaskName) -> Role:
    """The side whose images are counted and named: the sources, or, where those are numbers, the targets."""
    return "target" if task == "unconditional" else "input"


class Opened(Protocol):
    """Images whose sizes are known and whose pixels are still to be made."""

    def size(self, role: Role) -> Size:
        """Width and height before any scaling."""
        ...

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Values]:
        """The parts of the images that the geometries describe, as RGB; of label maps, the numbers."""
        ...


class ImageSource(Protocol):
    """All raw images of one task and split."""

    names: tuple[str, ...]
    counts: dict[Role, int]
    kind: str

    @property
    def labels(self) -> Labels | None:
        """What the sources mean if they are label maps."""
        ...

    def open(self, wanted: Mapping[Role, int]) -> Opened:
        """Open the images at these indices. Raises ``BadImage``."""
        ...


class FileImages:
    """Images from files; a file that holds both halves of a pair is decoded once."""

    labels: Labels | None = None

    def __init__(self, listing: Listing, task: TaskName):
        self.names, self.kind = listing.names, listing.kind
        self._items: dict[Role, tuple[Item, ...]] = {leading_role(task): listing.sources}
        if listing.targets:
            self._items["target"] = listing.targets
        self.counts = {role: len(items) for role, items in self._items.items()}

    def item(self, role: Role, index: int) -> Item:
        """The file behind an image."""
        return self._items[role][index]

    def open(self, wanted: Mapping[Role, int]) -> OpenedFiles:
        """Read the headers of the files."""
        items = {role: self._items[role][index] for role, index in wanted.items()}
        return OpenedFiles(items, {path: ImageFile(path) for path in {item.path for item in items.values()}})


class OpenedFiles:
    """Files whose headers have been read."""

    def __init__(self, items: Mapping[Role, Item], files: Mapping[str, ImageFile]):
        self.items, self.files = items, files

    def size(self, role: Role) -> Size:
        """Width and height of the image: of its half, in an aligned file."""
        item = self.items[role]
        file = self.files[item.path]
        return file.half_size() if item.half else file.size

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Values]:
        """Decode every file once, no larger than needed, and cut out the parts."""
        decoded: dict[str, Image.Image] = {}
        for role, item in self.items.items():
            if item.path not in decoded:
                least = geometries[role].least
                if least is not None and item.half:
                    least = 2 * least[0], least[1]
                decoded[item.path] = self.files[item.path].decode(least=least)
        return {role: self._part(item, decoded[item.path], geometries[role]) for role, item in self.items.items()}

    def _part(self, item: Item, whole: Image.Image, geometry: Geometry) -> Values:
        image = half_of(whole, item.half) if item.half else whole
        return prepared(image, geometry, self.files[item.path].filter)


def prepared(image: Image.Image, geometry: Geometry, filter: Image.Resampling) -> Values:
    """The part of an image that the geometry describes."""
    return np.asarray(apply(image, geometry, filter=filter))


def packed(maps: Values, instances: Values | None) -> Values:
    """Label maps and instance maps H x W as one array H x W x 1 or x 2, so that they travel as one."""
    return np.stack([maps] if instances is None else [maps, instances], axis=-1)


def check_pair(files: OpenedFiles) -> None:
    """Raises ``BadImage`` when the two images of a pair differ in size."""
    source, target = files.size("input"), files.size("target")
    if source != target:
        here, there = files.items["input"].path, files.items["target"].path
        raise BadImage(
            here, f"is {source[0]}x{source[1]} but its partner {there} is {target[0]}x{target[1]}: a pair has one size"
        )
