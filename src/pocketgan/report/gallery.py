"""Images side by side, embedded in the page: columns by role, rows by input, within a limit of bytes."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pocketgan.report.curves import thin
from pocketgan.report.read import RunFiles

ROWS = 8
# Base64 adds a third: images and samples together stay below ten megabytes.
IMAGE_BYTES, SAMPLE_BYTES = 5_000_000, 1_500_000
SAMPLES = 4
ROLES = ("input", "target", "teacher", "student")
STYLED = re.compile(r"(.+)-style([0-9]{1,2})")
PIXELATED_BELOW = 160
# Limits above which sample grids are reduced, as are images if not one row fits.
LIGHT_BYTES, LIGHT_SIDE = 300_000, 1024


@dataclass(frozen=True)
class EmbeddedImage:
    """Embedded image with the title of its column and its role."""

    column: str
    role: str
    uri: str
    width: int
    height: int

    @property
    def small(self) -> bool:
        """True if pixels stay sharp when the image is enlarged."""
        return max(self.width, self.height) < PIXELATED_BELOW


@dataclass(frozen=True)
class Gallery:
    """Rows of images in common columns; a missing image is None.

    ``left_out`` is the number of rows (samples: images) that did not fit, ``broken`` has the names of broken files, and
    ``reduced`` is True if images are smaller JPEGs of the run's files.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[EmbeddedImage | None, ...], ...]
    left_out: int = 0
    broken: tuple[str, ...] = ()
    reduced: bool = False


def gallery(runs: Sequence[RunFiles], *, rows: int = ROWS, most_bytes: int = IMAGE_BYTES) -> Gallery:
    """Images of all runs, one row for each input, which may have another number in each run.

    A role with the same images in every run (input, target, mostly teacher) has one column, any other one for each run. The
    gallery has at most ``rows`` rows and ``most_bytes`` bytes of files, but at least one row, reduced if it is larger.
    """
    found, broken = _rows(runs)
    shared = _shared_roles(found)
    labels = [run.label for run in runs]
    keys = {(role, None if role in shared else i) for row in found for (i, role) in row}
    order = sorted(keys, key=lambda key: (_rank(key[0]), -1 if key[1] is None else key[1]))
    columns = tuple(_title(role, labels, run) for role, run in order)
    kept: list[tuple[EmbeddedImage | None, ...]] = []
    used = 0
    reduced = bool(found) and sum(len(data) for data in found[0].values()) > most_bytes
    for row in found[:rows]:
        files = [_pick(row, role, run) for role, run in order]
        files = [_reduced(data) if reduced and data else data for data in files]
        used += sum(len(data) for data in files if data)
        if kept and used > most_bytes:
            break
        entries = zip(files, columns, order, strict=True)
        kept.append(tuple(_image(data, title, role) if data else None for data, title, (role, _) in entries))
    return Gallery(columns, tuple(kept), len(found) - len(kept), tuple(broken), reduced)


def samples(run: RunFiles, *, most_bytes: int = SAMPLE_BYTES) -> Gallery:
    """Evenly spaced samples of the training, with the last, as one row."""
    paths, broken = run.samples, []
    kept: list[EmbeddedImage] = []
    used, reduced = 0, False
    # From the end: if not all fit, the late samples are kept.
    for path in (paths[i] for i in reversed(thin(len(paths), most=SAMPLES))):
        data = _read(path)
        if data is None:
            broken.append(f"samples/{path.name}")
            continue
        shown = data if len(data) <= LIGHT_BYTES else _reduced(data)
        if used + len(shown) <= most_bytes:
            used, reduced = used + len(shown), reduced or shown is not data
            kept.insert(0, _image(shown, path.stem, "sample"))
    row = (tuple(kept),) if kept else ()
    return Gallery(tuple(p.column for p in kept), row, len(paths) - len(kept), tuple(broken), reduced)


def _rows(runs: Sequence[RunFiles]) -> tuple[list[dict[tuple[int, str], bytes]], list[str]]:
    """Dictionary ``{(run, role): file}`` for each input, and the names of broken files."""
    rows: dict[str, dict[tuple[int, str], bytes]] = {}
    broken = []
    times_seen: Counter[tuple[int, str]] = Counter()
    for number in sorted({number for run in runs for number in run.images}):
        for i, run in enumerate(runs):
            files = {role: _read(path) for role, path in run.images.get(number, {}).items()}
            broken += [f"images/{run.images[number][role].name}" for role, data in files.items() if data is None]
            complete = {role: data for role, data in files.items() if data is not None}
            if complete:
                shared = complete.get("input", complete.get("teacher"))  # images from latents have no input
                key = hashlib.sha256(shared).hexdigest() if shared else f"{i}/{number}"
                times_seen[i, key] += 1  # a data set may have an image twice
                rows.setdefault(f"{key}#{times_seen[i, key]}", {}).update({(i, role): data for role, data in complete.items()})
    return list(rows.values()), broken


def _shared_roles(rows: list[dict[tuple[int, str], bytes]]) -> set[str]:
    roles = {role for row in rows for _, role in row}
    runs = {run for row in rows for run, _ in row}
    same = {role for role in roles if all(len({d for (_, r), d in row.items() if r == role}) <= 1 for row in rows)}
    # Every run has a column for its student, even if two students generate the same images.
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
    suffix = f", style {style}" if style else ""
    if run is None:
        return f"{plain}{suffix}"
    return f"{labels[run]}{suffix}" if _of_student(role) else f"{plain}, {labels[run]}{suffix}"


def _of_student(role: str) -> bool:
    return _styled(role)[0] == "student"


def _styled(role: str) -> tuple[str, str]:
    """Role without its style, and the number of the style, empty for the first."""
    match = STYLED.fullmatch(role)
    return (match[1], match[2]) if match else (role, "")


def _image(data: bytes, column: str, role: str) -> EmbeddedImage:
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
        (width, height), kind = image.size, str(image.format).lower()
    return EmbeddedImage(column, role, f"data:image/{kind};base64,{base64.b64encode(data).decode()}", width, height)


def _reduced(data: bytes) -> bytes:
    """JPEG of at most ``LIGHT_SIDE`` pixels a side."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
        small = image.convert("RGB")
    small.thumbnail((LIGHT_SIDE, LIGHT_SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=90)
    return file.getvalue()


def _read(path: Path) -> bytes | None:
    """Bytes of the file, or None if it is no complete PNG of a usual size: a killed run may leave half of one."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        data = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                image.load()
    except Exception:  # Pillow raises a dozen types on broken bytes
        return None
    return data
