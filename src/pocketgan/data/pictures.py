"""Where raw pictures come from: files, or a built-in drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from PIL import Image

from pocketgan.data.config import Pairing
from pocketgan.data.decode import BadImage, Picture, half_of
from pocketgan.data.geometry import Geometry, Size
from pocketgan.data.listing import Item, Listing

Role = Literal["source", "target"]


class Opened(Protocol):
    """Pictures whose sizes are known and whose pixels are still to be made."""

    def size(self, role: Role) -> Size:
        """Width and height before any scaling."""
        ...

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Image.Image]:
        """The pictures as RGB. They may come smaller than ``size``, if large enough for the geometry."""
        ...


class Pictures(Protocol):
    """All raw pictures of one task and split."""

    names: tuple[str, ...]
    counts: dict[Role, int]
    kind: str

    def open(self, wanted: Mapping[Role, int]) -> Opened:
        """Open the pictures at these indices. Raises ``BadImage``."""
        ...


class FilePictures:
    """Pictures from files; a file that holds both halves of a pair is decoded once."""

    def __init__(self, listing: Listing, task: Pairing):
        self.names, self.kind = listing.names, listing.kind
        self._items: dict[Role, tuple[Item, ...]] = {"source": listing.sources}
        if task != "inputs":
            self._items["target"] = listing.targets
        self.counts = {role: len(items) for role, items in self._items.items()}

    def item(self, role: Role, index: int) -> Item:
        """The file behind a picture."""
        return self._items[role][index]

    def open(self, wanted: Mapping[Role, int]) -> OpenedFiles:
        """Read the headers of the files."""
        return OpenedFiles({role: self._items[role][index] for role, index in wanted.items()})


class OpenedFiles:
    """Files whose headers have been read."""

    def __init__(self, items: Mapping[Role, Item]):
        self.items = items
        self.files = {path: Picture(path) for path in {item.path for item in items.values()}}

    def size(self, role: Role) -> Size:
        """Width and height of the picture: of its half, in an aligned file."""
        item = self.items[role]
        file = self.files[item.path]
        return file.half_size() if item.half else file.size

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Image.Image]:
        """Decode every file once, no larger than needed."""
        decoded: dict[str, Image.Image] = {}
        for role, item in self.items.items():
            if item.path not in decoded:
                across, down = geometries[role].scaled
                decoded[item.path] = self.files[item.path].decode(least=(2 * across if item.half else across, down))
        return {
            role: half_of(decoded[item.path], item.half) if item.half else decoded[item.path]
            for role, item in self.items.items()
        }


def check_pair(files: OpenedFiles) -> None:
    """Raises ``BadImage`` when the two images of a pair differ in size."""
    source, target = files.size("source"), files.size("target")
    if source != target:
        here, there = files.items["source"].path, files.items["target"].path
        raise BadImage(
            here, f"is {source[0]}x{source[1]} but its partner {there} is {target[0]}x{target[1]}: a pair has one size"
        )
