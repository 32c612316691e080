"""Files of the inputs and targets of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig, Role, Side, Split, sides_of
from pocketgan.data.decode import BadImage, Half, ImageFile, MapFile
from pocketgan.data.image_source import Opened
from pocketgan.data.labels import Labels, cityscapes, known_labels, named_in, unknown_classes
from pocketgan.data.layout import LabelPlace, Place, by_name, folder_of, locate, locate_labels, names_of, no_labels, shortened

_PROBED = 8  # files whose shape decides whether a folder holds A|B images
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
                files[item.path] = MapFile(item.path) if self.labels and role == "input" else ImageFile(item.path)
        has_instances = self.instances and "input" in indices
        return Opened(
            {role: files[item.path] for role, item in items.items()},
            {role: item.half for role, item in items.items()},
            MapFile(self.instances[indices["input"]].path) if has_instances else None,
        )


class MissingPartners(ValueError):
    """Files without their partners: ``reasons`` by path."""

    def __init__(self, root: Path, reasons: dict[str, str]):
        lines = [f"{path} {reason}" for path, reason in reasons.items()]
        super().__init__(f"{root}: files are matched by name; {len(lines)} missing: {shortened(lines)}. Add or remove them")
        self.reasons = reasons


def list_files(config: DataConfig, task: TaskName, split: Split) -> Listing:
    """Files for ``task``. Raises ``ValueError`` for an empty side and for names without a partner."""
    traits, root = traits_of(task), folder_of(config.path)
    if traits.reads_labels:
        return list_labels(config, split)
    labeled = locate_labels(root, split)
    if labeled is not None and traits.reads_latents and config.direction == "BtoA":
        raise ValueError(
            "direction=BtoA: of label maps and photos, an unconditional generator makes the photos; leave the direction out"
        )
    if labeled is not None and not traits.reads_latents and (traits.has_targets or config.direction != "BtoA"):
        raise ValueError(
            f"{config.path} holds label maps and photos, but the task is {task}: use the task labels, or inputs with "
            "direction=BtoA for the photos alone"
        )
    place = labeled.folders if labeled else locate(root, split)
    sides = sides_of(task, config.direction)
    if place.shared is not None:
        return _list_shared(place, place.shared, config, task, sides)
    if traits.has_pairs:
        return _list_pairs(place, config, sides)
    paths = {role: place.files(side)[: config.limit] for role, side in sides.items()}
    first = next(iter(sides))
    return Listing(
        _kind(place) if len(sides) > 1 else f"folder {place.sides[sides[first]].relative_to(place.root).as_posix()}",
        names_of(paths[first], place.sides[sides[first]]),
        {role: tuple(map(Item, own)) for role, own in paths.items()},
        place.fallback,
    )


def _list_shared(place: Place, folder: Path, config: DataConfig, task: TaskName, sides: dict[Role, Side]) -> Listing:
    paths = place.files("A")[: config.limit]
    names = names_of(paths, folder)
    if is_aligned(paths, config, task):
        kind = "aligned A|B" if len(sides) > 1 else f"side {next(iter(sides.values()))} of aligned A|B files"
        items = {role: tuple(Item(path, _HALVES[side]) for path in paths) for role, side in sides.items()}
        return Listing(kind, names, items, place.fallback)
    if len(sides) > 1:
        raise ValueError(
            f"{folder} holds single images, but the task is {task}: put the two sides into {place.split or 'train'}A and "
            f"{place.split or 'train'}B, or set aligned=true if each file is A|B"
        )
    return Listing("single images", names, {role: tuple(map(Item, paths)) for role in sides}, place.fallback)


def is_aligned(paths: tuple[str, ...], config: DataConfig, task: TaskName) -> bool:
    """True if each of the files holds A and B side by side."""
    if config.aligned is not None:
        return config.aligned
    return traits_of(task).has_pairs or all(_is_double(path, config.aspect) for path in paths[:_PROBED])


def _is_double(path: str, aspect: float) -> bool:
    try:
        width, height = ImageFile(path).size
    except BadImage:
        return True  # a damaged file decides nothing here; checking or reading names it
    return width == round(2 * height * aspect)


def _list_pairs(place: Place, config: DataConfig, sides: dict[Role, Side]) -> Listing:
    files = {role: pair_names(place, side) for role, side in sides.items()}
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
    return Listing(f"{_kind(place)}, paired by name", names, items, place.fallback)


def pair_names(place: Place, side: Side) -> dict[str, str]:
    """``{name of the pair: path}`` of one side. ``3_A`` and ``3_B`` are the pair ``3``, as published scripts write."""
    return by_name(place.files(side), place.sides[side], f"_{side}")


def _kind(place: Place) -> str:
    return "two folders " + " and ".join(path.relative_to(place.root).as_posix() for path in place.sides.values())


def list_labels(config: DataConfig, split: Split) -> Listing:
    """Label maps (inputs), photos (targets) and instance maps of a split, with the classes of the label maps.

    Raises ``ValueError`` when there are none, when the meaning of their values is not stated, when only some splits have
    instance maps, and (as ``MissingPartners``) for files without partners.
    """
    root = folder_of(config.path)
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
