"""Validation of a data set before training: every unusable file is named, everything unusual is counted."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from shlex import quote
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig, Role, Split
from pocketgan.data.decode import BadImage, ImageFile, printable
from pocketgan.data.files import shortened
from pocketgan.data.geometry import whole
from pocketgan.data.images import ImageData, guess_task, open_data
from pocketgan.data.labels import Labels
from pocketgan.data.listing import Listing, MissingPartners

_THREADS = 8
_DECODED = 4  # first images of which not the header alone is read, as some faults show in the pixels only


class Problem(NamedTuple):
    """A file or folder that cannot be used, and the reason."""

    path: str
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


@dataclass(frozen=True)
class Report:
    """Result of a check."""

    path: str
    task: TaskName
    splits: tuple[str, ...]
    """Description of each split that could be opened, one line each."""
    problems: tuple[Problem, ...]
    """Files to be repaired or removed."""
    notes: tuple[str, ...]
    """Unusual facts that loading handles."""
    targets: str | None = None
    """`DataConfig.targets`."""

    @property
    def ok(self) -> bool:
        """True if everything can be used."""
        return not self.problems

    def raise_if_bad(self) -> None:
        """Raise one ``ValueError`` with the first problems."""
        if self.problems:
            targets = f" --targets {quote(self.targets)}" if self.targets else ""
            first = shortened([str(problem) for problem in self.problems])
            raise ValueError(
                f"{self.path}: {_problems(len(self.problems))}: {first}. Repair or remove these files; "
                f"`pocketgan data check {quote(self.path)}{targets}` lists all"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; a problem is its ``path`` and ``reason``."""
        problems = [problem._asdict() for problem in self.problems]
        return {**vars(self), "splits": [*self.splits], "problems": problems, "notes": [*self.notes], "ok": self.ok}

    def __str__(self) -> str:
        lines = [*self.splits, *(f"note: {note}" for note in self.notes)]
        lines += [f"problem: {problem}" for problem in self.problems]
        return "\n".join([*lines, f"{self.path} ({self.task}): " + ("ok" if self.ok else _problems(len(self.problems)))])


def check(config: DataConfig | str, *, task: TaskName | None = None, full: bool = True) -> Report:
    """Check the images of both splits of ``config`` (or of a path, with default settings).

    ``full`` decodes every pixel; otherwise only headers are read, which finds empty files, unknown formats and wrong sizes but
    not damage further inside. ``task=None`` guesses the task from the folders. Bad data raises nothing: the report lists it.
    """
    config = DataConfig(path=config) if isinstance(config, str) else config
    opened: dict[Split, ImageData] = {}
    failures: list[Problem] = []
    try:
        task = task or guess_task(config)
    except (ValueError, OSError) as error:
        return Report(config.path, task or "inputs", (), (Problem(config.path, str(error)),), ())
    for split in ("train", "test"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the description states that a test split is missing
                opened[split] = open_data(config, task, split)
        except MissingPartners as error:
            failures += [Problem(path, reason) for path, reason in error.reasons.items()]
        except (ValueError, OSError) as error:
            failures.append(Problem(config.path, str(error)))
    examined = [result for data in opened.values() for result in _examine(data, full=full)]
    # A file that serves both splits, or two images, is listed once.
    problems = dict.fromkeys(problem for result in examined for problem in result.problems)
    remarks = {path: remarks for result in examined for path, remarks in result.remarks.items()}
    counts = Counter(remark for own in remarks.values() for remark in own)
    notes = [f"{count} of {len(remarks)} images {remark}" for remark, count in counts.most_common()]
    return Report(
        config.path,
        task,
        tuple(data.describe() for data in opened.values()),
        (*dict.fromkeys(failures), *problems),
        (*notes, *_void_note([result for result in examined if result.void is not None])),
        config.targets,
    )


@dataclass
class _Examined:
    problems: list[Problem] = field(default_factory=list)
    remarks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Remarks by path."""
    void: dict[int, int] | None = None
    """Number of void pixels by value, for a decoded label map."""
    pixels: int = 0
    """Number of all pixels of that map."""

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep a ``BadImage`` of the block as a problem."""
        try:
            yield
        except BadImage as error:
            self.problems.append(Problem(error.path, error.reason))


def _examine(data: ImageData, *, full: bool) -> list[_Examined]:
    if not isinstance(data.source, Listing):
        return []
    if traits_of(data.task).has_pairs:
        samples: list[dict[Role, int]] = [{"input": i, "target": i} for i in range(len(data.names))]
    else:
        samples = [{role: i} for role, count in data.counts.items() for i in range(count)]
    examine = partial(_examine_sample, data, data.source, channels=data.channels)
    # Threads suffice: Pillow decodes without Python's lock.
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda number: examine(samples[number], full=full, probed=number < _DECODED), range(len(samples))))


