"""A part of a data set, for what must not be trained on."""

from __future__ import annotations

from collections.abc import Mapping

from pocketgan.data.images import ImageData
from pocketgan.data.pictures import Opened, Pictures, Role


class PartPictures:
    """The pictures from ``start`` to ``stop`` of each side."""

    def __init__(self, pictures: Pictures, ranges: Mapping[Role, range]):
        self._pictures, self._ranges = pictures, ranges
        self.names = tuple(pictures.names[index] for index in next(iter(ranges.values())))
        self.counts: dict[Role, int] = {role: len(own) for role, own in ranges.items()}
        self.kind, self.labels = pictures.kind, pictures.labels

    def open(self, wanted: Mapping[Role, int]) -> Opened:
        """Open the pictures at these indices of the part."""
        return self._pictures.open({role: self._ranges[role][index] for role, index in wanted.items()})


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
    pictures = PartPictures(data.pictures, ranges)
    return ImageData(data.config, data.task, data.split, pictures, note=data.note, drawn=data.drawn)
