"""Folder layouts of image data sets, recognized from the names of the folders.

Images:

| kind | training | evaluation |
|---|---|---|
| unaligned | ``trainA/ trainB/`` (with or without ``trainA.txt trainB.txt``) | ``testA/ testB/``, else ``valA/ valB/`` |
| folders | ``A/train/ B/train/`` or ``train/A/ train/B/`` | the same with ``test``, else ``val`` |
| files | ``train/`` | ``test/``, else ``val/`` |
| unsplit folders | ``A/ B/`` | the same images |
| unsplit files | the folder itself | the same images |

"files" hold either A|B side by side or one image each; the folders do not tell which.

Label maps:

| kind | photos | label maps | instance maps, optional |
|---|---|---|---|
| folders | ``train/images/`` | ``train/labels/`` | ``train/instances/`` |
| COCO-Stuff | ``train_img/`` or ``train/img/`` | ``train_label/`` ... | ``train_inst/`` ... |
| Cityscapes | ``leftImg8bit/train/`` | ``gtFine/train/`` ``*_gtFine_labelIds.png`` | ``*_gtFine_instanceIds.png`` |
| unsplit folders | ``images/`` | ``labels/`` | ``instances/`` |

Evaluation uses ``test``, else ``val``, else the training images; of Cityscapes ``val``, because its test labels are secret.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketgan.data.config import Side, Split

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of image files, in upper or lower case."""

CITYSCAPES = ("_leftImg8bit", "_gtFine_labelIds", "_gtFine_instanceIds")
"""Endings of the names of photos, label maps and instance maps in Cityscapes."""

MAX_TEXT = 2**26
"""Bytes of the largest text file that is read: a list of a million names has about 30 million."""

_FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val", "train")}  # the first that exists
_SPLIT_NAMES = ("train", "test", "val")


@dataclass(frozen=True)
class Place:
    """Folders of the images of one split: one for each side (``sides``) or one for both (``shared``)."""

    root: Path
    split: str
    """Name of the split's folder: train, test, val, or "" where the data set is not split."""
    sides: dict[Side, Path]
    shared: Path | None
    fallback: bool
    """True if evaluation has to use the training images."""

    def files(self, side: Side) -> tuple[str, ...]:
        """Paths of the images of ``side`` (or of the shared folder). Raises ``ValueError`` when there are none."""
        folder = self.shared or self.sides[side]
        listing = folder.with_name(folder.name + ".txt")
        listed = self.shared is None and listing.is_file()
        paths = images_listed(listing, folder) if listed else images_in(folder)
        if not paths:
            raise ValueError(_empty(folder))
        return paths


def folder_of(path: str | Path) -> Path:
    """Path with the user's home in place of ``~``; unlike `Path.expanduser`, any other text is kept as it is."""
    return Path(os.path.expanduser(path))


def text_lines(path: Path) -> list[str]:
    """Stripped lines of a text file. Raises ``ValueError`` naming it if it is no file, no UTF-8, or above `MAX_TEXT`."""
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    if path.stat().st_size > MAX_TEXT:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; text of at most {MAX_TEXT:,} is read")
    try:
        return [line.strip() for line in path.read_bytes().decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: byte {error.start} is no UTF-8") from None


def locate(root: Path, split: Split) -> Place:
    """Folders of the images of ``split`` under ``root``.

    Raises ``ValueError`` that names the folders found when no layout fits.
    """
    root = folder_of(root)
    if not root.is_dir():
        problem = "is a file" if root.is_file() else "does not exist"
        raise ValueError(f"{root} {problem}: give a folder of images, or a built-in set (shapes, textures)")
    for name in _FOLDERS[split]:
        sides = _sides(root, name)
        fallback = split == "test" and name == "train"
        if sides:
            return Place(root, name, sides, None, fallback)
        if (root / name).is_dir():
            return Place(root, name, {}, root / name, fallback)
    if any((root / name).is_dir() or _sides(root, name) for name in _SPLIT_NAMES):
        raise ValueError(f"{root} has no {split} images: found the folders {_folders_in(root)}")
    sides = _existing({"A": root / "A", "B": root / "B"})
    return Place(root, "", sides, None if sides else root, split == "test")


def _sides(root: Path, split: str) -> dict[Side, Path]:
    """Folders of both sides of ``split``, in the first naming scheme of which at least one folder exists."""
    schemes: tuple[dict[Side, Path], ...] = (
        {"A": root / f"{split}A", "B": root / f"{split}B"},
        {"A": root / "A" / split, "B": root / "B" / split},
        {"A": root / split / "A", "B": root / split / "B"},
    )
    return next((sides for scheme in schemes if (sides := _existing(scheme))), {})


def _existing(sides: dict[Side, Path]) -> dict[Side, Path]:
    """Both folders if one of them exists (so that an error can name the missing one), else none."""
    return sides if any(folder.is_dir() for folder in sides.values()) else {}


def _folders_in(root: Path) -> str:
    return shortened(sorted(path.name for path in root.iterdir() if path.is_dir()), most=8)


def _empty(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} does not exist: this side of the data has no images"
    endings = Counter(os.path.splitext(path)[1].lower() or "without ending" for path in _files_in(folder))
    others = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(3)) or "nothing"
    return f"{folder} holds no images (it holds {others}): images end in {' '.join(EXTENSIONS)}"


