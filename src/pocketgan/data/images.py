"""``open_data``: from a configuration to images, one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pocketgan.core.tasks import TaskName
from pocketgan.data.builtin import BUILTIN, SyntheticImages
from pocketgan.data.config import DataConfig, Split, crosses, has_pairs
from pocketgan.data.decode import BadImage
from pocketgan.data.geometry import Geometry, plan, whole
from pocketgan.data.image_source import FileImages, ImageSource, Opened, OpenedFiles, Role, Values, check_pair, leading_role
from pocketgan.data.label_images import LabelImages
from pocketgan.data.label_listing import list_labels
from pocketgan.data.labels import Labels
from pocketgan.data.listing import list_files
from pocketgan.data.values import to_float

_SPLITS: tuple[Split, ...] = get_args(Split)


def open_data(config: DataConfig, task: TaskName, split: Split) -> ImageData:
    """The images of ``split`` for ``task``; only names are read now, pixels when they are asked for.

    ``task`` is ``paired`` (source and target at the same index show the same), ``unpaired`` (any target goes with any
    source; pairs may be read so, too), ``multimodal`` (the same), ``labels`` (the source is the label map of the target),
    ``unconditional`` (targets only: the sources are numbers, see `ImageData.drawing`) or ``inputs`` (sources only;
    ``direction`` chooses the side, of label maps only ``BtoA``, the photos). The split ``test`` is test/, else val/, else,
    with a warning, the training images.

    Raises ``ValueError`` when the folder, a side or a partner is missing, or when the set does not fit the task.
    """
    if task == "labels" and config.direction == "BtoA":
        raise ValueError("direction=BtoA: in the task labels the source is the label map, whatever its side; leave it out")
    if config.path in BUILTIN:
        return ImageData(config, task, split, SyntheticImages(config, task, split))
    if task == "labels":
        labelled = list_labels(config, split)
        source: ImageSource = LabelImages(labelled)
        fallback = labelled.fallback
    else:
        listing = list_files(config, task, split)
        source, fallback = FileImages(listing, task), listing.place.fallback
    note = ""
    if fallback:
        note = "no test images: evaluated on the training images"
        if task != "inputs":
            warnings.warn(f"{config.path} has {note}; add a test or val folder", stacklevel=2)
    return ImageData(config, task, split, source, note=note)


class ImageData:
    """Images of one task and split. Made by ``open_data``; can be sent to worker processes."""

    def __init__(
        self,
        config: DataConfig,
        task: TaskName,
        split: Split,
        source: ImageSource,
        *,
        note: str = "",
        drawn: Mapping[str, int] | None = None,
        count: int | None = None,
    ):
        self.config, self.task, self.split = config, task, split
        self.source = source
        self.note = note
        """What is unusual about these images, in one line; mostly empty."""
        self.drawn: Mapping[str, int] = drawn or {}
        """``{name: how many}`` numbers that come with every image, as `drawing` says."""
        self._count = count

    def drawing(self, drawn: Mapping[str, int], *, count: int | None = None) -> ImageData:
        """The same images, and with each of them ``{name: how many}`` standard normal numbers, as a generator reads them.

        Like the augmentation they depend on the seed and the step alone; without augmentation, on the index. In the task
        ``unconditional`` they are the sources; ``count`` of them, without any targets, are what is generated to be evaluated.
        """
        return ImageData(self.config, self.task, self.split, self.source, note=self.note, drawn=drawn, count=count)

    @property
    def labels(self) -> Labels | None:
        """What the sources mean in the task ``labels``."""
        return self.source.labels

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources: the paths inside their folder, without endings."""
        return self.source.names

    @property
    def counts(self) -> dict[Role, int]:
        """How many different images there are of each side."""
        return self.source.counts

    def __len__(self) -> int:
        """Images an epoch: the sources; in unpaired training the larger side, as published."""
        if self._count is not None:
            return self._count
        if crosses(self.task) and self.split == "train":
            return max(self.counts.values())
        return len(self.names)

    def name(self, index: int) -> str:
        """The name of the source at ``index``."""
        return self.names[index % len(self.names)]

    def load(self, index: int, rng: np.random.Generator | None) -> dict[str, Values]:
        """The images at ``index``: ``input`` and (except for ``inputs``) ``target``, each H x W x 3, uint8, RGB; the numbers
        that are drawn with them, float32, by their own names.

        A label map is H x W x 1 numbers of classes, or x 2 with numbers of instances, uint8 or int32.

        ``rng`` draws the augmentation and, in an unpaired task, the target; without it there is no augmentation and the
        target is the one at ``index``, counted round. Raises ``BadImage`` (a ``ValueError``) naming the file.
        """
        found: dict[str, Values] = {}
        if self._count is None:
            opened = self.source.open(self._wanted(index, rng))
            found.update((str(role), own) for role, own in opened.pixels(self._geometries(opened, rng)).items())
        own = rng if rng is not None else np.random.default_rng((_SPLITS.index(self.split), index))
        return found | {name: own.standard_normal(length, dtype=np.float32) for name, length in self.drawn.items()}

    def floats(self, role: str, values: Tensor) -> Tensor:
        """A stack of what ``load`` gives for a role, as networks see it: images in [-1, 1], label maps as channels."""
        if role in self.drawn:
            return values
        if self.labels is None or role == "target":
            return to_float(values)
        return self.labels.one_hot(values[..., 0], values[..., 1] if self.labels.edges else None)

    def label_target(self, index: int) -> NDArray[np.int64]:
        """The label map at ``index`` at its file's own size, H x W, or its ``center``: classes as they are evaluated, -1 where
        none is.

        Raises ``BadImage`` naming the file.
        """
        assert self.labels is not None, f"the task {self.task} has no label maps"
        opened = self.source.open({"input": index % self.counts["input"]})
        width, height = whole(opened.size("input"), self.config)
        everything = Geometry((width, height), (0, 0, width, height), flip=False, center=self.config.center)
        return self.labels.label_target(opened.pixels({"input": everything})["input"][..., 0])

    def check_size(self, opened: Opened, role: Role) -> None:
        """Raises ``BadImage`` when an opened image is too small to be prepared."""
        self._plan(opened, role, None)

    def describe(self) -> str:
        """One line for people: what is read, from where, and how it is prepared."""
        config = self.config
        sides = " and ".join(f"{count} {role}s" for role, count in self.counts.items())
        count = f"{self.counts['input']} pairs" if has_pairs(self.task) else sides
        direction = config.direction if {"input", "target"} <= set(self.counts) and self.labels is None else ""
        parts = (f"{config.path} ({self.split}): {count}", self.source.kind, direction, self._preparation(), self.note)
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
        center = f"the central {config.center}x{config.center} cut out, " if config.center else ""
        return center + steps + (", mirrored at random" if config.flip and self.split == "train" else "")

    def _wanted(self, index: int, rng: np.random.Generator | None) -> dict[Role, int]:
        wanted: dict[Role, int] = {leading_role(self.task): index % len(self.names)}
        if has_pairs(self.task):
            wanted["target"] = wanted["input"]
        elif crosses(self.task):
            targets = self.counts["target"]
            wanted["target"] = index % targets if rng is None else int(rng.integers(targets))
        return wanted

    def _geometries(self, opened: Opened, rng: np.random.Generator | None) -> Mapping[Role, Geometry]:
        if has_pairs(self.task):
            if isinstance(opened, OpenedFiles):
                check_pair(opened)
            shared = self._plan(opened, "input", rng)
            return {"input": shared, "target": shared}
        return {role: self._plan(opened, role, rng) for role in self.counts}

    def _plan(self, opened: Opened, role: Role, rng: np.random.Generator | None) -> Geometry:
        size = opened.size(role)
        try:
            return plan(size, self.config, rng)
        except ValueError as error:
            path = opened.items[role].path if isinstance(opened, OpenedFiles) else self.config.path
            raise BadImage(path, str(error)) from None
