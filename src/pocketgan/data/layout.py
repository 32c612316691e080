"""Folder layouts of image data sets, recognized from the names of the folders.

| kind | training | evaluation |
|---|---|---|
| joined names | ``trainA/ trainB/`` (with or without ``trainA.txt trainB.txt``) | ``testA/ testB/``, else ``valA/ valB/`` |
| folders | ``A/train/ B/train/`` or ``train/A/ train/B/`` | the same with ``test``, else ``val`` |
| files | ``train/`` | ``test/``, else ``val/`` |
| unsplit folders | ``A/ B/`` | the same images |
| unsplit files | the folder itself | the same images |

For A and B may stand any names of `SIDE_NAMES`. Capitals, and ``-``, ``_`` and spaces in a name, do not matter. "files" hold
either A|B side by side or one image each; the folders do not tell which.

A tree that fits in two ways is refused, and so is a folder of files with another layout further inside.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from shlex import quote

from pocketgan.data.config import Side, Split
from pocketgan.data.files import (
    by_name,
    folder_of,
    folders_in,
    has_image,
    images_in,
    images_listed,
    images_matching,
    is_glob,
    loose_images,
    names_of,
    no_images,
    shortened,
    walk,
)

SIDE_NAMES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("a",), ("b",)),
    (("input", "inputs"), ("target", "targets")),
    (("blur",), ("sharp",)),
    (("low",), ("high",)),
    (("lr",), ("hr",)),
    (("image", "images"), ("mask", "masks")),
    (("source", "sources"), ("target", "targets")),
)
"""Names of the folders of side A and of side B, in lower case."""

SPLIT_NAMES: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation"),
}
"""Names of the folders of each split, in lower case."""

SEARCHED: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val", "train")}
"""Splits of whose folders the first that exist are read."""

_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_WORDS = [word for sides in SIDE_NAMES for side in sides for word in side]
_KNOWN = {*_SPLIT_OF, *_WORDS, *(text for name, one in product(_SPLIT_OF, _WORDS) for text in (name + one, one + name))}


@dataclass(frozen=True)
class Place:
    """Folders of the images of one split: one for each side (``sides``) or one for both (``shared``). Either may be a glob."""

    root: Path
    split: str
    """Name of the split: train, test, val, or "" where the data set is not split."""
    sides: dict[Side, Path]
    shared: Path | None
    fallback: bool = False
    """True if evaluation has to use the training images."""
    ignored: tuple[Path, ...] = ()
    """Folders with images that this layout does not read; the root itself for images that lie beside its folders."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder or glob whose images are read."""
        return (self.shared,) if self.shared else tuple(self.sides.values())

    @property
    def flags(self) -> str:
        """Flags that name these folders."""
        if self.shared is not None:
            return f"--data {quote(str(self.shared if self.shared != self.root else self.root / '*'))}"
        return f"--data {quote(str(self.sides['A']))} --targets {quote(str(self.sides['B']))}"

    def folder(self, side: Side) -> Path:
        """Folder or glob of ``side``."""
        return self.shared or self.sides[side]

    def files(self, side: Side) -> tuple[str, ...]:
        """Paths of the images of ``side`` (or of the shared folder). Raises ``ValueError`` when there are none."""
        folder = self.folder(side)
        if is_glob(folder):
            return tuple(images_matching(str(folder)).values())
        listing = folder.with_name(folder.name + ".txt")
        listed = self.shared is None and listing.is_file()
        paths = images_listed(listing, folder) if listed else images_in(folder)
        if not paths:
            raise ValueError(no_images(folder))
        return paths

    def names(self, side: Side, limit: int | None = None) -> tuple[str, ...]:
        """Names of the first images of ``side``: see `names_of` and `images_matching`."""
        folder = self.folder(side)
        names = tuple(images_matching(str(folder))) if is_glob(folder) else names_of(self.files(side)[:limit], folder)
        return names[:limit]

    def pair_names(self, side: Side) -> dict[str, str]:
        """``{name of the pair: path}`` of one side. ``3_A`` and ``3_B`` are the pair ``3``, as published scripts write."""
        folder = self.folder(side)
        return images_matching(str(folder)) if is_glob(folder) else by_name(self.files(side), folder, f"_{side}")

    def relative(self, folder: Path) -> str:
        """Folder as seen from the root, where it lies inside."""
        return folder.relative_to(self.root).as_posix() if folder.is_relative_to(self.root) else str(folder)

    def __str__(self) -> str:
        if self.shared is not None:
            return f"one folder {self.relative(self.shared)}" if self.shared != self.root else "one folder of images"
        kind = "two patterns" if any(map(is_glob, self.folders)) else "two folders"
        return f"{kind} " + " and ".join(self.relative(folder) for folder in self.sides.values())


