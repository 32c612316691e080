"""Images side by side, embedded as they are: columns by role, rows by source, within a limit of bytes."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pocketgan.report.read import RunFiles

ROWS = 8
# Base64 adds a third, so images and samples together stay below ten megabytes of page.
IMAGE_BYTES, SAMPLE_BYTES = 5_000_000, 1_500_000
SAMPLES = 4
ROLES = ("input", "target", "teacher", "student")
TITLES = {"input": "input"}
STYLED = re.compile(r"(.+)-style([0-9]{1,2})")
PIXELATED_BELOW = 160
# Larger sample grids, and images of which not one row would fit, are shown reduced.
LIGHT_BYTES, LIGHT_SIDE = 300_000, 1024


@dataclass(frozen=True)
class EmbeddedImage:
    """One embedded image. ``column`` is its title, ``role`` what it is; ``small`` ones show their pixels."""

    column: str
    role: str
    uri: str
    width: int
    height: int

    @property
    def small(self) -> bool:
        """Whether enlarging must not blur it."""
        return max(self.width, self.height) < PIXELATED_BELOW


@dataclass(frozen=True)
class Gallery:
    """Rows of images under common columns; a missing image is None. ``left_out`` of them did not fit.

    ``reduced`` if images are not as they lie in the run but smaller JPEGs.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[EmbeddedImage | None, ...], ...]
    left_out: int = 0
    broken: tuple[str, ...] = ()
    reduced: bool = False


Column = tuple[int, str, str]


def gallery(runs: Sequence[RunFiles], *, rows: int = ROWS, most_bytes: int = IMAGE_BYTES) -> Gallery:
    """The images of all runs, one row for each source, whatever its number in each run.

    A role whose images are the same in every run (the source, mostly the teacher) is one column; any other has a
    column for each run. At most ``rows`` rows and ``most_bytes`` bytes of files, but at least one row,
    reduced where even that is too much.
    """
    found, broken = _rows(runs)
    shared = _shared_roles(found)
    labels = [run.label for run in runs]
    keys = {(role, None if role in shared else i) for row in found for (i, role) in row}
    order = sorted(keys, key=lambda key: (_rank(key[0]), -1 if key[1] is None else key[1]))
    kept: list[tuple[EmbeddedImage | None, ...]] = []
    used = 0
    reduced = bool(found) and sum(len(data) for data in found[0].values()) > most_bytes
    for row in found[:rows]:
        files = [_pick(row, role, run) for role, run in order]
        files = [_light(data) if reduced and data else data for data in files]
        used += sum(len(data) for data in files if data)
        if kept and used > most_bytes:
            break
        titles = [_title(role, labels, run) for role, run in order]
        kept.append(tuple(_embed(d, t, role) for d, t, (role, _) in zip(files, titles, order, strict=True)))
    columns = tuple(_title(role, labels, run) for role, run in order)
    return Gallery(columns, tuple(kept), len(found) - len(kept), tuple(broken), reduced)


def samples(run: RunFiles, *, most_bytes: int = SAMPLE_BYTES) -> Gallery:
    """A few images from the course of training, evenly spaced, the last among them, as one row."""
    paths, broken = run.samples, []
    last = len(paths) - 1
    chosen = sorted({round(i * last / (SAMPLES - 1)) for i in range(SAMPLES)}) if paths else []
    kept: list[EmbeddedImage] = []
    used, reduced = 0, False
    # From the end: what training came to is worth more than how it began.
    for path in (paths[i] for i in reversed(chosen)):
        data = _whole(path)
        if data is None:
            broken.append(f"samples/{path.name}")
            continue
        shown = data if len(data) <= LIGHT_BYTES else _light(data)
        if used + len(shown) <= most_bytes:
            used, reduced = used + len(shown), reduced or shown is not data
            kept.insert(0, _image(shown, path.stem, "sample"))
    row = (tuple(kept),) if kept else ()
    return Gallery(tuple(p.column for p in kept), row, len(paths) - len(kept), tuple(broken), reduced)


def _rows(runs: Sequence[RunFiles]) -> tuple[list[dict[tuple[int, str], bytes]], list[str]]:
    """One dictionary ``{(run, role): file}`` for each source, and the names of broken files."""
    rows: dict[str, dict[tuple[int, str], bytes]] = {}
    broken = []
    times_seen: Counter[tuple[int, str]] = Counter()
    for number in sorted({number for run in runs for number in run.images}):
        for i, run in enumerate(runs):
            files = {role: _whole(path) for role, path in run.images.get(number, {}).items()}
            broken += [f"images/{run.images[number][role].name}" for role, data in files.items() if data is None]
            whole = {role: data for role, data in files.items() if data is not None}
            if whole:
                source = whole.get("input", whole.get("teacher"))  # there is none where images are generated from numbers
                key = hashlib.sha256(source).hexdigest() if source else f"{i}/{number}"
                times_seen[i, key] += 1  # a data set may hold one image twice
                rows.setdefault(f"{key}#{times_seen[i, key]}", {}).update({(i, role): data for role, data in whole.items()})
    return list(rows.values()), broken


def _shared_roles(rows: list[dict[tuple[int, str], bytes]]) -> set[str]:
    roles = {role for row in rows for _, role in row}
    runs = {run for row in rows for run, _ in row}
    same = {role for role in roles if all(len({d for (_, r), d in row.items() if r == role}) <= 1 for row in rows)}
    # A student is some run's own, even if two runs happen to generate alike.
    return same if len(runs) == 1 else {role for role in same if not _of_student(role)}


def _rank(role: str) -> tuple[int, str]:
    plain, style = _styled(role)
    return (int(style or 0) * len(ROLES) + ROLES.index(plain), "") if plain in ROLES else (1000, role)


def _pick(row: dict[tuple[int, str], bytes], role: str, run: int | None) -> bytes | None:
    if run is not None:
        return row.get((run, role))
    return next((data for (_, r), data in row.items() if r == role), None)


def _title(role: str, labels: list[str], run: int | None) -> str:
    plain, style = _styled(role)
    name, own = TITLES.get(plain, plain), f", style {style}" if style else ""
    if run is None:
        return f"{name}{own}"
    return f"{labels[run]}{own}" if _of_student(role) else f"{name}, {labels[run]}{own}"


def _of_student(role: str) -> bool:
    return _styled(role)[0] == "student"


def _styled(role: str) -> tuple[str, str]:
    """The role without its style, and the style's number, mostly none."""
    match = STYLED.fullmatch(role)
    return (match[1], match[2]) if match else (role, "")


def _embed(data: bytes | None, column: str, role: str) -> EmbeddedImage | None:
    return None if data is None else _image(data, column, role)


def _image(data: bytes, column: str, role: str) -> EmbeddedImage:
    with Image.open(io.BytesIO(data)) as image:
        (width, height), kind = image.size, str(image.format).lower()
    return EmbeddedImage(column, role, f"data:image/{kind};base64,{base64.b64encode(data).decode()}", width, height)


def _light(data: bytes) -> bytes:
    """A JPEG of at most ``LIGHT_SIDE`` pixels a side."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
    small.thumbnail((LIGHT_SIDE, LIGHT_SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=90)
    return file.getvalue()


def _whole(path: Path) -> bytes | None:
    """The file's bytes, or None where it is not a whole PNG: a killed run may leave half of one."""
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    return data
