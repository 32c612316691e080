"""The task that data are made for."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from pocketgan.core.tasks import TaskName
from pocketgan.data.builtin import BUILTIN
from pocketgan.data.config import DataConfig, Split
from pocketgan.data.label_layout import locate_labels
from pocketgan.data.layout import Place, locate
from pocketgan.data.listing import is_aligned, keys_of


def guess_task(config: DataConfig, *, alone: TaskName = "unpaired") -> TaskName:
    """The task that a set looks made for. Of a folder: the one its layout and names allow; of one side ``alone``."""
    if config.path in BUILTIN:
        return BUILTIN[config.path]
    if any(locate_labels(Path(config.path), split) for split in get_args(Split)):
        return "labels"
    place = _any_place(config)
    if place.shared is not None:
        return "paired" if is_aligned(place.files("A"), config, "inputs") else "inputs"
    if not all(folder.is_dir() for folder in place.sides.values()):
        return alone
    names = {side: set(keys_of(place, side)) for side in place.sides}
    return "paired" if names["A"] & names["B"] else "unpaired"


def _any_place(config: DataConfig) -> Place:
    try:
        return locate(Path(config.path), "train")
    except ValueError:
        return locate(Path(config.path), "test")
