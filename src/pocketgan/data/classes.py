"""What the values of label maps mean: read from the configuration, from a text file, or known of a published set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pocketgan.data.cityscapes import CLASSES, TRAINED
from pocketgan.data.decode import MapFile
from pocketgan.data.labels import Labels, numbered, palette

_COCO_STUFF = 182  # classes; 255 is "don't care", as published with SPADE a channel of its own
_PROBED = 8  # label maps whose values are told when nobody says what they mean
_LINE = re.compile(r"(?P<name>[^#]*[^#\s])(\s+#(?P<color>[0-9a-fA-F]{6}))?")


def known_labels(classes: int | str) -> Labels:
    """The labels that ``DataConfig.classes`` names, without instance edges.

    Raises ``ValueError`` for a text that is neither a published set nor a file of names, and naming a line that is no name.
    """
    if isinstance(classes, int):
        return numbered(classes)
    if classes == "cityscapes":
        return cityscapes()
    if classes == "coco-stuff":
        return Labels(classes=numbered(_COCO_STUFF).classes, colors=palette(_COCO_STUFF), void=True)
    path = Path(classes).expanduser()
    if not path.is_file():
        raise ValueError(
            f"classes={classes} is no file: give the number of classes, a text file with one name a line, cityscapes or "
            "coco-stuff"
        )
    return named_in(path)


def cityscapes() -> Labels:
    """The 35 classes of Cityscapes by their values in ``*_labelIds.png``, 19 of which are evaluated.

    License plates, which no file draws, are the 35th: generators are published with a channel for them.
    """
    ordered = (*(one for one in CLASSES if one.id >= 0), *(one for one in CLASSES if one.id < 0))
    return Labels(
        classes=tuple(one.name for one in ordered),
        colors=tuple(one.color for one in ordered),
        evaluated=tuple(one.train_id for one in ordered),
        evaluated_names=tuple(one.name for one in TRAINED),
    )


def named_in(path: Path) -> Labels:
    """The labels that a text file names, one a line from value 0 on, with ``#rrggbb`` behind a name for its color.

    Raises ``ValueError`` naming a line that is neither, and for a file without names.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    found = [_LINE.fullmatch(line) for line in lines]
    for number, (line, match) in enumerate(zip(lines, found, strict=True), start=1):
        if match is None:
            raise ValueError(f"{path}, line {number}: '{line}' must be the name of a class, or a name and #rrggbb")
    if not lines:
        raise ValueError(f"{path} names no classes: write one name a line")
    matches = [match for match in found if match]
    given = [match["color"] for match in matches]
    colors = (tuple(bytes.fromhex(own)) if own else other for own, other in zip(given, palette(len(given)), strict=True))
    return Labels(
        classes=tuple(match["name"] for match in matches), colors=tuple((red, green, blue) for red, green, blue in colors)
    )


def unknown_classes(root: Path, paths: Sequence[str]) -> ValueError:
    """The error that says which values the first label maps of ``root`` hold and what to give."""
    values = sorted({int(value) for path in paths[:_PROBED] for value in np.unique(np.asarray(MapFile(path).decode()))})
    ranges = ", ".join(_ranges(values))
    return ValueError(
        f"{root}: what do the values of the label maps mean? The first {len(paths[:_PROBED])} hold {ranges}. Say how many "
        f"classes there are (classes={values[-1] + 1} takes them all; values from the number on are void), or write their "
        f"names into {root / 'classes.txt'}, one a line; classes may also be another such file, cityscapes or coco-stuff"
    )


def _ranges(values: Sequence[int]) -> list[str]:
    """``[0, 1, 2, 255]`` as ``0 to 2`` and ``255``."""
    starts = [value for value in values if value - 1 not in values]
    ends = [value for value in values if value + 1 not in values]
    return [str(start) if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)]
