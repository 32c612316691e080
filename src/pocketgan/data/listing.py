"""Which files make the sources and targets of a task."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig, Split
from pocketgan.data.decode import BadImage, Half, ImageFile
from pocketgan.data.folders import shortened, stems
from pocketgan.data.label_layout import locate_labels
from pocketgan.data.layout import Place, SearchTarget, locate

_ALONE = ("inputs", "unconditional")  # of one side
_PROBED = 8  # files whose shape decides whether a folder holds A|B images


@dataclass(frozen=True, slots=True)
class Item:
    """One image: a file, or one half of an aligned file."""

    path: str
    half: Half | None


@dataclass(frozen=True)
class Listing:
    """The images of one task and split. For a pair, source and target stand at the same index."""

    kind: str
    place: Place
    names: tuple[str, ...]
    sources: tuple[Item, ...]
    targets: tuple[Item, ...]
    """Empty for the tasks of one side: ``inputs``, and ``unconditional``, whose images are the sources here."""


def list_files(config: DataConfig, task: TaskName, split: Split) -> Listing:
    """The files that ``task`` needs. Raises ``ValueError`` for an empty side and for names without a partner."""
    root = Path(config.path).expanduser()
    labelled = locate_labels(root, split)
    if labelled is not None and task == "unconditional" and config.direction == "BtoA":
        raise ValueError("direction=BtoA: of label maps and photos, images from numbers are the photos; leave it out")
    if labelled is not None and task != "unconditional" and (task != "inputs" or config.direction != "BtoA"):
        raise ValueError(
            f"{config.path} holds label maps and photos, but the task is {task}: take the task labels, or inputs with "
            "direction=BtoA for the photos alone"
        )
    place = labelled.sides(root, split) if labelled else locate(root, split)
    source: SearchTarget = "A" if config.direction == "AtoB" else "B"
    target: SearchTarget = "B" if source == "A" else "A"
    if task == "unconditional":
        source = target
    if place.shared is not None:
        return _shared(place, config, task, source)
    if task == "paired":
        return _pairs(place, config, source, target)
    names, sources = _one_side(place, source, config.limit)
    if task in _ALONE:
        return Listing(f"folder {place.sides[source].relative_to(place.root).as_posix()}", place, names, sources, ())
    return Listing(_kind(place), place, names, sources, _one_side(place, target, config.limit)[1])


def _shared(place: Place, config: DataConfig, task: TaskName, source: SearchTarget) -> Listing:
    assert place.shared is not None
    paths = place.files(source)[: config.limit]
    names = stems(paths, str(place.shared))
    if is_aligned(paths, config, task):
        halves: tuple[Half, Half] = ("left", "right") if source == "A" else ("right", "left")
        sources, others = (tuple(Item(path, half) for path in paths) for half in halves)
        if task in _ALONE:
            return Listing(f"side {source} of aligned A|B files", place, names, sources, ())
        return Listing("aligned A|B", place, names, sources, others)
    if task not in _ALONE:
        raise ValueError(
            f"{place.shared} holds single images, but the task is {task}: put the two sides into "
            f"{place.split or 'train'}A and {place.split or 'train'}B, or set aligned=true if each file is A|B"
        )
    return Listing("single images", place, names, tuple(Item(path, None) for path in paths), ())


def is_aligned(paths: tuple[str, ...], config: DataConfig, task: TaskName) -> bool:
    """Whether each of the files holds A and B side by side."""
    if config.aligned is not None:
        return config.aligned
    return task == "paired" or all(_is_double(path, config.aspect) for path in paths[:_PROBED])


def _is_double(path: str, aspect: float) -> bool:
    try:
        width, height = ImageFile(path).size
    except BadImage:
        return True  # a damaged file decides nothing here; it is named when it is checked or read
    return width == round(2 * height * aspect)


def _pairs(place: Place, config: DataConfig, source: SearchTarget, target: SearchTarget) -> Listing:
    sources, targets = keys_of(place, source), keys_of(place, target)
    lonely = [f"{place.sides[target]}/{key}" for key in sources if key not in targets]
    lonely += [f"{place.sides[source]}/{key}" for key in targets if key not in sources]
    if lonely:
        raise ValueError(
            f"{place.root}: pairs need the same names on both sides; {len(lonely)} missing: "
            f"{shortened(lonely)}. Add them, remove their counterparts, or train unpaired"
        )
    names = tuple(sources)[: config.limit]
    kind = f"{_kind(place)}, paired by name"
    return Listing(
        kind, place, names, tuple(Item(sources[n], None) for n in names), tuple(Item(targets[n], None) for n in names)
    )


def keys_of(place: Place, side: SearchTarget) -> dict[str, str]:
    """``{name of the pair: path}`` of one side. ``3_A`` and ``3_B`` are the pair ``3``, as published scripts write."""
    paths = place.files(side)
    keys = [key.removesuffix(f"_{side}") for key in _bare(paths, str(place.sides[side]))]
    found: dict[str, str] = {}
    for key, path in zip(keys, paths, strict=True):
        if key in found:
            raise ValueError(f"{found[key]} and {path} have the same name: a pair needs one image on each side")
        found[key] = path
    return found


def _bare(paths: tuple[str, ...], folder: str) -> list[str]:
    return [os.path.splitext(Path(os.path.relpath(path, folder)).as_posix())[0] for path in paths]


def _one_side(place: Place, side: SearchTarget, limit: int | None) -> tuple[tuple[str, ...], tuple[Item, ...]]:
    paths = place.files(side)[:limit]
    return stems(paths, str(place.sides[side])), tuple(Item(path, None) for path in paths)


def _kind(place: Place) -> str:
    return "two folders " + " and ".join(path.relative_to(place.root).as_posix() for path in place.sides.values())
