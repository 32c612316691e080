"""Run directory: all files of one run, written atomically, so that it can be killed at any moment and resumed.

``config.json``, ``log.jsonl``, ``samples/``, ``images/``, ``checkpoints/``, artifacts, ``result.json``, and ``.lock``, held
by the process that works on the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pocketgan.core.config import to_json
from pocketgan.core.tensor_file import write_tensors
from pocketgan.utils.files import RunLock, atomic, parse_json, read_json, remove_leftovers, write_json
from pocketgan.utils.progress import Reporter

KEPT_CHECKPOINTS = 2
FOLDERS = ("checkpoints", "samples", "images", "back")
"""Folders of a run that its own process writes into."""
PATIENCE = 10.0
"""Seconds to wait for a run that another process holds: the data workers of a killed process outlive it a little."""


class Run:
    """Run directory, open for writing. With ``writes`` off, methods that would write or report do nothing.

    As a context manager it releases its lock at the end.
    """

    def __init__(self, path: Path, reporter: Reporter | None = None, *, writes: bool = True):
        self.path, self.writes = path, writes
        self.reporter = (reporter if writes else None) or Reporter()
        self.lock = RunLock(path)

    @classmethod
    def open(
        cls,
        path: Path,
        config: Any,
        *,
        resume: bool = False,
        reporter: Reporter | None = None,
        changed: bool = False,
        joins: bool = False,
    ) -> Run:
        """Begin a run, or with ``resume`` continue it; ``changed`` accepts a configuration that differs.

        Raises ``ValueError`` if there is a run already and ``resume`` is not set, if it was begun with another
        configuration (the fields that differ are named), or if another process is working on it, unless this one ``joins``:
        then it must not write before ``lock.acquire()``.
        """
        run = cls(path, reporter)
        _check_free(path, config, resume=resume, changed=changed)
        if not run.lock.acquire(0.0 if joins else PATIENCE):
            if joins and resume:
                return run
            raise ValueError(f"{path} is being worked on by another process: wait for it, or take another --out")
        try:
            _check_free(path, config, resume=resume, changed=changed)  # another process may have begun it until now
            if not (path / "config.json").exists():
                run.write_config(config)
            run.remove_leftovers()
        except BaseException:
            run.lock.release()
            raise
        return run

    def remove_leftovers(self) -> None:
        """Delete what killed processes have left half-written; for the holder of the lock."""
        for folder in (self.path, *(self.path / name for name in FOLDERS)):
            remove_leftovers(folder)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.release()

    def write_config(self, config: Any) -> None:
        """Write the configuration of the run."""
        if self.writes:
            write_json(self.path / "config.json", to_json(config))

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append one line to ``log.jsonl``. Raises ``ValueError`` with the file and the cause when the disk refuses."""
        if not self.writes:
            return
        file = self.path / "log.jsonl"
        try:
            with open(file, "a") as opened:
                opened.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise ValueError(f"cannot write {file}: {error.strerror or error}") from error

    def rewind_log(self, stage: str, step: int) -> None:
        """Delete the log lines of ``stage`` after ``step``, and those that cannot be read: a crash cuts the last one short."""
        file = self.path / "log.jsonl"
        if not (self.writes and file.exists()):
            return
        if not file.is_file():
            raise ValueError(f"{file} is a pipe, folder or device, not a file: remove it, or take another --out")
        content, kept, unreadable = file.read_bytes(), [], []
        for number, line in enumerate(content.splitlines(keepends=True), 1):
            try:
                entry = parse_json(line, f"{file}, line {number}")
            except ValueError:
                entry = None
            if not isinstance(entry, dict) or not line.endswith(b"\n"):
                unreadable += [number] if line.endswith(b"\n") else []  # a crash cuts the last line short
            elif entry.get("stage") != stage or (isinstance(entry.get("step"), int) and entry["step"] <= step):
                kept.append(line)
        if unreadable:
            self.reporter.say(f"{file}: {len(unreadable)} lines cannot be read and are left out, line {unreadable[0]} first")
        with atomic(file) as temporary:
            temporary.write_bytes(b"".join(kept))

    def save_checkpoint(self, stage: str, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
        """Write the state of ``stage`` after ``step`` steps, with a checksum; the newest `KEPT_CHECKPOINTS` are kept.

        Later ones go: a stage is at an earlier step than they are where they are damaged.
        """
        file = self.path / "checkpoints" / f"{stage}-{step:08d}.safetensors"
        if self.writes:
            write_tensors(file, tensors, facts)
            before = [other for saved, other in self.checkpoints(stage) if saved <= step][:KEPT_CHECKPOINTS]
            for _, old in self.checkpoints(stage):
                if old not in before:
                    old.unlink(missing_ok=True)
        return file

    def checkpoints(self, stage: str) -> list[tuple[int, Path]]:
        """Steps done and file of the checkpoints of ``stage``, the newest first; `read_tensors` says which are whole."""
        files = (self.path / "checkpoints").glob(f"{stage}-*.safetensors")
        steps = {file: file.stem.removeprefix(f"{stage}-") for file in files if file.is_file()}
        return sorted(((int(step), file) for file, step in steps.items() if re.fullmatch(r"[0-9]{8,12}", step)), reverse=True)

    def drop_checkpoints(self, stage: str) -> None:
        """Delete the checkpoints of a stage whose result is in another file."""
        for _, file in self.checkpoints(stage) if self.writes else ():
            file.unlink(missing_ok=True)


def _check_free(path: Path, config: Any, *, resume: bool, changed: bool) -> None:
    """Raise ``ValueError`` for a run that is there already, or was begun with another configuration."""
    if (path / "config.json").exists() and not resume:
        raise ValueError(f"{path} holds a run already: --resume continues it, another --out begins a new one")
    if not changed and (changes := differences(path, config)):
        raise ValueError(
            f"{path} was begun with another configuration; it differs in "
            + "; ".join(f"{field}: {change}" for field, change in list(changes.items())[:5])
        )


def differences(path: Path, config: Any) -> dict[str, str]:
    """``{field: "old -> new"}`` between the configuration in the run directory ``path``, if any, and this one.

    Raises ``ValueError`` for a file that is no configuration.
    """
    file = path / "config.json"
    if not file.exists():
        return {}
    try:
        old = read_json(file)
        if not isinstance(old, dict):
            raise ValueError(f"{file} is no JSON object")
    except ValueError as error:
        raise ValueError(f"{error}; take another --out") from None
    return dict(_differing(old, to_json(config)))


def _differing(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differing(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
    elif old != new:
        yield prefix, f"{old!r} -> {new!r}"
