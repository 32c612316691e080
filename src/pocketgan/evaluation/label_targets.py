"""The label maps that images are held against when a segmenter has read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pocketgan.data.cityscapes import TRAINED
from pocketgan.data.cityscapes_target import read_label_target, read_table
from pocketgan.data.images import ImageData
from pocketgan.metrics.segmentation import Segmenter
from pocketgan.utils.errors import unknown

Map = NDArray[np.int64]
"""H x W: the class of each pixel, -1 where it is not evaluated."""


class LabelTargets(Protocol):
    """The maps of a data set."""

    @property
    def names(self) -> Sequence[str]:
        """Of the classes."""
        ...

    def __call__(self, index: int) -> Map:
        """That of the image of a source."""
        ...


class OfData(NamedTuple):
    """Of the sources themselves, at their own full size."""

    data: ImageData

    @property
    def names(self) -> Sequence[str]:
        """Of the classes that are evaluated."""
        assert self.data.labels is not None
        return self.data.labels.evaluated_names

    def __call__(self, index: int) -> Map:
        """The map."""
        return self.data.label_target(index)


class OfTable(NamedTuple):
    """Of the published table of Cityscapes."""

    data: ImageData
    table: dict[str, Path]

    @property
    def names(self) -> Sequence[str]:
        """The 19 classes that are evaluated."""
        return tuple(one.name for one in TRAINED)

    def __call__(self, index: int) -> Map:
        """The map; ``ValueError`` for an image that the table does not name."""
        name = Path(self.data.name(index)).name
        if name not in self.table:
            raise unknown("image in the table", name, self.table)
        return read_label_target(self.table[name])


def label_targets_of(data: ImageData, table: str | None, root: str | None) -> LabelTargets:
    """The maps of ``data``. Raises ``ValueError`` where there are none."""
    if table is not None and root is not None:
        return OfTable(data, read_table(table, root))
    if data.labels is None:
        raise ValueError(
            f"a segmenter is held against label maps, and a {data.task} task has none: take task=labels, or give "
            "evaluation.table "
            "and evaluation.table_root (Cityscapes as pix2pix reads it), or leave the segmenter out"
        )
    return OfData(data)


def check_label_targets(data: ImageData, table: str | None, root: str | None, segmenter: Segmenter) -> None:
    """Raise ``ValueError`` where there are no maps, or not of the classes that the segmenter tells apart."""
    targets = label_targets_of(data, table, root)
    if len(targets.names) != segmenter.classes:
        raise ValueError(
            f"{segmenter.name} tells {segmenter.classes} classes apart, the label maps have {len(targets.names)}: "
            f"{', '.join(targets.names[:5])}, ...; give the segmenter that was trained on these"
        )
    targets(0)
