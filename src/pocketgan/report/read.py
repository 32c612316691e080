"""Reading a run directory that may be unfinished, killed, or half-written: what is there, and what is not there yet."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

LARGEST = 1e300
"""Beyond it an axis overflows."""
IMAGE = re.compile(r"(\d+)_(.+)\.png")
FILES = ("config.json", "log.jsonl", "result.json", "images", "samples", "student.safetensors")
ABSENT = {
    "result.json": "costs, latency and quality will follow when the run ends",
    "config.json": "the configuration cannot be shown",
    "log.jsonl": "there are no loss curves yet",
    "search.json": "how far the best candidates can be told apart is not shown",
}


@dataclass(frozen=True)
class RunFiles:
    """What one run directory holds. ``missing`` says in sentences what is not there or cannot be read."""

    path: Path
    label: str
    config: dict[str, Any]
    log: tuple[dict[str, Any], ...]
    candidates: tuple[dict[str, Any], ...]
    search: dict[str, Any]
    """How far the best of them can be told apart."""
    result: dict[str, Any]
    images: dict[str, dict[str, Path]]
    samples: tuple[Path, ...]
    missing: tuple[str, ...]


def read_runs(paths: Sequence[Path]) -> list[RunFiles]:
    """Read every run, each under a label of its own.

    Raises ``ValueError`` for no runs, and for a path that is no run directory.
    """
    if not paths:
        raise ValueError("no run given: name at least one run directory")
    return _with_own_labels([read_run(path) for path in paths])


def read_run(path: Path) -> RunFiles:
    """Read one run. Raises ``ValueError`` for a path that holds none of a run's files."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a directory: name a run, the directory that `--out` was given")
    if not any((path / name).exists() for name in FILES):
        raise ValueError(f"{path} holds no run: found none of {', '.join(FILES)}")
    config, config_fault = _read_object(path / "config.json")
    result, result_fault = _read_object(path / "result.json")
    log, log_fault = _read_log(path / "log.jsonl")
    search, search_fault = _read_object(path / "search.json") if (path / "search.json").exists() else ({}, "")
    images = _images(path / "images")
    compressing = "student" in result or "budget" in config
    faults = [result_fault, log_fault, config_fault, search_fault]
    if compressing and not images:
        faults.append("images/ is not there yet: the images side by side are made when the run ends.")
    if compressing and not (path / "student.safetensors").exists():
        faults.append("student.safetensors is not there yet.")
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
        missing=tuple(fault for fault in faults if fault),
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
    """``value`` if it is a number that can be drawn, else None."""
    one = number(value)
    return float(one) if one is not None and math.isfinite(one) and abs(one) < LARGEST else None


def _read_object(path: Path) -> tuple[dict[str, Any], str]:
    """The object in ``path`` and no fault, or an empty one and the fault."""
    if not path.exists():
        return {}, f"{path.name} is not there yet: {ABSENT[path.name]}."
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}, f"{path.name} cannot be read, it may be half-written: {ABSENT[path.name]}."
    return (value, "") if isinstance(value, dict) else ({}, f"{path.name} is not a JSON object: {ABSENT[path.name]}.")


def _read_log(path: Path) -> tuple[tuple[dict[str, Any], ...], str]:
    """The lines that can be read, and a word about those that cannot."""
    if not path.exists():
        return (), f"{path.name} is not there yet: {ABSENT[path.name]}."
    entries, torn, count = _read_lines(path)
    fault = f"{torn} of {count} lines of {path.name} cannot be read and are left out." if torn else ""
    return entries, fault or ("" if entries else f"{path.name} is empty: {ABSENT[path.name]}.")


def _read_lines(path: Path) -> tuple[tuple[dict[str, Any], ...], int, int]:
    """The objects of a file of JSON lines, how many lines cannot be read, and how many there are; nothing of no file."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    entries = tuple(entry for entry in map(_entry, lines) if entry)
    return entries, sum(1 for line in lines if line.strip()) - len(entries), len(lines)


def _entry(line: str) -> dict[str, Any]:
    try:
        return mapping(json.loads(line))
    except json.JSONDecodeError:
        return {}


def _images(folder: Path) -> dict[str, dict[str, Path]]:
    """``{"000": {"input": path, "teacher": path, ...}, ...}`` in the order of the numbers."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*.png")):
        if match := IMAGE.fullmatch(path.name):
            found.setdefault(match[1], {})[match[2]] = path
    return found


def _with_own_labels(runs: list[RunFiles]) -> list[RunFiles]:
    """Runs of one name get their directory's name, then a number, so that every label is told from the others."""
    shared = {label for label, count in Counter(run.label for run in runs).items() if count > 1}
    seen: Counter[str] = Counter()
    named = []
    for run in runs:
        label = f"{run.label} ({run.path.resolve().name})" if run.label in shared else run.label
        seen[label] += 1
        named.append(replace(run, label=label if seen[label] == 1 else f"{label} #{seen[label]}"))
    return named
