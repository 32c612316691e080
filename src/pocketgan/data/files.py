"""Image files of folders, lists and globs: found by their endings, in natural order."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of image files, in upper or lower case."""

# fmt: off
UNREAD = (
    ".apng", ".arw", ".avif", ".bpg", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif",
    ".ico", ".icns", ".j2k", ".jfif", ".jp2", ".jpe", ".jpf", ".jxl", ".nef", ".npy", ".nii", ".orf", ".pbm", ".pcx", ".pfm",
    ".pic", ".pnm", ".psd", ".qoi", ".raf", ".raw", ".rw2", ".sgi", ".svg", ".tga", ".xcf",
)
# fmt: on
"""Endings of images that are not read; such files are counted and named."""

MAX_TEXT = 2**26
"""Bytes of the largest text file that is read: a list of a million names has about 30 million."""


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


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sorting key that puts ``2`` before ``10``."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def images_in(folder: Path) -> tuple[str, ...]:
    """Paths of all images in ``folder`` and below it, in natural order of their relative paths.

    Hidden files and folders, and those that macOS adds to archives, are skipped; linked folders are followed. Raises
    ``ValueError`` for a folder that cannot be listed, and for a link to a folder that holds the link.
    """
    paths = [path for path in files_in(folder) if path.lower().endswith(EXTENSIONS)]
    return tuple(sorted(paths, key=lambda path: natural(os.path.relpath(path, folder))))


def has_image(folder: Path) -> bool:
    """True if there is an image in ``folder`` or below it."""
    return any(path.lower().endswith(EXTENSIONS) for path in files_in(folder))


def loose_images(folder: Path) -> list[str]:
    """Names of the images in ``folder`` itself."""
    _, _, files = next(walk(folder), ("", [], []))
    return [name for name in files if not _hidden(name) and name.lower().endswith(EXTENSIONS)]


def files_in(folder: Path) -> Iterator[str]:
    """Paths of all files in ``folder`` and below it that are not hidden. Raises ``ValueError`` as `images_in`."""
    for parent, _, files in walk(folder):
        yield from (os.path.join(parent, name) for name in files if not _hidden(name))


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` that follows links and skips hidden folders. Raises ``ValueError`` as `images_in`."""
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in folders:
            _check_loop(os.path.join(parent, name), folder)
        yield parent, folders, files


def folders_in(folder: Path) -> list[Path]:
    """Folders in ``folder`` by name, without hidden ones; linked ones, too."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name))
    except OSError as error:
        _refuse(error)
        return []


def unread_in(folders: Sequence[Path]) -> dict[str, int]:
    """``{ending: number}`` of the files below these folders that are images by their ending but are not read."""
    endings = Counter(os.path.splitext(path)[1].lower() for folder in folders for path in files_in(folder))
    return {ending: count for ending, count in endings.most_common() if ending in UNREAD}


def no_images(folder: Path) -> str:
    """Error message for a folder without images: what it holds instead."""
    if not folder.is_dir():
        return f"{folder} does not exist: this side of the data has no images"
    endings = Counter(os.path.splitext(path)[1].lower() or "without ending" for path in files_in(folder))
    others = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(3)) or "nothing"
    return f"{folder} holds no images (it holds {others}): images end in {' '.join(EXTENSIONS)}"


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


def is_glob(path: str | Path) -> bool:
    """True for a pattern with ``*``, ``?`` or ``[...]`` that is not the name of a folder itself."""
    return glob.has_magic(str(path)) and not os.path.exists(folder_of(path))


def images_matching(pattern: str) -> dict[str, str]:
    """``{name: path}`` of the images that a glob matches, those of matched folders included, in natural order.

    The name is what the wildcards match, with ``/`` between them, and, below a matched folder, the path inside it; without
    the file's ending, even if a wildcard stands for it. Raises ``ValueError`` when there are none, for two images of one
    name, and for ``**``.
    """
    if "**" in pattern:
        raise ValueError(f"{pattern}: ** is not read; a folder that a pattern matches is searched with its subfolders")
    pattern = os.path.expanduser(pattern)
    wildcards = _wildcards(pattern)
    named: dict[str, str] = {}
    for match in sorted(glob.glob(pattern), key=natural):
        texts = wildcards.fullmatch(match).groups()  # type: ignore[union-attr]
        own = "/".join(texts[:-1] if pattern.endswith(".*") and len(texts) > 1 else texts)
        folder = Path(match)
        if folder.is_dir():
            found = {f"{own}/{bare_name(path, folder)}": path for path in images_in(folder)}
        else:
            found = {_without_ending(own): match} if match.lower().endswith(EXTENSIONS) else {}
        if both := next(iter(named.keys() & found), None):
            raise ValueError(f"{pattern}: {named[both]} and {found[both]} have the same name, {both}: widen the pattern")
        named |= found
    if not named:
        raise ValueError(f"{pattern} matches no images: they end in {' '.join(EXTENSIONS)}")
    return named


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


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # whose message names the whole side of the data
        raise ValueError(f"{error.filename} cannot be listed: {error.strerror}") from error


def _check_loop(path: str, root: Path) -> None:
    if not os.path.islink(path):
        return
    target, holder = os.path.realpath(path), Path(path).parent
    inside = [holder, *(parent for parent in holder.parents if parent.is_relative_to(root))]
    if any(Path(os.path.realpath(parent)).is_relative_to(target) for parent in inside):
        raise ValueError(f"{path} is a link to {target}, a folder that holds the link itself: remove the link")


def _wildcards(pattern: str) -> re.Pattern[str]:
    """Regular expression of a glob, with a group for each wildcard."""
    regular = {"*": "([^/]*)", "?": "([^/])"}
    parts = re.split(r"(\*|\?|\[!?\]?[^\]]*\])", pattern)
    return re.compile(
        "".join(
            regular.get(part, f"({part.replace('[!', '[^')})") if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
    )


def _without_ending(name: str) -> str:
    return name[: -len(os.path.splitext(name)[1])] if name.lower().endswith(EXTENSIONS) else name
