"""Label maps from files, with the photos that they describe."""

from __future__ import annotations

from collections.abc import Mapping

from pocketgan.data.decode import BadImage, ImageFile, MapFile
from pocketgan.data.geometry import Geometry
from pocketgan.data.image_source import OpenedFiles, Role, Values, packed, prepared
from pocketgan.data.label_listing import LabelListing
from pocketgan.data.listing import Item


class LabelImages:
    """The sources are label maps, the targets photos."""

    def __init__(self, listing: LabelListing):
        self.names, self.kind, self.labels = listing.names, listing.kind, listing.labels
        self.counts: dict[Role, int] = {"input": len(listing.sources), "target": len(listing.targets)}
        self._items: dict[Role, tuple[Item, ...]] = {"input": listing.sources, "target": listing.targets}
        self._instances = listing.instances

    def open(self, wanted: Mapping[Role, int]) -> OpenedLabels:
        """Read the headers of the files."""
        items = {role: self._items[role][index] for role, index in wanted.items()}
        files: dict[str, ImageFile] = {
            item.path: MapFile(item.path) if role == "input" else ImageFile(item.path) for role, item in items.items()
        }
        instances = MapFile(self._instances[wanted["input"]].path) if self._instances and "input" in wanted else None
        return OpenedLabels(items, files, instances)


class OpenedLabels(OpenedFiles):
    """Files whose headers have been read. Raises ``BadImage`` when the instance map has another size than the label map."""

    def __init__(self, items: Mapping[Role, Item], files: Mapping[str, ImageFile], instances: MapFile | None):
        super().__init__(items, files if instances is None else {**files, instances.path: instances})
        self._instances = instances
        if instances is None:
            return
        (width, height), (wide, high) = instances.size, self.size("input")
        if (width, height) != (wide, high):
            here = items["input"].path
            raise BadImage(instances.path, f"is {width}x{height} but its label map {here} is {wide}x{high}: they have one size")

    def pixels(self, geometries: Mapping[Role, Geometry]) -> dict[Role, Values]:
        """Decode every file and cut out the parts; with instance maps, the source is H x W x 2."""
        found = super().pixels(geometries)
        if "input" in found:
            found["input"] = packed(found["input"], self._cut(geometries["input"]))
        return found

    def _cut(self, geometry: Geometry) -> Values | None:
        return None if self._instances is None else prepared(self._instances.decode(), geometry, self._instances.filter)
