"""Reader of run directories that may be unfinished or hold half-written files."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pocketgan.report.numbers import finite
from pocketgan.utils.files import parse_json, read_json

MOST_BYTES = 2**28
"""Size of the largest log that is read."""
IMAGE = re.compile(r"(\d+)_(.+)\.png")
FILES = ("config.json", "log.jsonl", "result.json", "images", "samples", "student.safetensors")
ABSENT = {
    "result.json": "costs, latency and quality follow when the run ends",
    "config.json": "the page has no configuration",
    "log.jsonl": "there are no loss curves yet",
    "search.json": "the page has no standard errors of the best candidates",
}


@dataclass(frozen=True)
class RunFiles:
    """Content of one run directory; ``missing`` has a sentence for each missing or unreadable file."""

    path: Path
    label: str
    config: dict[str, Any]
    log: tuple[dict[str, Any], ...]
    candidates: tuple[dict[str, Any], ...]
    search: dict[str, Any]
    """Standard errors of the best candidates."""
    result: dict[str, Any]
    images: dict[str, dict[str, Path]]
    samples: tuple[Path, ...]
    missing: tuple[str, ...]


def read_runs(paths: Sequence[Path]) -> list[RunFiles]:
    """Read runs and give each a unique label.

    Raises ``ValueError`` for no runs, and for a path that is no run directory.
    """
    if not paths:
        raise ValueError("no run given: name at least one run directory")
    return _with_unique_labels([read_run(path) for path in paths])


def read_run(path: Path) -> RunFiles:
    """Read one run. Raises ``ValueError`` for a path without any file of a run."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a directory: name a run, the directory that `--out` was given")
    if not any((path / name).exists() for name in FILES):
        raise ValueError(f"{path} holds no run: found none of {', '.join(FILES)}")
    config, config_fault = _read_object(path / "config.json")
    result, result_fault = _read_object(path / "result.json")
    log, log_fault = _read_log(path / "log.jsonl")
    search, search_fault = _read_object(path / "search.json") if (path / "search.json").exists() else ({}, "")
    images: dict[str, dict[str, Path]] = {}
    for file in sorted((path / "images").glob("*.png")):
        if match := IMAGE.fullmatch(file.name):
            images.setdefault(match[1], {})[match[2]] = file
    faults = [result_fault, log_fault, config_fault, search_fault]
    if "student" in result or "budget" in config:
        faults += [] if images else ["images/ is missing: the test images are generated when the run ends."]
        faults += [] if (path / "student.safetensors").exists() else ["student.safetensors is missing."]
    return RunFiles(
        path=path,
        label=str(result.get("name") or path.resolve().name),
        config=config,
        log=log,
        candidates=_read_lines(path / "candidates.jsonl")[0],
        search=search,
        result=result,
        images=images,
        samples=tuple(sorted((path / "samples").glob("*.png"))),
        missing=tuple(filter(None, faults)),
    )


def mapping(value: object) -> dict[str, Any]:
    """``value`` if it is a JSON object, else an empty one: a foreign or older file must not stop the page."""
    return value if isinstance(value, dict) else {}


def number(value: object) -> float | int | None:
    """``value`` if it is a JSON number that a float can hold (``NaN`` too), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, float) or abs(value) <= sys.float_info.max else None


def real(value: object) -> float | None:
    """``value`` as a float if it is a number that a plot can show, else None."""
    known = number(value)
    return float(known) if known is not None and finite(known) else None


def _read_object(path: Path) -> tuple[dict[str, Any], str]:
    """Object in ``path`` and an empty string, or an empty object and a sentence on the fault."""
    if not path.exists():
        return {}, f"{path.name} is missing: {ABSENT[path.name]}."
    try:
        value = read_json(path)
    except (ValueError, OSError):
        return {}, f"{path.name} cannot be read, it may be half-written: {ABSENT[path.name]}."
    return (value, "") if isinstance(value, dict) else ({}, f"{path.name} is not a JSON object: {ABSENT[path.name]}.")


def _read_log(path: Path) -> tuple[tuple[dict[str, Any], ...], str]:
    """Readable lines, and a sentence on the others."""
    if not path.exists():
        return (), f"{path.name} is missing: {ABSENT[path.name]}."
    if not _is_readable(path):
        return (), f"{path.name} cannot be read, or is larger than {MOST_BYTES:,} bytes: {ABSENT[path.name]}."
    entries, torn, count = _read_lines(path)
    fault = f"{torn} of {count} lines of {path.name} cannot be read and are left out." if torn else ""
    return entries, fault or ("" if entries else f"{path.name} is empty: {ABSENT[path.name]}.")


def _read_lines(path: Path) -> tuple[tuple[dict[str, Any], ...], int, int]:
    """Objects in a file of JSON lines, number of unreadable lines, and number of lines; nothing if there is no file."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if _is_readable(path) else []
    entries = tuple(entry for entry in map(_entry, lines) if entry)
    return entries, sum(1 for line in lines if line.strip()) - len(entries), len(lines)


def _is_readable(path: Path) -> bool:
    """True for a file of at most `MOST_BYTES`, and not for a pipe, which would be waited for."""
    return path.is_file() and os.access(path, os.R_OK) and path.stat().st_size <= MOST_BYTES


def _entry(line: str) -> dict[str, Any]:
    try:
        return mapping(parse_json(line, "line"))
    except ValueError:
        return {}


def _with_unique_labels(runs: list[RunFiles]) -> list[RunFiles]:
    """Runs with the name of the directory in labels that several share, and with a number if that is shared, too."""
    shared = {label for label, count in Counter(run.label for run in runs).items() if count > 1}
    seen: Counter[str] = Counter()
    named = []
    for run in runs:
        label = f"{run.label} ({run.path.resolve().name})" if run.label in shared else run.label
        seen[label] += 1
        named.append(replace(run, label=label if seen[label] == 1 else f"{label} #{seen[label]}"))
    return named