@dataclass(frozen=True)
class LabelFolder:
    """Files of a folder whose names, without extension, end in ``ending``."""

    folder: Path
    ending: str = ""

    def by_name(self) -> dict[str, str]:
        """``{path inside the folder, without the ending: path}``. Raises ``ValueError`` for two files of one name."""
        paths = [path for path in images_in(self.folder) if bare_name(path, self.folder).endswith(self.ending)]
        return by_name(paths, self.folder, self.ending)


@dataclass(frozen=True)
class LabelPlace:
    """Folders of the photos and label maps of one split."""

    folders: Place
    """The folders as two sides: label maps are A, photos B."""
    photos: LabelFolder
    maps: LabelFolder
    instances: LabelFolder
    """Instance maps; the folder may not exist."""
    cityscapes: bool


def locate_labels(root: Path, split: Split) -> LabelPlace | None:
    """Folders of the label maps of ``split`` under ``root``, or ``None`` where no layout of label maps fits.

    A folder named labels without images, such as one of bounding boxes, does not count.
    """
    places = _label_places(folder_of(root), split)
    return next((place for place in places if place.photos.folder.is_dir() and place.maps.by_name()), None)


def _label_places(root: Path, split: Split) -> Iterator[LabelPlace]:
    def place(name: str, *folders: str, endings: tuple[str, ...] = ("", "", "")) -> LabelPlace:
        photos, maps, instances = map(LabelFolder, [root / folder for folder in folders], endings)
        sides: dict[Side, Path] = {"A": maps.folder, "B": photos.folder}
        fallback = split == "test" and name in ("", "train")
        return LabelPlace(Place(root, name, sides, None, fallback), photos, maps, instances, endings == CITYSCAPES)

    for name in _FOLDERS[split]:
        yield place(name, f"{name}/images", f"{name}/labels", f"{name}/instances")
        yield place(name, f"{name}/img", f"{name}/label", f"{name}/inst")
        yield place(name, f"{name}_img", f"{name}_label", f"{name}_inst")
        if name != "test":
            yield place(name, f"leftImg8bit/{name}", f"gtFine/{name}", f"gtFine/{name}", endings=CITYSCAPES)
    yield place("", "images", "labels", "instances")


def no_labels(root: Path, split: Split) -> str:
    """Error message for a folder in which `locate_labels` recognizes no layout."""
    if not root.is_dir():
        return f"{root} is no folder: give a folder of label maps and photos, or the built-in set shapes"
    return (
        f"{root} has no label maps and photos for {split}: found the folders {_folders_in(root) or 'none'}; known layouts are "
        f"{split}/images and {split}/labels, {split}_img and {split}_label, or Cityscapes' leftImg8bit and gtFine"
    )


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sorting key that puts ``2`` before ``10``."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def images_in(folder: Path) -> tuple[str, ...]:
    """Paths of all images in ``folder`` and below it, in natural order of their relative paths.

    Hidden files and folders, and those that macOS adds to archives, are skipped.
    """
    paths = [path for path in _files_in(folder) if path.lower().endswith(EXTENSIONS)]
    return tuple(sorted(paths, key=lambda path: natural(os.path.relpath(path, folder))))


def _files_in(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not _hidden(name)]
        yield from (os.path.join(parent, name) for name in files if not _hidden(name))


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # whose message names the whole side of the data
        raise ValueError(f"{error.filename} cannot be listed: {error.strerror}") from error


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def images_listed(listing: Path, folder: Path) -> tuple[str, ...]:
    """Paths of the images that the text file ``listing`` names, one a line, in its order.

    A name is relative to ``folder`` or to the folder of the list. Raises ``ValueError`` naming the first missing ones.
    """
    names = [line for line in text_lines(listing) if line]
    paths = {name: next(filter(os.path.isfile, (folder / name, listing.parent / name)), None) for name in names}
    missing = [name for name in names if paths[name] is None]
    if missing:
        raise ValueError(f"{listing}: {len(missing)} of {len(names)} names are no files in {folder}: {shortened(missing)}")
    return tuple(str(paths[name]) for name in names)


def bare_name(path: str, folder: Path) -> str:
    """Path relative to ``folder``, without extension."""
    return os.path.splitext(Path(os.path.relpath(path, folder)).as_posix())[0]


def by_name(paths: Sequence[str], folder: Path, ending: str) -> dict[str, str]:
    """``{bare_name without an ending: path}``. Raises ``ValueError`` for two files of one name."""
    named: dict[str, str] = {}
    for path in paths:
        name = bare_name(path, folder).removesuffix(ending)
        if name in named:
            raise ValueError(f"{named[name]} and {path} have the same name: a pair needs one file on each side")
        named[name] = path
    return named


def names_of(paths: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Names for ``paths``: relative to ``folder``, without extension unless two files differ in nothing else."""
    bare = tuple(bare_name(path, folder) for path in paths)
    if len(set(bare)) == len(bare):
        return bare
    return tuple(Path(os.path.relpath(path, folder)).as_posix() for path in paths)


def shortened(names: Sequence[str], *, most: int = 3) -> str:
    """The first names, and the number of the others."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
