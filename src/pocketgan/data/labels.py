"""Label maps: their classes (stated by number, by a text file, or known of a published set) and their input channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketgan.data.cityscapes import CLASSES, TRAINED
from pocketgan.data.config import MAX_CLASSES
from pocketgan.data.decode import MapFile, to_float
from pocketgan.data.files import folder_of, shortened, text_lines

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

_EDGE_BRIGHTNESS = 0.4  # of a class's color, for instance edges in images for people
_COCO_STUFF = 182  # classes; 255 is "don't care", a channel of its own as published with SPADE
_PROBED = 8  # label maps whose values are listed when their meaning is not stated
_LINE = re.compile(r"(?P<name>[^#]*[^#\s])(\s+#(?P<color>[0-9a-fA-F]{6}))?")


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The classes of a label map. A pixel is void unless its value is one of ``0 .. len(classes) - 1``."""

    classes: tuple[str, ...]
    """Names, by value in the map."""
    colors: tuple[Color, ...]
    """Colors in images for people, by value in the map."""
    void: bool = False
    """True if void pixels have a channel of their own, published as ``contain_dontcare_label``."""
    edges: bool = False
    """True if there are instance maps, whose edges are the last channel."""
    evaluated: tuple[int, ...] = ()
    """The class that each class counts as when segmentations are evaluated, -1 for one that does not count; empty: itself."""
    evaluated_names: tuple[str, ...] = ()
    """Names of the classes that are evaluated; empty: ``classes``."""

    def __post_init__(self) -> None:
        if not self.evaluated:
            object.__setattr__(self, "evaluated", tuple(range(len(self.classes))))
        if not self.evaluated_names:
            object.__setattr__(self, "evaluated_names", self.classes)
        assert len(self.classes) == len(self.colors) == len(self.evaluated) > 0

    @property
    def channels(self) -> int:
        """Channels of an input: the classes, void pixels and instance edges, as far as there are any."""
        return len(self.classes) + self.void + self.edges

    def one_hot(self, maps: Tensor, instances: Tensor | None = None) -> Tensor:
        """The channels of label maps N x H x W of any integer type: N x ``channels`` x H x W, float32, each 0 or 1.

        ``instances`` N x H x W are needed where there are ``edges``, and only there. Without a channel of their own, void
        pixels are zero in all channels of classes.
        """
        assert (instances is not None) == self.edges, "instance maps and their channel come together"
        count, height, width = maps.shape
        values = maps.long().unsqueeze(1)
        known = (values >= 0) & (values < len(self.classes))
        channels = torch.zeros(count, self.channels, height, width, device=maps.device)
        if self.void:
            channels.scatter_(1, values.where(known, len(self.classes)), 1.0)
        else:
            channels.scatter_(1, values.where(known, 0), known.float())
        if instances is not None:
            channels[:, -1] = instance_edges(instances)
        return channels

    def indices(self, channels: Tensor) -> Tensor:
        """Label maps N x H x W, int64, -1 where void, of inputs N x ``channels`` x H x W: the inverse of ``one_hot``."""
        largest, values = channels[:, : len(self.classes)].max(dim=1)
        return values.where(largest > 0.5, -1)

    def label_target(self, maps: NDArray[np.integer]) -> NDArray[np.int64]:
        """The evaluated classes of the pixels of label maps, in the same shape; -1 for pixels that do not count."""
        values = maps.astype(np.int64)
        known = (values >= 0) & (values < len(self.classes))
        return np.array((*self.evaluated, -1))[np.where(known, values, len(self.classes))]

    def colored(self, channels: Tensor) -> Tensor:
        """Inputs N x ``channels`` x H x W as images for people, N x 3 x H x W in [-1, 1].

        Each class has its color, void is black, instance edges are a darker line.
        """
        image = self._palette.to(channels.device)[self.indices(channels)]
        if self.edges:
            image = image.where(channels[:, -1:].movedim(1, -1) < 0.5, image * _EDGE_BRIGHTNESS)
        return to_float(image)

    @cached_property
    def _palette(self) -> Tensor:
        return torch.tensor([*self.colors, (0, 0, 0)], dtype=torch.float32)  # index -1 is the last