def _examine_sample(
    data: ImageData, source: Listing, indices: dict[Role, int], *, channels: Mapping[Role, int], full: bool, probed: bool
) -> _Examined:
    found, small = _Examined(), set[str]()
    with found.collect():
        opened = source.open(indices)
        with found.collect():
            if traits_of(data.task).has_pairs:
                opened.check_pair()
            for role, image in opened.images.items():
                data.plan(opened, role)
                if not image.is_map and image.channels != channels[role]:
                    raise BadImage(image.path, f"has {image.channels} channels, but the first image has {channels[role]}")
                (width, height), (crop_height, crop_width) = whole(opened.size(role), data.config), data.config.shape
                if data.config.preprocess != "none" and (width < crop_width or height < crop_height):
                    small.add(image.path)
        images = [file for file in opened.files if isinstance(file, ImageFile) and not file.is_map]
        found.remarks = {image.path: _remarks(image, image.path in small) for image in images}
        for file in opened.files:
            if not full and not (probed and isinstance(file, ImageFile) and file.needs_pixels):
                continue
            with found.collect():
                pixels = np.asarray(file.decode())
                if data.labels and file is opened.images.get("input"):
                    found.void, found.pixels = _void_pixels(file.path, pixels, data.labels), pixels.size
    return found


def _remarks(image: ImageFile, small: bool) -> tuple[str, ...]:
    """Unusual facts about an image, as the end of a sentence about several."""
    return tuple(
        text
        for text, applies in (
            ("are transparent: composited onto white", image.transparent),
            ("have a fourth band, which is no opacity", image.channels == 4),
            (f"have {image.bits} bits: scaled to 8", image.bits > 8),
            ("are grayscale: read as RGB", image.mode in ("1", "L", "LA")),
            ("are CMYK: converted to RGB", image.mode == "CMYK"),
            ("are rotated as EXIF says", image.rotated),
            ("are smaller than the crop: enlarged", small),
        )
        if applies
    )


def _void_pixels(path: str, pixels: NDArray[np.integer], labels: Labels) -> dict[int, int]:
    """Number of void pixels by value in a decoded label map. Raises ``BadImage`` if all pixels are void."""
    values, counts = np.unique(pixels[(pixels < 0) | (pixels >= len(labels.classes))], return_counts=True)
    if counts.sum() == pixels.size:
        raise BadImage(path, f"has no pixel of the {len(labels.classes)} classes; its values are {_listed(values.tolist())}")
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _void_note(maps: Sequence[_Examined]) -> tuple[str, ...]:
    """The share of void pixels in all maps, in one line; empty where there are none."""
    counts = Counter[int]()
    for result in maps:
        counts.update(result.void)
    if not counts:
        return ()
    share = counts.total() / sum(result.pixels for result in maps)
    affected = sum(bool(result.void) for result in maps)
    return (f"{affected} of {len(maps)} label maps have void pixels, {share:.2%} of all (values {_listed(sorted(counts))})",)


def _listed(values: Sequence[int]) -> str:
    return shortened([str(value) for value in values], most=5)


def _problems(count: int) -> str:
    return f"{count} problem" + ("s" if count > 1 else "")
