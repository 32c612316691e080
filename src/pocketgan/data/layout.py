"""The ecosystem's folder layouts, recognized from the names of the folders.

| kind | training | evaluating |
|---|---|---|
| unaligned | ``trainA/ trainB/`` (with or without ``trainA.txt trainB.txt``) | ``testA/ testB/``, else ``valA/ valB/`` |
| folders | ``A/train/ B/train/`` or ``train/A/ train/B/`` | the same with ``test``, else ``val`` |
| files | ``train/`` | ``test/``, else ``val/`` |
| unsplit folders | ``A/ B/`` | the same images |
| unsplit files | the folder itself | the same images |

"files" hold either A|B side by side or one image each; the folders do not tell which.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pocketgan.data.config import Split
from pocketgan.data.folders import EXTENSIONS, images_in, images_listed, other_endings, shortened

SearchTarget = Literal["A", "B"]

ORDER: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val", "train")}
"""Folders of a split, the first that is there."""
_SPLIT_NAMES = ("train", "test", "val")


@dataclass(frozen=True)
class Place:
    """Where the images of one split lie: two folders (``sides``) or one of files (``shared``)."""

    root: Path
    split: str
    """The split that was found: train, test, val, or "" where the folder has none."""
    sides: dict[SearchTarget, Path]
    shared: Path | None
    fallback: bool
    """Whether evaluating has to use the training images."""

    def files(self, side: SearchTarget) -> tuple[str, ...]:
        """Paths of the images of ``side`` (or of the shared folder). Raises ``ValueError`` when there are none."""
        folder = self.shared or self.sides[side]
        listing = folder.with_name(folder.name + ".txt")
        listed = self.shared is None and listing.is_file()
        paths = images_listed(listing, folder) if listed else images_in(folder)
        if not paths:
            raise ValueError(_empty(folder))
        return paths


def locate(root: Path, split: Split) -> Place:
    """The place of the images of ``split`` under ``root``.

    Raises ``ValueError`` that says what was found and what is understood when no layout fits.
    """
    root = root.expanduser()
    if not root.is_dir():
        what = "is a file" if root.is_file() else "does not exist"
        raise ValueError(f"{root} {what}: give a folder of images, or a built-in set (shapes, textures)")
    for name in ORDER[split]:
        sides = _sides(root, name)
        fallback = split == "test" and name == "train"
        if sides:
            return Place(root, name, sides, None, fallback)
        if (root / name).is_dir():
            return Place(root, name, {}, root / name, fallback)
    if _has_splits(root):
        folders = sorted(path.name for path in root.iterdir() if path.is_dir())
        raise ValueError(f"{root} has no {split} images: found the folders {shortened(folders, most=8)}")
    sides = _present({"A": root / "A", "B": root / "B"})
    return Place(root, "", sides, None if sides else root, split == "test")


def _sides(root: Path, split: str) -> dict[SearchTarget, Path]:
    """The two folders of ``split``, in the first spelling of which at least one exists."""
    spellings: tuple[dict[SearchTarget, Path], ...] = (
        {"A": root / f"{split}A", "B": root / f"{split}B"},
        {"A": root / "A" / split, "B": root / "B" / split},
        {"A": root / split / "A", "B": root / split / "B"},
    )
    return next((sides for spelling in spellings if (sides := _present(spelling))), {})


def _present(sides: dict[SearchTarget, Path]) -> dict[SearchTarget, Path]:
    """Both folders if one of them exists (so that the other can be named as missing), else none."""
    return sides if any(folder.is_dir() for folder in sides.values()) else {}


def _has_splits(root: Path) -> bool:
    return any((root / name).is_dir() or _sides(root, name) for name in _SPLIT_NAMES)


def _empty(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} does not exist: this side of the data has no images"
    endings = " ".join(EXTENSIONS)
    return f"{folder} holds no images (it holds {other_endings(folder)}): images end in {endings}"