def instance_edges(instances: Tensor) -> Tensor:
    """True where a pixel's instance differs from one of its 4 neighbors: N x H x W of any integer type -> the same, bool.

    Edge maps of pix2pixHD (Wang et al. 2018, section 3.3), also those of SPADE, GAN Compression and CAT.
    """
    edges = torch.zeros(instances.shape, dtype=torch.bool, device=instances.device)
    across = instances[:, :, 1:] != instances[:, :, :-1]
    down = instances[:, 1:] != instances[:, :-1]
    for part, differs in ((edges[:, :, 1:], across), (edges[:, :, :-1], across), (edges[:, 1:], down), (edges[:, :-1], down)):
        part |= differs
    return edges


def numbered(count: int) -> Labels:
    """Classes named by their numbers, in the colors of `palette`."""
    return Labels(classes=tuple(str(index) for index in range(count)), colors=palette(count))


def palette(count: int) -> tuple[Color, ...]:
    """Distinct colors, none black: those of PASCAL VOC from its second on, which follow from the bits of the index.

    The bits of a number, three by three from the lowest, are the bits of red, green and blue from the highest.
    """
    indices = range(1, count + 1)
    red, green, blue = (
        [sum((index >> (3 * step + part) & 1) << (7 - step) for step in range(8)) for index in indices] for part in range(3)
    )
    return tuple(zip(red, green, blue, strict=True))


def known_labels(classes: int | str) -> Labels:
    """The labels that ``DataConfig.classes`` names, without instance edges.

    Raises ``ValueError`` for a text that is neither a published set nor a file of names, and naming an invalid line.
    """
    if isinstance(classes, int):
        return numbered(classes)
    if classes == "cityscapes":
        return cityscapes()
    if classes == "coco-stuff":
        return Labels(classes=numbered(_COCO_STUFF).classes, colors=palette(_COCO_STUFF), void=True)
    path = folder_of(classes)
    if not path.is_file():
        raise ValueError(
            f"classes={classes} is no file: give the number of classes, a text file with one name a line, cityscapes or "
            "coco-stuff"
        )
    return named_in(path)


def cityscapes() -> Labels:
    """The 35 classes of Cityscapes by their values in ``*_labelIds.png``, 19 of which are evaluated.

    License plates, which no file contains, are the 35th: generators are published with a channel for them.
    """
    ordered = (*(entry for entry in CLASSES if entry.id >= 0), *(entry for entry in CLASSES if entry.id < 0))
    return Labels(
        classes=tuple(entry.name for entry in ordered),
        colors=tuple(entry.color for entry in ordered),
        evaluated=tuple(entry.train_id for entry in ordered),
        evaluated_names=tuple(entry.name for entry in TRAINED),
    )


def named_in(path: Path) -> Labels:
    """The labels that a text file names, one a line from value 0 on, with ``#rrggbb`` behind a name for its color.

    Raises ``ValueError`` naming an invalid line, and for a file without names.
    """
    lines = text_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    if not 0 < len(lines) <= MAX_CLASSES:
        raise ValueError(f"{path} names {len(lines) or 'no'} classes: write one name a line, at most {MAX_CLASSES}")
    names, colors = [], []
    for number, (line, default) in enumerate(zip(lines, palette(len(lines)), strict=True), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{path}, line {number}: '{line}' must be the name of a class, or a name and #rrggbb")
        red, green, blue = bytes.fromhex(match["color"]) if match["color"] else default
        names.append(match["name"])
        colors.append((red, green, blue))
    return Labels(classes=tuple(names), colors=tuple(colors))


def unknown_classes(root: Path, paths: Sequence[str]) -> ValueError:
    """Error that lists the values in the first label maps of ``root`` and the ways to state their meaning."""
    values = sorted({int(value) for path in paths[:_PROBED] for value in np.unique(np.asarray(MapFile(path).decode()))})
    count = f"classes={values[-1] + 1} makes all of them classes; " if 0 <= values[-1] < MAX_CLASSES else ""
    return ValueError(
        f"{root}: the meaning of the values of the label maps is not stated. The first {len(paths[:_PROBED])} hold "
        f"{shortened(_ranges(values), most=8)}. Give the number of classes ({count}values from the number on are void), "
        f"or write their names into {root / 'classes.txt'}, one a line; classes may also be another such file, cityscapes or "
        "coco-stuff"
    )


def _ranges(values: Sequence[int]) -> list[str]:
    """``[0, 1, 2, 255]`` as ``0 to 2`` and ``255``."""
    known = set(values)
    starts = [value for value in values if value - 1 not in known]
    ends = [value for value in values if value + 1 not in known]
    return [str(start) if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)]
