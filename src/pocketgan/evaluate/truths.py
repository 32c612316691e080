"""The label maps that pictures are held against when a segmenter has read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pocketgan.core.errors import unknown
from pocketgan.data.cityscapes import TRAINED
from pocketgan.data.cityscapes_truth import read_table, read_truth
from pocketgan.data.images import ImageData
from pocketgan.metrics.segmentation import Segmenter

Map = NDArray[np.int64]
"""H x W: the class of each pixel, -1 where it is not judged."""


class Truths(Protocol):
    """The maps of a data set."""

    @property
    def names(self) -> Sequence[str]:
        """Of the classes."""
        ...

    def __call__(self, index: int) -> Map:
        """That of the picture of a source."""
        ...


class OfData(NamedTuple):
    """Of the sources themselves, at their own full size."""

    data: ImageData

    @property
    def names(self) -> Sequence[str]:
        """Of the classes that are judged."""
        assert self.data.labels is not None
        return self.data.labels.judged_names

    def __call__(self, index: int) -> Map:
        """The map."""
        return self.data.truth(index)


class OfTable(NamedTuple):
    """Of the published table of Cityscapes."""

    data: ImageData
    table: dict[str, Path]

    @property
    def names(self) -> Sequence[str]:
        """The 19 classes that are judged."""
        return tuple(one.name for one in TRAINED)

    def __call__(self, index: int) -> Map:
        """The map; ``ValueError`` for a picture that the table does not name."""
        name = Path(self.data.name(index)).name
        if name not in self.table:
            raise unknown("picture in the table", name, self.table)
        return read_truth(self.table[name])


def truths_of(data: ImageData, table: str | None, root: str | None) -> Truths:
    """The maps of ``data``. Raises ``ValueError`` where there are none."""
    if table is not None and root is not None:
        return OfTable(data, read_table(table, root))
    if data.labels is None:
        raise ValueError(
            f"a segmenter is held against label maps, and a {data.task} task has none: take task=labels, or give judge.table "
            "and judge.table_root (Cityscapes as pix2pix reads it), or leave the segmenter out"
        )
    return OfData(data)


def check_truths(data: ImageData, table: str | None, root: str | None, segmenter: Segmenter) -> None:
    """Raise ``ValueError`` where there are no maps, or not of the classes that the segmenter tells apart."""
    truths = truths_of(data, table, root)
    if len(truths.names) != segmenter.classes:
        raise ValueError(
            f"{segmenter.name} tells {segmenter.classes} classes apart, the label maps have {len(truths.names)}: "
            f"{', '.join(truths.names[:5])}, ...; give the segmenter that was trained on these"
        )
    truths(0)
