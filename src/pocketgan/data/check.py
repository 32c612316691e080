"""Look at a data set before hours are spent on it: everything unusable is named, everything unusual is counted."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig, Split, has_pairs
from pocketgan.data.decode import BadImage, ImageFile, MapFile
from pocketgan.data.folders import shortened
from pocketgan.data.geometry import whole
from pocketgan.data.guess import guess_task
from pocketgan.data.image_source import FileImages, Role, check_pair
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.label_images import LabelImages
from pocketgan.data.label_listing import Incomplete
from pocketgan.data.void import Void, void_in, void_note

_LISTED = 20  # problems that are printed in full


@dataclass(frozen=True)
class Problem:
    """Something that cannot be used, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Report:
    """What a check found."""

    path: str
    task: TaskName
    splits: tuple[str, ...]
    """One line for each split that could be opened."""
    problems: tuple[Problem, ...]
    """What has to be repaired or removed."""
    notes: tuple[str, ...]
    """What is unusual but handled."""

    @property
    def ok(self) -> bool:
        """Whether everything can be used."""
        return not self.problems

    def raise_if_bad(self) -> None:
        """Raises one ``ValueError`` with the first problems."""
        if self.problems:
            first = shortened([str(problem) for problem in self.problems])
            raise ValueError(
                f"{self.path}: {_problems(len(self.problems))}: {first}. Repair or remove these files; "
                f"`pocketgan data check {self.path}` lists all"
            )

    def __str__(self) -> str:
        rest = len(self.problems) - _LISTED
        lines = [*self.splits, *(f"note: {note}" for note in self.notes)]
        lines += [f"problem: {problem}" for problem in self.problems[:_LISTED]]
        lines += [f"... and {_problems(rest)} more"] if rest > 0 else []
        return "\n".join([*lines, f"{self.path} ({self.task}): " + ("ok" if self.ok else _problems(len(self.problems)))])


def check(config: DataConfig | str, *, task: TaskName | None = None, full: bool = True) -> Report:
    """Check the images of both splits of ``config`` (or of a path, with default settings).

    ``full`` decodes every pixel; otherwise only headers are read, which finds empty files, foreign files and wrong sizes
    but not damage further inside. ``task=None`` takes the one that the folders look made for. Bad data raises nothing:
    it stands in the report.
    """
    config = DataConfig(path=config) if isinstance(config, str) else config
    opened: dict[Split, ImageData] = {}
    failures: list[Problem] = []
    try:
        task = task or guess_task(config)
    except ValueError as error:
        return Report(config.path, "inputs", (), (Problem(config.path, str(error)),), ())
    for split in ("train", "test"):
        try:
            opened[split] = _opened(config, task, split)
        except Incomplete as error:
            failures += [Problem(path, reason) for path, reason in error.reasons.items()]
        except ValueError as error:
            failures.append(Problem(config.path, str(error)))
    examined = [found for data in opened.values() for found in _examine(data, full=full)]
    # Problems of a file that serves both splits, or two images, are told once.
    problems = dict.fromkeys(problem for found in examined for problem in found.problems)
    remarks = {path: remarks for found in examined for path, remarks in found.remarks.items()}
    return Report(
        config.path,
        task,
        tuple(data.describe() for data in opened.values()),
        (*dict.fromkeys(failures), *problems),
        (*_counted(tuple(remarks.values())), *void_note([found.void for found in examined if found.void])),
    )


@dataclass(frozen=True)
class _Examined:
    problems: tuple[Problem, ...]
    remarks: dict[str, tuple[str, ...]]
    """By path."""
    void: Void | None = None


def _opened(config: DataConfig, task: TaskName, split: Split) -> ImageData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a test split is missing stands in the description
        return open_data(config, task, split)


def _examine(data: ImageData, *, full: bool) -> Iterator[_Examined]:
    source = data.source
    if not isinstance(source, FileImages | LabelImages):
        return
    if has_pairs(data.task):
        wanted: list[dict[Role, int]] = [{"input": i, "target": i} for i in range(len(source.names))]
    else:
        wanted = [{role: i} for role, count in source.counts.items() for i in range(count)]
    # Threads are enough: Pillow decodes without Python's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda items: _examine_one(data, source, items, full=full), wanted)


def _examine_one(data: ImageData, source: FileImages | LabelImages, wanted: dict[Role, int], *, full: bool) -> _Examined:
    try:
        opened = source.open(wanted)
    except BadImage as error:
        return _Examined((Problem(error.path, error.reason),), {})
    problems = []
    smaller = set()
    void = None
    try:
        if has_pairs(data.task):
            check_pair(opened)
        for role in wanted:
            data.check_size(opened, role)
            (width, height), (least_high, least_wide) = whole(opened.size(role), data.config), data.config.shape
            if data.config.preprocess != "none" and (width < least_wide or height < least_high):
                smaller.add(opened.items[role].path)
    except BadImage as error:
        problems.append(Problem(error.path, error.reason))
    remarks = {path: _remarks(file, path in smaller) for path, file in opened.files.items() if not isinstance(file, MapFile)}
    for file in opened.files.values() if full else ():
        try:
            image = file.decode()
            if data.labels and file.path == opened.items["input"].path:
                void = void_in(file.path, image, data.labels)
        except BadImage as error:
            problems.append(Problem(error.path, error.reason))
    return _Examined(tuple(problems), remarks, void)


def _remarks(image: ImageFile, smaller: bool) -> tuple[str, ...]:
    """What is unusual about an image, as the end of a sentence about several."""
    return tuple(
        text
        for text, applies in (
            ("are transparent: laid on white", image.transparent),
            ("have 16 bits: scaled to 8", image.mode.startswith("I")),
            ("are grayscale: read as RGB", image.mode in ("1", "L", "LA")),
            ("are CMYK: converted to RGB", image.mode == "CMYK"),
            ("are turned upright as EXIF says", image.turned),
            ("are smaller than the crop: enlarged", smaller),
        )
        if applies
    )


def _counted(remarks: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    counts = Counter(remark for found in remarks for remark in found)
    return tuple(f"{count} of {len(remarks)} images {remark}" for remark, count in counts.most_common())


def _problems(count: int) -> str:
    return f"{count} problem" + ("s" if count > 1 else "")