def locate(root: Path, split: Split, targets: str | Path | None = None) -> Place:
    """Folders of the images of ``split`` under ``root``, or in two folders or globs: ``root`` and ``targets``.

    Raises ``ValueError`` that names the folders found when no layout fits or more than one.
    """
    root = folder_of(root)
    if targets is not None:
        return _locate_two(root, folder_of(targets), split)
    if is_glob(root):
        return Place(root.parent, "", {}, root, split == "test")
    _check_folder(root, "give a folder of images, or a built-in set (shapes, textures)")
    found = {name: _unique(root, _split_places(root, name)) for name in SPLIT_NAMES}
    splits = {name: place for name, place in found.items() if place is not None}
    filled = sorted(filter(has_images, splits.values()), key=lambda place: place.shared is None)
    if len({place.shared is None for place in filled}) > 1:
        raise _two_ways(root, filled)
    unsplits, flat = _unsplit_places(root), Place(root, "", {}, root)
    if splits and (beside := next(filter(has_images, unsplits), None)):
        raise _two_ways(root, [*splits.values(), beside])
    unsplit = _unique(root, unsplits)
    if len(splits) == 1 and _misses_most(only := next(iter(splits.values()))):
        raise _two_ways(root, [only, flat])
    name = next((name for name in SEARCHED[split] if name in splits), None) if splits else ""
    if name is None:
        raise ValueError(f"{root} has no {split} images: found the folders {folder_names(root)}")
    place = splits[name] if splits else unsplit or flat
    _check_inside(place)
    return _for_split(place, split)


def folder_names(root: Path) -> str:
    """Names of the first folders in ``root``."""
    return shortened([path.name for path in folders_in(root)], most=8)


def has_images(place: Place) -> bool:
    """True if there is an image in any folder of ``place``."""
    return any(has_image(folder) for folder in place.folders)


def _for_split(place: Place, split: Split) -> Place:
    return replace(place, fallback=split == "test" and place.split in ("", "train"))


def _check_folder(path: Path, advice: str) -> None:
    if not path.is_dir():
        problem = "is a file" if path.is_file() else "does not exist"
        raise ValueError(f"{path} {problem}: {advice}")


def _key(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.casefold())


def _named(folders: Iterable[Path], names: Iterable[str]) -> list[Path]:
    keys = {*names}
    return [folder for folder in folders if _key(folder.name) in keys]


def _joined(names: Iterable[str], side: Iterable[str]) -> list[str]:
    """Names of a split and of a side as one: ``traina``, ``atrain``."""
    return [text for name, one in product(names, side) for text in (name + one, one + name)]


def _split_places(root: Path, split: str) -> list[Place]:
    """Every way to read the folders of one split under ``root``."""
    children, names = folders_in(root), SPLIT_NAMES[split]
    ignored = tuple(folder for folder in children if _key(folder.name) not in _KNOWN and has_image(folder))
    ignored += (root,) * bool(loose_images(root))
    places = []
    for sides in SIDE_NAMES:
        joined = [_named(children, _joined(names, side)) for side in sides]
        nested = [[part for folder in _named(children, side) for part in _named(folders_in(folder), names)] for side in sides]
        places += [Place(root, split, pair, None) for found in (joined, nested) for pair in _pairs(found, sides)]
    for folder in _named(children, names):
        places += _side_places(root, split, folder) or [Place(root, split, {}, folder)]
    return [replace(place, ignored=ignored) for place in places]


def _unsplit_places(root: Path) -> list[Place]:
    """Every way to read folders in ``root`` as two sides that have no splits."""
    places = _side_places(root, "", root)
    return [place for place in places if not any(_named(_children(folder), _SPLIT_OF) for folder in place.sides.values())]


def _side_places(root: Path, split: str, folder: Path) -> list[Place]:
    """Every way to read ``folder`` as two sides; as one, too, if it holds further images."""
    children = folders_in(folder)
    pairs = [pair for sides in SIDE_NAMES for pair in _pairs([_named(children, side) for side in sides], sides)]
    taken = {side for pair in pairs for side in pair.values()}
    others = (child for child in children if child not in taken and _key(child.name) not in _SPLIT_OF)
    whole = [Place(root, split, {}, folder)] if pairs and (loose_images(folder) or any(map(has_image, others))) else []
    return [*(Place(root, split, pair, None) for pair in pairs), *whole]


def _pairs(found: Sequence[Sequence[Path]], sides: Sequence[Sequence[str]]) -> Iterator[dict[Side, Path]]:
    """Each pair of the folders found for two sides. Of A and B one may be missing, so that an error can name it."""
    first, second = found
    pairs: Iterable[tuple[Path, Path]] = product(first, second)
    if sides is SIDE_NAMES[0] and not second:
        pairs = [(folder, partner) for folder in first if (partner := _partner(folder, "A", "B"))]
    elif sides is SIDE_NAMES[0] and not first:
        pairs = [(partner, folder) for folder in second if (partner := _partner(folder, "B", "A"))]
    return ({"A": a, "B": b} for a, b in pairs)


def _partner(folder: Path, side: Side, other: Side) -> Path | None:
    """Path of the other side of a folder alone: ``Train_B`` for ``Train_A``, ``B/train`` for ``A/train``.

    None if the letter is no capital: a single folder ``a`` is as likely any folder of images.
    """
    name, key = folder.name, _key(folder.name)
    if key in _SPLIT_OF:
        partner = _partner(folder.parent, side, other)
        return partner and partner / name
    at = len(name) - 1 if name.endswith(side) and key[:-1] in {"", *_SPLIT_OF} else 0
    return folder.with_name(name[:at] + other + name[at + 1 :]) if name[at] == side else None


