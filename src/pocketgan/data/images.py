"""Data sets: from a configuration to images, one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketgan.core.inputs import Shape
from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.builtin import BUILTIN, SyntheticImages
from pocketgan.data.config import DataConfig, Role, Split, counted_role
from pocketgan.data.decode import BadImage, ImageFile, to_float
from pocketgan.data.files import folder_of, is_glob
from pocketgan.data.geometry import Geometry, plan, whole
from pocketgan.data.image_source import Opened, Values
from pocketgan.data.label_layout import locate_labels
from pocketgan.data.labels import Labels
from pocketgan.data.layout import locate
from pocketgan.data.listing import Listing, is_aligned, list_files
from pocketgan.data.survey import channels_of, sizes_of, value_notes
from pocketgan.utils.images import as_channels

_SPLITS: tuple[Split, ...] = get_args(Split)


def open_data(config: DataConfig, task: TaskName, split: Split) -> ImageData:
    """The images of ``split`` for ``task``; only names are read now, pixels on demand.

    ``task`` is ``paired`` (input and target at the same index form a pair), ``unpaired`` (any target goes with any input;
    pairs may be read this way, too), ``multimodal`` (the same), ``labels`` (the input is the label map of the target),
    ``unconditional`` (targets only: the inputs are latents, see `ImageData.with_latents`) or ``inputs`` (inputs only;
    ``direction`` chooses the side, of label maps only ``BtoA``, the photos). The split ``test`` is test/, else val/, else,
    with a warning, the training images.

    Raises ``ValueError`` when the folder, a side or a partner is missing, or when the set does not fit the task.
    """
    if traits_of(task).reads_labels and config.direction == "BtoA":
        raise ValueError("direction=BtoA: in the task labels the input is always the label map; leave the direction out")
    if config.path in BUILTIN:
        if config.targets is not None:
            raise ValueError(
                f"targets={config.targets}: the built-in set {config.path} has its own; write ./{config.path} for a folder"
            )
        return ImageData(config, task, split, SyntheticImages(config, task, split))
    listing = list_files(config, task, split)
    note = ""
    if listing.fallback:
        note = "no test images: evaluated on the training images"
        if traits_of(task).has_targets:
            warnings.warn(f"{config.path} has {note}; add a test or val folder", stacklevel=2)
    return ImageData(config, task, split, listing, note)


class SubsetImages:
    """Images of another source at the indices of a range for each role."""

    def __init__(self, source: ImageSource, ranges: Mapping[Role, range]):
        self._source, self._ranges = source, ranges
        self.names: tuple[str, ...] = tuple(source.names[index] for index in next(iter(ranges.values())))
        self.counts: dict[Role, int] = {role: len(own) for role, own in ranges.items()}
        self.kind: str = source.kind
        self.labels: Labels | None = source.labels

    def open(self, indices: Mapping[Role, int]) -> Opened:
        """Open the images at these indices of the subset."""
        return self._source.open({role: self._ranges[role][index] for role, index in indices.items()})


ImageSource = Listing | SyntheticImages | SubsetImages
"""All raw images of one task and split."""


@dataclass(frozen=True)
class ImageData:
    """Images of one task and split. Made by ``open_data``; can be sent to worker processes."""

    config: DataConfig
    task: TaskName
    split: Split
    source: ImageSource
    note: str = ""
    """Unusual facts about these images, in one line; mostly empty."""
    latents: Mapping[str, int] = field(default_factory=dict)
    """``{name: length}`` of the latents that come with every image."""
    network_channels: Mapping[str, int] = field(default_factory=dict)
    """``{role: channels}`` of batches, where they are not those of the files."""
    count: int | None = None
    """Number of latents that come without any images."""

    def with_latents(self, latents: Mapping[str, int], *, count: int | None = None) -> ImageData:
        """The same images, each with latents ``{name: length}``: standard normal numbers, the inputs of a generator.

        Like the augmentation, latents depend on the seed and the step alone; without augmentation, on the index. In the task
        ``unconditional`` they are the inputs; ``count`` latents, without any targets, make the images to evaluate.
        """
        return replace(self, latents=latents, count=count)

    @property
    def labels(self) -> Labels | None:
        """Classes of the inputs in the task ``labels``."""
        return self.source.labels

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs (targets, if those are latents): the paths inside their folder, without extension."""
        return self.source.names

    @property
    def counts(self) -> dict[Role, int]:
        """Number of different images of each role."""
        return self.source.counts

    def with_channels(self, channels: Mapping[str, int]) -> ImageData:
        """The same images as a network reads and makes them, with ``{role: channels}``: RGB becomes gray for one channel.

        Raises ``ValueError`` for a role whose images cannot have that number.
        """
        for role, found in self.channels.items():
            wanted = channels.get(role, found)
            if wanted != found and (found, wanted) != (3, 1):
                does = "reads" if role == "input" else "makes"
                advice = "take task=inputs, which needs no targets, or " if role == "target" and "input" in self.counts else ""
                bands = ", or set data.opacity=true if the fourth is opacity" if found == 4 and role not in self.latents else ""
                raise ValueError(
                    f"the generator {does} {wanted} channels, the {role}s in {self.config.path} have {found}: {advice}give "
                    f"images of {wanted} channels, or let the factory return a module that converts them{bands}"
                )
        return replace(self, network_channels={**self.network_channels, **channels})

    def __len__(self) -> int:
        """Images an epoch: the inputs; in unpaired training the larger side, as published."""
        if self.count is not None:
            return self.count
        if traits_of(self.task).any_target and self.split == "train":
            return max(self.counts.values())
        return len(self.names)

    def name(self, index: int) -> str:
        """The name of the input at ``index``."""
        return self.names[index % len(self.names)]

    def load(self, index: int, rng: np.random.Generator | None) -> dict[str, Values]:
        """The images at ``index``: ``input`` and (except for ``inputs``) ``target``, each H x W x 3, uint8, RGB; and their
        latents, float32, by name.

        A label map is H x W x 1 class numbers, or x 2 with instance numbers, uint8 or int32.

        ``rng`` draws the augmentation and, in an unpaired task, the target; without ``rng`` there is no augmentation and the
        target is the one at ``index``, modulo their number. Raises ``BadImage`` (a ``ValueError``) naming the file.
        """
        values: dict[str, Values] = {}
        if self.count is None:
            opened = self.source.open(self._indices(index, rng))
            values.update((str(role), image) for role, image in opened.pixels(self._geometries(opened, rng)).items())
        generator = rng if rng is not None else np.random.default_rng((_SPLITS.index(self.split), index))
        return values | {name: generator.standard_normal(length, dtype=np.float32) for name, length in self.latents.items()}

    def floats(self, role: str, values: Tensor) -> Tensor:
        """Network inputs from a stack of `load`'s values of a role: images in [-1, 1], label maps as channels."""
        if role in self.latents:
            return values
        if self.labels is None or role == "target":
            images = to_float(values)
            return as_channels(images, self.network_channels.get(role, images.shape[1]))
        return self.labels.one_hot(values[..., 0], values[..., 1] if self.labels.edges else None)

    def label_target(self, index: int) -> NDArray[np.int64]:
        """The label map at ``index`` at its file's own size or its ``center``, H x W: evaluated classes, -1 for ignored pixels.

        Raises ``BadImage`` naming the file.
        """
        assert self.labels is not None, f"the task {self.task} has no label maps"
        opened = self.source.open({"input": index % self.counts["input"]})
        width, height = whole(opened.size("input"), self.config)
        everything = Geometry((width, height), (0, 0, width, height), flip=False, center=self.config.center)
        return self.labels.label_target(opened.pixels({"input": everything})["input"][..., 0])

    @property
    def channels(self) -> dict[Role, int]:
        """Channels of the images of each role, of a label map those of the network's input."""
        listing = self.source if isinstance(self.source, Listing) else None
        found = {role: channels_of(listing, role) if listing else 3 for role in self.counts}
        return found | ({"input": self.labels.channels} if self.labels and "input" in found else {})

    def describe(self) -> str:
        """Description in one line: content, layout, sizes, preparation, and what is not read."""
        config, listing = self.config, self.source if isinstance(self.source, Listing) else None
        sides = " and ".join(f"{count} {role}s" for role, count in self.counts.items())
        count = f"{self.counts['input']} pairs" if traits_of(self.task).has_pairs else sides
        direction = config.direction if len(self.counts) == 2 and self.labels is None else ""
        parts = [f"{config.path} ({self.split}): {count}", self.source.kind, direction]
        parts += [f"of {sizes}"] if listing and (sizes := sizes_of(listing)) else []
        parts += [f"{role}s of 4 bands" for role, count in self.channels.items() if count == 4 and self.labels is None]
        parts += [
            self._preparation(),
            *(value_notes(listing) if listing else ()),
            *(listing.unread if listing else ()),
            self.note,
        ]
        return ", ".join(part for part in parts if part)

    def _preparation(self) -> str:
        config = self.config
        load_shape = config.load_shape if self.split == "train" else config.shape
        loaded, cropped = (f"{width}x{height}" for height, width in (load_shape, config.shape))
        steps = {
            "resize": f"scaled to {loaded}" + (f", cropped to {cropped}" if load_shape != config.shape else ""),
            "scale_shorter": f"scaled in proportion to cover {loaded}, cropped to {cropped}",
            "scale_width": f"scaled in proportion to {cropped}",
            "crop": f"cropped to {cropped}",
            "none": "at their own size",
        }[config.preprocess]
        center = f"the central {config.center}x{config.center} cut out, " if config.center else ""
        return center + steps + (", mirrored at random" if config.flip and self.split == "train" else "")

    def _indices(self, index: int, rng: np.random.Generator | None) -> dict[Role, int]:
        indices: dict[Role, int] = {counted_role(self.task): index % len(self.names)}
        if traits_of(self.task).has_pairs:
            indices["target"] = indices["input"]
        elif traits_of(self.task).any_target:
            targets = self.counts["target"]
            indices["target"] = index % targets if rng is None else int(rng.integers(targets))
        return indices

    def _geometries(self, opened: Opened, rng: np.random.Generator | None) -> Mapping[Role, Geometry]:
        if traits_of(self.task).has_pairs:
            opened.check_pair()
            shared = self.plan(opened, "input", rng)
            return {"input": shared, "target": shared}
        return {role: self.plan(opened, role, rng) for role in self.counts}

    def plan(self, opened: Opened, role: Role, rng: np.random.Generator | None = None) -> Geometry:
        """Geometry of an opened image. Raises ``BadImage`` for one that is too small to be prepared."""
        size = opened.size(role)
        try:
            return plan(size, self.config, rng)
        except ValueError as error:
            raise BadImage(opened.images[role].path, str(error)) from None


