"""Label maps: what their numbers mean, and the channels in which a generator sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketgan.data.values import to_float

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

_EDGE = 0.4  # what an instance edge leaves of a color in images for people


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The classes of a label map. A map's pixel is void unless its value is one of ``0 .. len(classes) - 1``.

    Raises ``ValueError`` where the fields do not fit each other.
    """

    classes: tuple[str, ...]
    """Names, by value in the map."""
    colors: tuple[Color, ...]
    """For people, by value in the map."""
    void: bool = False
    """Whether void pixels have a channel of their own, published as ``contain_dontcare_label``."""
    edges: bool = False
    """Whether there are instance maps, whose edges are the last channel."""
    evaluated: tuple[int, ...] = ()
    """The class that each class counts as when segmentations are evaluated, -1 for one that does not; empty: itself."""
    evaluated_names: tuple[str, ...] = ()
    """Names of the classes that are evaluated; empty: ``classes``."""

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("label maps need at least one class")
        if not self.evaluated:
            object.__setattr__(self, "evaluated", tuple(range(len(self.classes))))
        if not self.evaluated_names:
            object.__setattr__(self, "evaluated_names", self.classes)
        for field in ("colors", "evaluated"):
            if len(getattr(self, field)) != len(self.classes):
                raise ValueError(f"{len(self.classes)} classes need as many {field}, not {len(getattr(self, field))}")
        if not all(-1 <= evaluated < len(self.evaluated_names) for evaluated in self.evaluated):
            raise ValueError(
                f"evaluated={self.evaluated} must be -1 to {len(self.evaluated_names) - 1}: there are so many evaluated_names"
            )

    @property
    def channels(self) -> int:
        """Channels of a source: the classes, void pixels and instance edges, as far as they have any."""
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
        source = torch.zeros(count, self.channels, height, width, device=maps.device)
        if self.void:
            source.scatter_(1, values.where(known, len(self.classes)), 1.0)
        else:
            source.scatter_(1, values.where(known, 0), known.float())
        if instances is not None:
            source[:, -1] = instance_edges(instances)
        return source

    def indices(self, source: Tensor) -> Tensor:
        """The label maps of sources N x ``channels`` x H x W: N x H x W, int64, -1 where void. Undoes ``one_hot``."""
        largest, values = source[:, : len(self.classes)].max(dim=1)
        return values.where(largest > 0.5, -1)

    def label_target(self, maps: NDArray[np.integer]) -> NDArray[np.int64]:
        """The classes that pixels of label maps are evaluated as, in the same shape; -1 for those that are not."""
        values = maps.astype(np.int64)
        known = (values >= 0) & (values < len(self.classes))
        return np.array((*self.evaluated, -1))[np.where(known, values, len(self.classes))]

    def colored(self, source: Tensor) -> Tensor:
        """Sources N x ``channels`` x H x W as images for people, N x 3 x H x W in [-1, 1].

        Each class has its color, void is black, instance edges are a darker line.
        """
        generated = self._palette.to(source.device)[self.indices(source)]
        if self.edges:
            generated = generated.where(source[:, -1:].movedim(1, -1) < 0.5, generated * _EDGE)
        return to_float(generated)

    @cached_property
    def _palette(self) -> Tensor:
        return torch.tensor([*self.colors, (0, 0, 0)], dtype=torch.float32)  # the index -1 takes the last


def instance_edges(instances: Tensor) -> Tensor:
    """Where a pixel's instance differs from one of its 4 neighbors: N x H x W of any integer type -> the same, bool.

    Facts of the edge maps of pix2pixHD (Wang et al. 2018, section 3.3), which SPADE, GAN Compression and CAT take over.
    """
    edges = torch.zeros(instances.shape, dtype=torch.bool, device=instances.device)
    across = instances[:, :, 1:] != instances[:, :, :-1]
    down = instances[:, 1:] != instances[:, :-1]
    for part, differs in ((edges[:, :, 1:], across), (edges[:, :, :-1], across), (edges[:, 1:], down), (edges[:, :-1], down)):
        part |= differs
    return edges


def numbered(count: int) -> Labels:
    """Classes that are called by their numbers, in the colors of `palette`. Raises ``ValueError`` below 1."""
    return Labels(classes=tuple(str(index) for index in range(count)), colors=palette(count))


def palette(count: int) -> tuple[Color, ...]:
    """So many distinct colors, none black: those of PASCAL VOC from its second on, which follow from the bits of the index.

    The bits of a number, three by three from the lowest, are the bits of red, green and blue from the highest.
    """
    return tuple(_mixed(index) for index in range(1, count + 1))


def _mixed(index: int) -> Color:
    red, green, blue = (sum((index >> (3 * step + part) & 1) << (7 - step) for step in range(8)) for part in range(3))
    return red, green, blue