def _children(folder: Path) -> list[Path]:
    return folders_in(folder) if folder.is_dir() else []


def _unique(root: Path, places: list[Place]) -> Place | None:
    """The one place with images; without any, the first. Raises ``ValueError`` if there are several."""
    filled = [place for place in places if has_images(place)]
    if len(filled) > 1:
        raise _two_ways(root, filled)
    return next(iter(filled or places), None)


def _two_ways(root: Path, places: Sequence[Place]) -> ValueError:
    ways = [f"as {place}{' for ' + place.split if place.split else ''} ({place.flags})" for place in (places[0], places[-1])]
    return ValueError(
        f"{root} can be read in two ways: {', or '.join(ways)}. Give the flags of the one that is meant (evaluation then uses "
        "the same images), or move the other folders away"
    )


def _misses_most(place: Place) -> bool:
    """True if a single split leaves out half of the images below the root, or any if it is one folder: a class ``train``."""
    if not place.ignored or place.shared is not None:
        return bool(place.ignored)
    beside = sum(len(loose_images(folder) if folder == place.root else images_in(folder)) for folder in place.ignored)
    return beside >= sum(len(images_in(folder)) for folder in place.folders)


def _check_inside(place: Place) -> None:
    """Raise ``ValueError`` if a folder that is read as plain images has a layout of its own, or one further inside."""
    for folder in place.folders:
        for parent, children, _ in walk(folder) if folder.is_dir() else ():
            keys = {_key(child): child for child in children}
            inside = next(_layouts(keys), ())
            # A single split changes nothing if it holds all images.
            part = Path(parent, *inside[:1]) if len(inside) == 1 else folder
            if inside and has_image(Path(parent)) and (part == folder or len(images_in(part)) < len(images_in(folder))):
                raise _nested(folder, Path(parent), inside)


def _layouts(keys: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Names of folders that are both sides of a data set, or its splits."""
    for sides in SIDE_NAMES:
        for names in (("",), *SPLIT_NAMES.values()):
            pair = [next((keys[one] for one in _joined(names, side) if one in keys), "") for side in sides]
            if all(pair):
                yield tuple(pair)
    splits = {_SPLIT_OF[key]: name for key, name in keys.items() if key in _SPLIT_OF}
    if splits:
        yield tuple(splits.values())[:2]


def _nested(folder: Path, parent: Path, names: tuple[str, ...]) -> ValueError:
    below = parent.relative_to(folder).parts
    patterns = [quote(str(folder.joinpath(*"*" * len(below), name))) for name in names]
    sides = [] if _key(names[0]) in _SPLIT_OF else [f"--data {patterns[0]} --targets {patterns[1]}"]
    whole = parent if len(names) > 1 else parent / names[0]
    ways = ", or ".join(
        [f"--data {quote(str(whole))}", *sides, f"--data {quote(str(folder / '*'))} for all images as one kind"]
    )
    return ValueError(
        f"{folder} would be read as images of one kind, but {parent} has folders of a data set, {' and '.join(names)}: "
        f"give {ways}"
    )


def _locate_two(inputs: Path, targets: Path, split: Split) -> Place:
    """Two folders or globs as sides; two folders with the same splits inside are read by split."""
    for path in (inputs, targets):
        if not is_glob(path):
            _check_folder(path, "give a folder or a pattern of images")
    real = [Path(os.path.realpath(path)) for path in (inputs, targets)]
    both = Place(inputs, "", {"A": inputs, "B": targets}, None)
    shared = {*both.files("A")} & {*both.files("B")} if is_glob(inputs) and is_glob(targets) else set()
    if shared or real[0].is_relative_to(real[1]) or real[1].is_relative_to(real[0]):
        raise ValueError(f"{inputs} and {targets}: inputs and targets overlap; give two folders, or two patterns")
    root = Path(os.path.commonpath([inputs, targets])) if inputs.is_absolute() == targets.is_absolute() else inputs
    folders = [{name: _named(_children(path), names) for name, names in SPLIT_NAMES.items()} for path in (inputs, targets)]
    first, second = ([name for name, found in one.items() if found] for one in folders)
    if first != second:
        has, lacks = f"{inputs} has {', '.join(first) or 'none'}", f"{targets} has {', '.join(second) or 'none'}"
        raise ValueError(f"inputs and targets need the same split folders, but {has}, {lacks}: give the folders inside")
    if not first:
        place = Place(root, "", {"A": inputs, "B": targets}, None)
    else:
        name = next((name for name in SEARCHED[split] if name in first), None)
        if name is None:
            raise ValueError(f"{inputs} has no {split} images: found the folders {folder_names(inputs)}")
        pairs: list[dict[Side, Path]] = [{"A": a, "B": b} for a, b in product(folders[0][name], folders[1][name])]
        place = _unique(inputs, [Place(root, name, pair, None) for pair in pairs]) or Place(root, name, pairs[0], None)
    _check_inside(place)
    return _for_split(place, split)
