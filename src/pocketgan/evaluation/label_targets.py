"""Target label maps of segmentation metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketgan.data.cityscapes import TRAINED
from pocketgan.data.cityscapes_files import read_label_target, read_table
from pocketgan.data.images import ImageData
from pocketgan.metrics.segmentation import Segmenter
from pocketgan.utils.registry import unknown

Map = NDArray[np.int64]
"""Class of each pixel, H x W; -1 where it is not evaluated."""


class LabelTargets(NamedTuple):
    """Target label maps of a data set, by the index of the image."""

    names: Sequence[str]
    """Names of the classes."""
    load: Callable[[int], Map]


def label_targets_of(data: ImageData, table: str | None, root: str | None) -> LabelTargets:
    """Label maps of ``data``: those of the published table of Cityscapes, or the inputs themselves at their full size.

    Raises ``ValueError`` where there are none.
    """
    if table is not None and root is not None:
        files = read_table(table, root)

        def load(index: int) -> Map:
            name = Path(data.name(index)).name
            if name not in files:
                raise unknown("image in the table", name, files)
            return read_label_target(files[name])

        return LabelTargets([one.name for one in TRAINED], load)
    if data.labels is None:
        raise ValueError(
            f"a segmenter is compared with label maps, and a {data.task} task has none: take task=labels, or give "
            "evaluation.table and evaluation.table_root (Cityscapes as pix2pix reads it), or leave the segmenter out"
        )
    return LabelTargets(data.labels.evaluated_names, data.label_target)


def check_label_targets(data: ImageData, table: str | None, root: str | None, segmenter: Segmenter) -> None:
    """Raise ``ValueError`` where there are no label maps, or not of the classes of the segmenter."""
    targets = label_targets_of(data, table, root)
    if len(targets.names) != segmenter.classes:
        raise ValueError(
            f"{segmenter.name} has {segmenter.classes} classes, the label maps have {len(targets.names)}: "
            f"{', '.join(targets.names[:5])}, ...; give the segmenter that was trained on these"
        )
    targets.load(0)
