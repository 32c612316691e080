"""Run directory: all files of one run, written atomically, so that it can be killed at any moment and resumed.

``config.json``, ``log.jsonl``, ``samples/``, ``images/``, ``checkpoints/``, artifacts, ``result.json``, and ``.lock``, held
by the process that works on the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pocketgan.core.config import to_json
from pocketgan.utils.files import RunLock, atomic, read_json, write_json
from pocketgan.utils.progress import Reporter

KEPT_CHECKPOINTS = 2
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
        if (path / "config.json").exists() and not resume:
            raise ValueError(f"{path} holds a run already: --resume continues it, another --out begins a new one")
        if not changed and (changes := differences(path, config)):
            listed = "; ".join(f"{field}: {change}" for field, change in list(changes.items())[:5])
            raise ValueError(f"{path} was begun with another configuration; it differs in {listed}")
        if not run.lock.acquire(0.0 if joins else PATIENCE):
            if joins and resume:
                return run
            raise ValueError(f"{path} is being worked on by another process: wait for it, or take another --out")
        if not (path / "config.json").exists():
            run.write_config(config)
        return run

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.release()

    def write_config(self, config: Any) -> None:
        """Write the configuration of the run."""
        if self.writes:
            write_json(self.path / "config.json", to_json(config))

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append one line to ``log.jsonl``."""
        if not self.writes:
            return
        with open(self.path / "log.jsonl", "a") as file:
            file.write(json.dumps(entry) + "\n")

    def rewind_log(self, stage: str, step: int) -> None:
        """Delete the log lines of ``stage`` after ``step``, and a line that a crash cut short."""
        file = self.path / "log.jsonl"
        if not (self.writes and file.exists()):
            return
        kept = [line for line in file.read_text().splitlines() if _survives(line, stage, step)]
        with atomic(file) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept))

    def save_checkpoint(self, stage: str, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
        """Write the state of ``stage`` after ``step`` steps; the newest `KEPT_CHECKPOINTS` are kept."""
        file = self.path / "checkpoints" / f"{stage}-{step:08d}.safetensors"
        if not self.writes:
            return file
        with atomic(file) as temporary:
            plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
            save_file(plain, temporary, metadata={"facts": json.dumps(facts)})
        for old in self._checkpoints(stage)[:-KEPT_CHECKPOINTS]:
            old.unlink()
        return file

    def load_checkpoint(self, stage: str) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """Steps done, tensors and facts of the newest readable checkpoint of ``stage``; None where there is none."""
        for file in reversed(self._checkpoints(stage)):
            try:
                with safe_open(file, "pt") as opened:
                    tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
                    facts = json.loads(opened.metadata()["facts"])
            except (SafetensorError, OSError):
                continue  # damaged on disk: the one before it is kept for this
            return int(file.stem.rpartition("-")[2]), tensors, facts
        return None

    def drop_checkpoints(self, stage: str) -> None:
        """Delete the checkpoints of a stage whose result is in another file, and the temporary files of killed writes."""
        if not self.writes:
            return
        leftovers = (self.path / "checkpoints").glob(f".{stage}-*.tmp.safetensors")
        for file in (*self._checkpoints(stage), *leftovers):
            file.unlink()

    def _checkpoints(self, stage: str) -> list[Path]:
        return sorted((self.path / "checkpoints").glob(f"{stage}-*.safetensors"))


def _survives(line: str, stage: str, step: int) -> bool:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return False
    return bool(entry.get("stage") != stage or entry.get("step", 0) <= step)


def differences(path: Path, config: Any) -> dict[str, str]:
    """``{field: "old -> new"}`` between the configuration in the run directory ``path``, if any, and this one."""
    file = path / "config.json"
    return dict(_differing(read_json(file), to_json(config))) if file.exists() else {}


def _differing(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differing(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
    elif old != new:
        yield prefix, f"{old!r} -> {new!r}"