def hold_out(data: ImageData, count: int) -> tuple[ImageData, ImageData]:
    """``(training part, held-out part)``: the last ``count`` images of each role are held out.

    Raises ``ValueError`` where less than one image would be left of a role.
    """
    least = min(data.counts.values())
    if not 0 < count < least:
        raise ValueError(f"{count} images to hold out of {least}: hold out fewer, at most {least - 1}")

    parts = (
        {role: range(size - count) for role, size in data.counts.items()},
        {role: range(size - count, size) for role, size in data.counts.items()},
    )
    first, last = (replace(data, source=SubsetImages(data.source, ranges)) for ranges in parts)
    return first, last


def first_images(path: str, shape: Shape, *, most: int) -> Tensor:
    """The image in a file, or up to ``most`` of a folder (its test images, if any): N x 3 x H x W in [-1, 1].

    Raises ``ValueError`` when nothing exists at ``path``, and ``BadImage`` naming a file that cannot be read.
    """
    height, width = shape
    config = DataConfig(path=path, size=width, aspect=width / height, workers=0)
    if Path(path).is_file():
        opened = Opened({"input": ImageFile(path)})
        images = [opened.pixels({"input": plan(opened.size("input"), config, None)})["input"]]
    else:
        data = open_data(config, "inputs", "test")
        images = [data.load(index, None)["input"] for index in range(min(most, len(data)))]
    return to_float(torch.from_numpy(np.stack(images)))


def guess_task(config: DataConfig, *, alone: TaskName = "unpaired") -> TaskName:
    """The task that a data set fits, from the layout and names of its folders; ``alone`` if only one side exists."""
    if config.path in BUILTIN:
        return BUILTIN[config.path]
    root = folder_of(config.path)
    labeled = next(filter(None, (locate_labels(root, split) for split in _SPLITS)), None)
    if labeled is not None and config.targets is None:
        labeled.check_masks()
        return "labels"
    try:
        place = locate(root, "train", config.targets)
    except ValueError:
        place = locate(root, "test", config.targets)
    if place.shared is not None:
        return "paired" if is_aligned(place.files("A"), config, "inputs") else "inputs"
    if not all(folder.is_dir() or is_glob(folder) for folder in place.sides.values()):
        return alone
    names = {side: set(place.pair_names(side)) for side in place.sides}
    return "paired" if names["A"] & names["B"] else "unpaired"
