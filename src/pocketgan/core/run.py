"""A run directory: everything that one run writes, atomically, so that it can be killed at any moment and resumed.

``config.json``, ``log.jsonl``, ``samples/``, ``images/``, ``checkpoints/``, artifacts, ``result.json``; ``.lock``, which
the process holds that works on it.
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
from pocketgan.utils.files import atomic, read_json, write_json
from pocketgan.utils.lock import RunLock
from pocketgan.utils.progress import Reporter

KEPT_CHECKPOINTS = 2
PATIENCE = 10.0
"""Seconds to wait for a run that another process holds: those who load data for one that was killed outlive it a little."""


class Run:
    """A run directory that is open for writing; with ``writes`` off, for reading: what would write or speak does nothing.

    As a context it gives the turn back when it ends.
    """

    def __init__(self, path: Path, reporter: Reporter | None = None, *, writes: bool = True):
        self.path, self.writes = path, writes
        self.reporter = (reporter if writes else None) or Reporter()
        self.turn = RunLock(path)

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
        """Begin a run, or with ``resume`` continue it; ``changed``: the caller answers for a configuration that differs.

        Raises ``ValueError`` if there is a run already and ``resume`` is not set, if it was begun with another
        configuration (the fields that differ are named), or if another process is working on it, unless this one ``joins``:
        then it may not write before ``turn.take()``.
        """
        run = cls(path, reporter)
        if (path / "config.json").exists() and not resume:
            raise ValueError(f"{path} holds a run already: --resume continues it, another --out begins a new one")
        if not changed:
            check_same(path, config)
        if not run.turn.take(0.0 if joins else PATIENCE):
            if joins and resume:
                return run
            raise ValueError(f"{path} is being worked on by another process: wait for it, or take another --out")
        if not (path / "config.json").exists():
            run.write_config(config)
        return run

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.turn.give()

    def write_config(self, config: Any) -> None:
        """What the run is from now on."""
        if self.writes:
            write_json(self.path / "config.json", to_json(config))

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append one line to ``log.jsonl``."""
        if not self.writes:
            return
        with open(self.path / "log.jsonl", "a") as file:
            file.write(json.dumps(entry) + "\n")

    def rewind_log(self, stage: str, step: int) -> None:
        """Forget what ``stage`` logged after ``step``, and any line that a crash cut short."""
        file = self.path / "log.jsonl"
        if not (self.writes and file.exists()):
            return
        kept = [line for line in file.read_text().splitlines() if _survives(line, stage, step)]
        with atomic(file) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept))

    def save_checkpoint(self, stage: str, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
        """Write the state of ``stage`` after ``step`` steps; the newest few are kept."""
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
        """The newest whole state of ``stage``: steps done, tensors, facts; None where there is none."""
        for file in reversed(self._checkpoints(stage)):
            try:
                with safe_open(file, "pt") as opened:
                    tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
                    facts = json.loads(opened.metadata()["facts"])
            except (SafetensorError, OSError):
                continue  # a disk's fault: the one before it is whole
            return int(file.stem.rpartition("-")[2]), tensors, facts
        return None

    def drop_checkpoints(self, stage: str) -> None:
        """Free the space of a stage whose result is safe in another file; what a killed write left behind, too."""
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
    """``{field: "old -> new"}`` between the configuration that the run in ``path`` was begun with, if any, and this one."""
    file = path / "config.json"
    return dict(_differing(read_json(file), to_json(config))) if file.exists() else {}


def check_same(path: Path, config: Any) -> None:
    """Raise ``ValueError`` that names the fields which differ, if the run in ``path`` was begun with others."""
    found = [f"{field}: {change}" for field, change in differences(path, config).items()]
    if found:
        raise ValueError(f"{path} was begun with another configuration; it differs in {'; '.join(found[:5])}")


def _differing(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differing(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
    elif old != new:
        yield prefix, f"{old!r} -> {new!r}"
