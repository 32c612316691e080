"""Files of the inputs and targets of a task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig, Range, Role, Side, Split, parse_range, sides_of
from pocketgan.data.decode import BadImage, Half, ImageFile, MapFile
from pocketgan.data.files import folder_of, loose_images, shortened, unread_in
from pocketgan.data.geometry import Size
from pocketgan.data.image_source import Opened
from pocketgan.data.label_layout import LabelPlace, locate_labels, no_labels
from pocketgan.data.labels import Labels, cityscapes, known_labels, named_in, unknown_classes
from pocketgan.data.layout import Place, locate

_PROBED = 8  # files whose shape decides whether a folder holds A|B images
_SAMPLED = 32  # files whose values decide about the range
_HALVES: dict[Side, Half] = {"A": "left", "B": "right"}


@dataclass(frozen=True, slots=True)
class Item:
    """Image: a file, or one half of an aligned file."""

    path: str
    half: Half | None = None


@dataclass(frozen=True)
class Listing:
    """Files of one task and split; the files of a pair have the same index."""

    kind: str
    """Layout, in words."""
    names: tuple[str, ...]
    items: dict[Role, tuple[Item, ...]]
    """Targets alone for the task ``unconditional``, inputs alone for ``inputs``, else both."""
    fallback: bool
    """True if evaluation has to use the training images."""
    labels: Labels | None = None
    """Classes of the inputs in the task ``labels``."""
    instances: tuple[Item, ...] = ()
    """Instance maps of the inputs, if there are any."""
    unread: tuple[str, ...] = ()
    """Folders outside of the layout and images of formats that are not read, in words."""
    ranges: Mapping[Role, Range] = field(default_factory=dict)
    """Values of black and white of deep images."""
    opacity: bool | None = None
    """`DataConfig.opacity`."""
    double: float | None = None
    """Aspect of the halves, where the shape of the first files alone says that each file is A|B."""

    @property
    def counts(self) -> dict[Role, int]:
        """Number of images of each role."""
        return {role: len(items) for role, items in self.items.items()}

    def open(self, indices: Mapping[Role, int]) -> Opened:
        """Read the headers of the files. Raises ``BadImage``."""
        items = {role: self.items[role][index] for role, index in indices.items()}
        files: dict[str, ImageFile] = {}
        for role, item in items.items():
            if item.path not in files:
                files[item.path] = self._file(item, role)
        has_instances = self.instances and "input" in indices
        return Opened(
            {role: files[item.path] for role, item in items.items()},
            {role: item.half for role, item in items.items()},
            MapFile(self.instances[indices["input"]].path) if has_instances else None,
        )

    def _file(self, item: Item, role: Role) -> ImageFile:
        if self.labels and role == "input":
            return MapFile(item.path)
        file = ImageFile(item.path, range=self.ranges.get(role), opacity=self.opacity)
        if item.half and self.double is not None and not _is_double(file.size, self.double):
            raise BadImage(
                item.path,
                f"is {file.size[0]}x{file.size[1]}, but the first files are A|B, two images side by side: take it out, or set "
                "data.aligned=true if it is one, too, and data.aligned=false if none is",
            )
        return file


class MissingPartners(ValueError):
    """Files without their partners: ``reasons`` by path."""

    def __init__(self, root: Path, reasons: dict[str, str]):
        lines = [f"{path} {reason}" for path, reason in reasons.items()]
        super().__init__(
            f"{root}: files are matched by name; {len(lines)} missing: {shortened(lines)}. Add or remove them; names that "
            "differ are matched by wildcards: --data 'DIR/*.png' --targets 'DIR2/*_mask.png'"
        )
        self.reasons = reasons


def list_files(config: DataConfig, task: TaskName, split: Split) -> Listing:
    """Files for ``task``. Raises ``ValueError`` for an empty side and for names without a partner."""
    listing = list_labels(config, split) if traits_of(task).reads_labels else _list_images(config, task, split)
    return replace(listing, ranges=_ranges(config, task, split, listing), opacity=config.opacity)


def _list_images(config: DataConfig, task: TaskName, split: Split) -> Listing:
    traits, root = traits_of(task), folder_of(config.path)
    labeled = locate_labels(root, split) if config.targets is None else None
    if labeled is not None and traits.reads_latents and config.direction == "BtoA":
        raise ValueError(
            "direction=BtoA: of label maps and photos, an unconditional generator makes the photos; leave the direction out"
        )
    if labeled is not None and not traits.reads_latents and (traits.has_targets or config.direction != "BtoA"):
        raise ValueError(
            f"{config.path} holds label maps and photos, but the task is {task}: use the task labels, inputs with "
            f"direction=BtoA for the photos alone, or, for label maps in colors, {labeled.folders.flags}"
        )
    place = labeled.folders if labeled else locate(root, split, config.targets)
    return replace(_list_sides(place, config, task), unread=_unread(place))


def _list_sides(place: Place, config: DataConfig, task: TaskName) -> Listing:
    sides = sides_of(task, config.direction)
    if place.shared is not None:
        return _list_shared(place, config, task, sides)
    if traits_of(task).has_pairs:
        return _list_pairs(place, config, sides)
    paths = {role: place.files(side)[: config.limit] for role, side in sides.items()}
    first = sides[next(iter(sides))]
    return Listing(
        str(place) if len(sides) > 1 else f"folder {place.relative(place.folder(first))}",
        place.names(first, config.limit),
        {role: tuple(map(Item, own)) for role, own in paths.items()},
        place.fallback,
    )


def _list_shared(place: Place, config: DataConfig, task: TaskName, sides: dict[Role, Side]) -> Listing:
    folder = place.folder("A")
    paths, names = place.files("A")[: config.limit], place.names("A", config.limit)
    if is_aligned(paths, config, task):
        kind = "aligned A|B" if len(sides) > 1 else f"side {next(iter(sides.values()))} of aligned A|B files"
        items = {role: tuple(Item(path, _HALVES[side]) for path in paths) for role, side in sides.items()}
        double = config.aspect if config.aligned is None else None
        return Listing(kind, names, items, place.fallback, double=double)
    if len(sides) > 1:
        split = place.split or "train"
        raise ValueError(
            f"{folder} holds single images{_shape_of(paths[0])}, but the task is {task}: put the two sides into {split}A and "
            f"{split}B, or name two folders by --data INPUTS --targets TARGETS, or set data.aligned=true if each file is A|B"
        )
    return Listing("single images", names, {role: tuple(map(Item, paths)) for role in sides}, place.fallback)


def is_aligned(paths: tuple[str, ...], config: DataConfig, task: TaskName) -> bool:
    """True if the files hold A and B side by side, as the configuration says or the shapes of the first ones.

    All of these must have such a shape; for pairs most of them, as the others are named then.
    """
    if config.aligned is not None:
        return config.aligned
    sizes = [size for path in paths[:_PROBED] if (size := _size(path)) is not None]
    double = [_is_double(size, config.aspect) for size in sizes]
    return 2 * sum(double) > len(double) and (traits_of(task).has_pairs or all(double))


def _is_double(size: Size, aspect: float) -> bool:
    return size[0] == round(2 * size[1] * aspect)


def _size(path: str) -> Size | None:
    """Size of an image; None for a damaged file, which decides nothing here: checking or reading names it."""
    try:
        return ImageFile(path).size
    except BadImage:
        return None


def _shape_of(path: str) -> str:
    size = _size(path)
    return f" ({size[0]}x{size[1]})" if size else ""


def _unread(place: Place) -> tuple[str, ...]:
    """Files and folders in the folders of ``place`` and beside them that are not read, in words."""
    folders = [folder for folder in place.folders if folder.is_dir()]
    formats = [f"{count} {ending}" for ending, count in unread_in(folders).items()]
    loose = f"{len(loose_images(place.root))} images beside these folders"
    ignored = [loose if folder == place.root else place.relative(folder) for folder in place.ignored]
    return (
        *([f"not read: {shortened(formats)}"] if formats else []),
        *([f"not read: {shortened(ignored)}"] if ignored else []),
    )


def _ranges(config: DataConfig, task: TaskName, split: Split, listing: Listing) -> dict[Role, Range]:
    """Values of black and white of each role: as stated, or the extremes in a sample of the training images."""
    if config.range != "auto":
        stated = parse_range(config.range)
        return dict.fromkeys(listing.items, stated) if stated else {}
    if split == "test":
        try:
            return dict(list_files(config, task, "train").ranges)
        except ValueError:
            pass  # test images alone
    sampled = {role: extremes_of([item.path for item in items]) for role, items in listing.items.items()}
    return {role: found for role, found in sampled.items() if found}


def extremes_of(paths: Sequence[str]) -> Range | None:
    """Least and largest value in evenly chosen files of more than 8 bits; None if there are none."""
    found = [one for path in paths[:: max(1, len(paths) // _SAMPLED)] if (one := _extremes(path, _modified(path)))]
    if not found:
        return None
    low, high = min(one[0] for one in found), max(one[1] for one in found)
    return low, high if high > low else low + 1


def _modified(path: str) -> float:
    return os.path.getmtime(path) if os.path.exists(path) else 0.0


@lru_cache(maxsize=4096)
def _extremes(path: str, modified: float) -> Range | None:
    try:
        file = ImageFile(path)
        return file.extremes() if file.bits > 8 else None
    except BadImage:
        return None


def _list_pairs(place: Place, config: DataConfig, sides: dict[Role, Side]) -> Listing:
    files = {role: place.pair_names(side) for role, side in sides.items()}
    others: dict[Role, Role] = {"input": "target", "target": "input"}
    reasons = {
        path: f"has no partner of its name in {place.sides[sides[other]]} (the task unpaired needs none)"
        for role, other in others.items()
        for name, path in files[role].items()
        if name not in files[other]
    }
    if reasons:
        raise MissingPartners(place.root, reasons)
    names = tuple(files["input"])[: config.limit]
    items = {role: tuple(Item(own[name]) for name in names) for role, own in files.items()}
    return Listing(f"{place}, paired by name", names, items, place.fallback)


def list_labels(config: DataConfig, split: Split) -> Listing:
    """Label maps (inputs), photos (targets) and instance maps of a split, with the classes of the label maps.

    Raises ``ValueError`` when there are none, when the meaning of their values is not stated, when only some splits have
    instance maps, and (as ``MissingPartners``) for files without partners.
    """
    root = folder_of(config.path)
    if config.targets is not None:
        raise ValueError(
            f"targets={config.targets}: the task labels finds label maps and photos by the names of their folders; put them "
            "into labels and images of one folder"
        )
    place = locate_labels(root, split)
    if place is None:
        raise ValueError(no_labels(root, split))
    photos, maps, instances = (folder.by_name() for folder in (place.photos, place.maps, place.instances))
    _check_splits(root, place, bool(instances))
    reasons = {path: "has no label map" for name, path in photos.items() if name not in maps}
    reasons |= {path: "has no photo" for name, path in maps.items() if name not in photos}
    reasons |= {path: "has no instance map" for name, path in maps.items() if instances and name not in instances}
    if reasons:
        raise MissingPartners(root, reasons)
    labels = replace(_labels(config, root, place, list(maps.values())), edges=bool(instances))
    names = tuple(maps)[: config.limit]
    parts = [f"{len(labels.classes)} classes", *(["void pixels"] * labels.void), *(["instance edges"] * labels.edges)]
    return Listing(
        f"label maps as {labels.channels} channels ({', '.join(parts)})",
        names,
        {"input": tuple(Item(maps[name]) for name in names), "target": tuple(Item(photos[name]) for name in names)},
        place.folders.fallback,
        labels,
        tuple(Item(instances[name]) for name in names) if instances else (),
    )


def _check_splits(root: Path, place: LabelPlace, edges: bool) -> None:
    train = locate_labels(root, "train")
    if train is not None and train.folders.split != place.folders.split and bool(train.instances.by_name()) != edges:
        has, lacks = (place.folders.split, train.folders.split) if edges else (train.folders.split, place.folders.split)
        raise ValueError(f"{root}: {has} has instance maps but {lacks} has none: add them, or remove them from {has}")


def _labels(config: DataConfig, root: Path, place: LabelPlace, paths: list[str]) -> Labels:
    if config.classes is not None:
        return known_labels(config.classes)
    if (root / "classes.txt").is_file():
        return named_in(root / "classes.txt")
    if place.cityscapes:
        return cityscapes()
    raise unknown_classes(root, paths)
