"""A part of a data set, for what must not be trained on."""

from __future__ import annotations

from collections.abc import Mapping

from pocketgan.data.image_source import ImageSource, Opened, Role
from pocketgan.data.images import ImageData


class SubsetImages:
    """The images from ``start`` to ``stop`` of each side."""

    def __init__(self, source: ImageSource, ranges: Mapping[Role, range]):
        self._source, self._ranges = source, ranges
        self.names = tuple(source.names[index] for index in next(iter(ranges.values())))
        self.counts: dict[Role, int] = {role: len(own) for role, own in ranges.items()}
        self.kind, self.labels = source.kind, source.labels

    def open(self, wanted: Mapping[Role, int]) -> Opened:
        """Open the images at these indices of the part."""
        return self._source.open({role: self._ranges[role][index] for role, index in wanted.items()})


def hold_out(data: ImageData, count: int) -> tuple[ImageData, ImageData]:
    """``(the rest, the last so many images of each side)``; the last ones are read without augmentation by `eval_batches`.

    Raises ``ValueError`` where less than one image would be left of a side.
    """
    least = min(data.counts.values())
    if not 0 < count < least:
        raise ValueError(f"{count} images to hold out of {least}: take fewer, at most {least - 1}")
    rest = {role: range(own - count) for role, own in data.counts.items()}
    held = {role: range(own - count, own) for role, own in data.counts.items()}
    return _part(data, rest), _part(data, held)


def _part(data: ImageData, ranges: Mapping[Role, range]) -> ImageData:
    source = SubsetImages(data.source, ranges)
    return ImageData(data.config, data.task, data.split, source, note=data.note, drawn=data.drawn)
