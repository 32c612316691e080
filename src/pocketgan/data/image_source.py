"""Raw images from files: opened by index, then decoded, scaled and cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketgan.data.config import Role
from pocketgan.data.decode import BadImage, ImageFile, MapFile, half_of
from pocketgan.data.geometry import Geometry, Size, apply
from pocketgan.data.labels import Labels
from pocketgan.data.listing import Item, Listing

Values = NDArray[Any]
"""H x W x 3 bytes of an image; or of a label map H x W x 1 classes, or x 2 with instances, of an integer type."""


class Opened(Protocol):
    """Images of known size whose pixels are not decoded yet."""

    def size(self, role: Role) -> Size:
        """Width and height before any scaling."""
        ...

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Values]:
        """The parts of the images that the geometries describe."""
        ...


class ImageSource(Protocol):
    """All raw images of one task and split."""

    names: tuple[str, ...]
    counts: dict[Role, int]
    kind: str
    labels: Labels | None
    """Classes of the inputs if those are label maps."""

    def open(self, indices: Mapping[Role, int]) -> Opened:
        """Open the images at these indices. Raises ``BadImage``."""
        ...


class FileImages:
    """Images from files; a file that holds both halves of a pair is decoded once."""

    def __init__(self, listing: Listing):
        self.names, self.kind, self.labels = listing.names, listing.kind, listing.labels
        self._items, self._instances = listing.items, listing.instances
        self.counts = {role: len(items) for role, items in listing.items.items()}

    def open(self, indices: Mapping[Role, int]) -> OpenedFiles:
        """Read the headers of the files. Raises ``BadImage``."""
        items = {role: self._items[role][index] for role, index in indices.items()}
        files: dict[str, ImageFile] = {}
        for role, item in items.items():
            if item.path not in files:
                files[item.path] = MapFile(item.path) if self.labels and role == "input" else ImageFile(item.path)
        has_instances = bool(self._instances) and "input" in indices
        return OpenedFiles(items, files, MapFile(self._instances[indices["input"]].path) if has_instances else None)


class OpenedFiles:
    """Files whose headers have been read.

    Raises ``BadImage`` when the instance map has another size than the label map.
    """

    def __init__(self, items: Mapping[Role, Item], files: Mapping[str, ImageFile], instances: MapFile | None = None):
        self.items, self.files, self._instances = items, files, instances
        if instances is None:
            return
        self.files = {**files, instances.path: instances}
        (width, height), (map_width, map_height) = instances.size, self.size("input")
        if (width, height) != (map_width, map_height):
            reason = f"is {width}x{height} but its label map {items['input'].path} is {map_width}x{map_height}"
            raise BadImage(instances.path, f"{reason}: both must have the same size")

    def size(self, role: Role) -> Size:
        """Width and height of the image: of its half, in an aligned file."""
        item = self.items[role]
        file = self.files[item.path]
        return file.half_size() if item.half else file.size

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Values]:
        """Decode every file once, no larger than needed, and cut out the parts."""
        decoded: dict[str, Image.Image] = {}
        values: dict[Role, Values] = {}
        for role, item in self.items.items():
            file, geometry = self.files[item.path], geometries[role]
            if item.path not in decoded:
                least = geometry.least
                if least is not None and item.half:
                    least = 2 * least[0], least[1]
                decoded[item.path] = file.decode(least=least)
            image = half_of(decoded[item.path], item.half) if item.half else decoded[item.path]
            values[role] = prepared(image, geometry, file.filter)
            if isinstance(file, MapFile):
                instances = self._instances
                values[role] = packed(
                    values[role], None if instances is None else prepared(instances.decode(), geometry, file.filter)
                )
        return values


class SubsetImages:
    """Images of another source at the indices of a range for each role."""

    def __init__(self, source: ImageSource, ranges: Mapping[Role, range]):
        self._source, self._ranges = source, ranges
        self.names = tuple(source.names[index] for index in next(iter(ranges.values())))
        self.counts: dict[Role, int] = {role: len(own) for role, own in ranges.items()}
        self.kind, self.labels = source.kind, source.labels

    def open(self, indices: Mapping[Role, int]) -> Opened:
        """Open the images at these indices of the subset."""
        return self._source.open({role: self._ranges[role][index] for role, index in indices.items()})


def prepared(image: Image.Image, geometry: Geometry, filter: Image.Resampling) -> Values:
    """Image scaled, cropped and mirrored as ``geometry`` says, as an array."""
    return np.asarray(apply(image, geometry, filter=filter))


def packed(maps: Values, instances: Values | None) -> Values:
    """Label maps and instance maps H x W as one array H x W x 1 or x 2."""
    return np.stack([maps] if instances is None else [maps, instances], axis=-1)


def check_pair(files: OpenedFiles) -> None:
    """Raise ``BadImage`` when the two images of a pair differ in size."""
    (width, height), (target_width, target_height) = files.size("input"), files.size("target")
    if (width, height) != (target_width, target_height):
        raise BadImage(
            files.items["input"].path,
            f"is {width}x{height} but its partner {files.items['target'].path} is {target_width}x{target_height}: a pair has "
            "one size",
        )
