"""``open_data``: from a configuration to images, one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from pocketgan.data.builtin import BUILTIN, DrawnPictures
from pocketgan.data.config import DataConfig, Pairing, Split
from pocketgan.data.decode import BadImage
from pocketgan.data.geometry import Geometry, apply, plan
from pocketgan.data.listing import list_files
from pocketgan.data.pictures import FilePictures, Opened, OpenedFiles, Pictures, Role, check_pair
from pocketgan.data.values import Pixels


def open_data(config: DataConfig, task: Pairing, split: Split) -> ImageData:
    """The images of ``split`` for ``task``; only names are read now, pixels when they are asked for.

    ``task`` is ``paired`` (source and target at the same index show the same), ``unpaired`` (any target goes with any
    source; pairs may be read so, too) or ``inputs`` (sources only; ``direction`` chooses the side). The split ``test``
    is test/, else val/, else, with a warning, the training images.

    Raises ``ValueError`` when the folder, a side or a partner is missing, or when the set does not fit the task.
    """
    if config.path in BUILTIN:
        return ImageData(config, task, split, DrawnPictures(config, task, split))
    listing = list_files(config, task, split)
    note = ""
    if listing.place.fallback:
        note = "no test images: judged on the training images"
        if task != "inputs":
            warnings.warn(f"{config.path} has {note}; add a test or val folder", stacklevel=2)
    return ImageData(config, task, split, FilePictures(listing, task), note=note)


class ImageData:
    """Images of one task and split. Made by ``open_data``; can be sent to worker processes."""

    def __init__(self, config: DataConfig, task: Pairing, split: Split, pictures: Pictures, *, note: str = ""):
        self.config, self.task, self.split = config, task, split
        self.pictures = pictures
        self.note = note
        """What is unusual about these images, in one line; mostly empty."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources: the paths inside their folder, without endings."""
        return self.pictures.names

    @property
    def counts(self) -> dict[Role, int]:
        """How many different images there are of each side."""
        return self.pictures.counts

    def __len__(self) -> int:
        """Images an epoch: the sources; in unpaired training the larger side, as published."""
        if self.task == "unpaired" and self.split == "train":
            return max(self.counts.values())
        return self.counts["source"]

    def name(self, index: int) -> str:
        """The name of the source at ``index``."""
        return self.names[index % len(self.names)]

    def load(self, index: int, rng: np.random.Generator | None) -> dict[Role, Pixels]:
        """The images at ``index``: ``source`` and (except for ``inputs``) ``target``, each H x W x 3, uint8, RGB.

        ``rng`` draws the augmentation and, in an unpaired task, the target; without it there is no augmentation and the
        target is the one at ``index``, counted round. Raises ``BadImage`` (a ``ValueError``) naming the file.
        """
        opened = self.pictures.open(self._wanted(index, rng))
        geometries = self._geometries(opened, rng)
        images = opened.pixels(geometries)
        return {role: np.asarray(apply(image, geometries[role])) for role, image in images.items()}

    def check_size(self, opened: Opened, role: Role) -> None:
        """Raises ``BadImage`` when an opened image is too small to be prepared."""
        self._plan(opened, role, None)

    def describe(self) -> str:
        """One line for people: what is read, from where, and how it is prepared."""
        config = self.config
        sides = " and ".join(f"{count} {role}s" for role, count in self.counts.items())
        count = f"{self.counts['source']} pairs" if self.task == "paired" else sides
        direction = config.direction if "target" in self.counts else ""
        parts = (f"{config.path} ({self.split}): {count}", self.pictures.kind, direction, self._preparation(), self.note)
        return ", ".join(part for part in parts if part)

    def _preparation(self) -> str:
        config = self.config
        load_shape = config.load_shape if self.split == "train" else config.shape
        loaded, seen = (f"{width}x{height}" for height, width in (load_shape, config.shape))
        steps = {
            "resize": f"scaled to {loaded}" + (f", cropped to {seen}" if load_shape != config.shape else ""),
            "scale_shorter": f"scaled in proportion to cover {loaded}, cropped to {seen}",
            "scale_width": f"scaled in proportion to {seen}",
            "crop": f"cropped to {seen}",
            "none": "at their own size",
        }[config.preprocess]
        return steps + (", mirrored at random" if config.flip and self.split == "train" else "")

    def _wanted(self, index: int, rng: np.random.Generator | None) -> dict[Role, int]:
        wanted: dict[Role, int] = {"source": index % self.counts["source"]}
        if self.task == "paired":
            wanted["target"] = wanted["source"]
        elif self.task == "unpaired":
            targets = self.counts["target"]
            wanted["target"] = index % targets if rng is None else int(rng.integers(targets))
        return wanted

    def _geometries(self, opened: Opened, rng: np.random.Generator | None) -> Mapping[Role, Geometry]:
        if self.task == "paired":
            if isinstance(opened, OpenedFiles):
                check_pair(opened)
            shared = self._plan(opened, "source", rng)
            return {"source": shared, "target": shared}
        return {role: self._plan(opened, role, rng) for role in self.counts}

    def _plan(self, opened: Opened, role: Role, rng: np.random.Generator | None) -> Geometry:
        size = opened.size(role)
        try:
            return plan(size, self.config, rng)
        except ValueError as error:
            path = opened.items[role].path if isinstance(opened, OpenedFiles) else self.config.path
            raise BadImage(path, str(error)) from None
