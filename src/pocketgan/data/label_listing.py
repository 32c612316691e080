"""Which files make the label maps, photos and instance maps of a split, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pocketgan.data.classes import cityscapes, known_labels, named_in, unknown_classes
from pocketgan.data.config import DataConfig, Split
from pocketgan.data.folders import shortened
from pocketgan.data.label_layout import LabelPlace, locate_labels
from pocketgan.data.labels import Labels
from pocketgan.data.listing import Item


class Incomplete(ValueError):
    """Files without their partners: ``reasons`` by path."""

    def __init__(self, root: Path, reasons: dict[str, str]):
        told = [f"{path} {reason}" for path, reason in reasons.items()]
        super().__init__(
            f"{root}: label maps, photos and instance maps go together by name; {len(told)} missing: {shortened(told)}. Add "
            "them, or remove their counterparts"
        )
        self.reasons = reasons


@dataclass(frozen=True)
class LabelListing:
    """The files of one split; label map, photo and instance map (if there are any) stand at the same index."""

    kind: str
    names: tuple[str, ...]
    sources: tuple[Item, ...]
    targets: tuple[Item, ...]
    instances: tuple[Item, ...]
    labels: Labels
    fallback: bool


def list_labels(config: DataConfig, split: Split) -> LabelListing:
    """The files for the task ``labels``, and what they mean.

    Raises ``ValueError`` when there are none, when nothing says what their values mean, when only some splits have instance
    maps, and (as ``Incomplete``) for files without partners.
    """
    root = Path(config.path).expanduser()
    place = locate_labels(root, split)
    if place is None:
        raise ValueError(_nothing(root, split))
    photos, maps, instances = (files.by_name() for files in (place.photos, place.maps, place.instances))
    _check_splits(root, place, bool(instances))
    reasons = {path: "has no label map" for name, path in photos.items() if name not in maps}
    reasons |= {path: "has no photo" for name, path in maps.items() if name not in photos}
    reasons |= {path: "has no instance map" for name, path in maps.items() if instances and name not in instances}
    if reasons:
        raise Incomplete(root, reasons)
    labels = replace(_labels(config, root, place, list(maps.values())), edges=bool(instances))
    names = tuple(maps)[: config.limit]
    sources, targets = (tuple(Item(files[name], None) for name in names) for files in (maps, photos))
    found = tuple(Item(instances[name], None) for name in names) if instances else ()
    parts = [f"{len(labels.classes)} classes", *(["void pixels"] * labels.void), *(["instance edges"] * labels.edges)]
    kind = f"label maps as {labels.channels} channels ({', '.join(parts)})"
    return LabelListing(kind, names, sources, targets, found, labels, place.fallback(split))


def _check_splits(root: Path, place: LabelPlace, edges: bool) -> None:
    train = locate_labels(root, "train")
    if train is not None and train.split != place.split and bool(train.instances.by_name()) != edges:
        has, lacks = (place.split, train.split) if edges else (train.split, place.split)
        raise ValueError(f"{root}: {has} has instance maps but {lacks} has none: add them, or remove them from {has}")


def _labels(config: DataConfig, root: Path, place: LabelPlace, paths: list[str]) -> Labels:
    if config.classes is not None:
        return known_labels(config.classes)
    if (root / "classes.txt").is_file():
        return named_in(root / "classes.txt")
    if place.cityscapes:
        return cityscapes()
    raise unknown_classes(root, paths)


def _nothing(root: Path, split: Split) -> str:
    if not root.is_dir():
        return f"{root} is no folder: give a folder of label maps and photos, or the built-in set shapes"
    folders = shortened(sorted(path.name for path in root.iterdir() if path.is_dir()), most=8)
    return (
        f"{root} has no label maps and photos for {split}: found the folders {folders or 'none'}; understood are "
        f"{split}/images and {split}/labels, {split}_img and {split}_label, or Cityscapes' leftImg8bit and gtFine"
    )
