"""Image files of a folder, in natural order, and the name lists that may lie beside it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")
"""Files with these endings are images, in upper or lower case."""


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sorting key that puts ``2`` before ``10``."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def images_in(folder: Path) -> tuple[str, ...]:
    """Paths of all images in ``folder`` and below it, in natural order of their relative paths.

    Hidden files and folders, and the ones that macOS leaves in archives, are not looked at.
    """
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _junk(name)]
        found += [os.path.join(parent, name) for name in files if is_image(name)]
    return tuple(sorted(found, key=lambda path: natural(os.path.relpath(path, folder))))


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return name.lower().endswith(EXTENSIONS) and not _junk(name)


def images_listed(listing: Path, folder: Path) -> tuple[str, ...]:
    """Paths of the images that the text file ``listing`` names, one a line, in its order.

    A name is relative to ``folder`` or to the folder of the list. Raises ``ValueError`` naming the first missing ones.
    """
    names = [line.strip() for line in listing.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    paths = [_first_file((folder / name, listing.parent / name)) for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing:
        raise ValueError(f"{listing}: {len(missing)} of {len(names)} names are no files in {folder}: {shortened(missing)}")
    return tuple(str(path) for path in paths)


def other_endings(folder: Path) -> str:
    """What a folder without images holds instead, for an error message: ``3 .gif, 1 .txt``, or ``nothing``."""
    endings = Counter(
        os.path.splitext(name)[1].lower() or "without ending"
        for _, _, files in os.walk(folder)
        for name in files
        if not _junk(name)
    )
    return ", ".join(f"{count} {ending}" for ending, count in endings.most_common(3)) or "nothing"


def stems(paths: Sequence[str], folder: str) -> tuple[str, ...]:
    """Names for ``paths``: relative to ``folder``, without ending; with it where two files differ in nothing else."""
    relative = [Path(os.path.relpath(path, folder)).as_posix() for path in paths]
    bare = [os.path.splitext(name)[0] for name in relative]
    return tuple(bare) if len(set(bare)) == len(bare) else tuple(relative)


def shortened(names: Sequence[str], *, most: int = 3) -> str:
    """The first names, and how many there are beyond."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _junk(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _first_file(candidates: Sequence[Path]) -> Path | None:
    return next((path for path in candidates if path.is_file()), None)
