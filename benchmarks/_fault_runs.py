"""Interrupted runs of `benchmarks/faults.py`: every method and task, killed and resumed, must end in the same bytes."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from _fault_sandbox import Ran, command

CHEAP = ["--batch", "2", "--device", "cpu", "data.workers=0", 'evaluation.runtimes=["torch"]', "evaluation.repeats=2"]
TINY = ["--size", "16", "--steps", "4", *CHEAP, "data.limit=6", "evaluation.images=3"]
WIDE = ["--size", "32", *TINY[2:]]
OBLONG = ["--size", "64", *TINY[2:]]
NETS = ['arch_options={"ngf":8,"blocks":2}', 'discriminator_options={"ndf":4,"layers":1}']
OFTEN = {
    "train": ["training.checkpoint_every=1", "training.sample_every=2", "training.log_every=1"],
    "compress": ["recovery.checkpoint_every=1", "recovery.sample_every=2", "recovery.log_every=1", "search.checkpoint_every=1"],
}
TEACHERS = {
    "paired": ["--task", "paired", "--data", "shapes", *TINY, *NETS],
    "unpaired": ["--task", "unpaired", "--data", "textures", *TINY, *NETS],
    "labels": [
        *("--task", "labels", "--data", "shapes", *OBLONG, "perceptual=pixels"),
        *('arch_options={"ngf":4,"upsamplings":5}', 'discriminator_options={"ndf":3,"layers":2}'),
    ],
    "unconditional": [
        *("--task", "unconditional", "--data", "textures", *WIDE, "evaluation.generated=9"),
        *('arch_options={"ngf":4,"latent":8}', 'discriminator_options={"ndf":4}'),
    ],
    "multimodal": [
        *("--task", "multimodal", "--data", "textures", *WIDE),
        *('arch_options={"ngf":4,"mlp":8,"blocks":1}', 'discriminator_options={"ndf":2,"layers":2,"scales":2}'),
    ],
}
"""``pocketgan train`` of one tiny teacher of each task."""
HALF = ["--budget", "2x"]
SEARCH = ["--method", "gan-compression", "method_options.candidates=6", "method_options.images=2"]
FULL = ["--budget", "6x", "--pipeline", "full", 'full.discriminator_options={"ndf":4,"layers":1}']
STUDENTS: Mapping[str, tuple[str, list[str]]] = {
    **{method: ("paired", ["--method", method, *HALF, *TINY]) for method in ("magnitude", "uniform", "slimming", "sss", "cat")},
    "dmad": ("paired", ["--method", "dmad", *HALF, "--objective", "coattention+discriminator", *TINY, "search.steps=8"]),
    "gan-compression": ("paired", [*SEARCH, *HALF, *TINY]),
    "gan-compression full": ("paired", [*SEARCH, *FULL, *TINY]),
    "unpaired": ("unpaired", [*HALF, *TINY]),
    "labels": ("labels", [*HALF, *OBLONG, "perceptual=pixels"]),
    "unconditional": ("unconditional", [*HALF, *WIDE, "evaluation.generated=9"]),
    "multimodal": ("multimodal", [*HALF, *WIDE]),
}
"""``pocketgan compress`` by every method, and of every task."""
VOLATILE = {"seconds", "latency_ms", "machine"}
"""Fields of the files of a run that differ between equal runs."""
INTERRUPTIONS = (*["SIGKILL"] * 6, "SIGTERM", "SIGINT", "disk", "memory", "pipe", "clock")


@dataclass(frozen=True)
class Campaign:
    """The files that all cases share, below ``path``."""

    path: Path

    def teacher(self, task: str) -> Path:
        name = "generator_A" if task in ("unpaired", "multimodal") else "generator"
        return self.path / "teachers" / task / f"{name}.safetensors"

    def run_words(self, name: str, out: Path = Path("run")) -> list[str]:
        """Command of a run: ``train paired`` and so on, or a name of `STUDENTS`. Equal runs have equal words: ``out`` too."""
        kind, _, task = name.partition(" ")
        if kind == "train":
            return flags_first(["train", *TEACHERS[task], *OFTEN["train"], "--out", str(out)])
        task, words = STUDENTS[name]
        data = TEACHERS[task][TEACHERS[task].index("--data") + 1]
        given = ["compress", str(self.teacher(task)), "--task", task, "--data", data, "--out", str(out)]
        return flags_first([*given, *words, *OFTEN["compress"]])


def flags_first(words: Sequence[str]) -> list[str]:
    """``words`` with the fields at the end, as the command line takes them."""
    return sorted(words, key=lambda word: bool(re.match(r"[a-z_.]+=", word)))


def prepare(campaign: Campaign) -> None:
    """Train the teachers and write the valid files that are damaged later, where they are not there yet."""
    for task, words in TEACHERS.items():
        out = campaign.path / "teachers" / task
        if not (out / "report.html").exists():
            shutil.rmtree(out, ignore_errors=True)
            _must(["train", *words, "--out", str(out)])
    valid = campaign.path / "valid"
    if valid.exists():
        return
    making = campaign.path / "valid.part"
    shutil.rmtree(making, ignore_errors=True)
    _must(["convert", str(campaign.teacher("paired")), "--out", str(making / "latest_net_G.pth")])
    _must(["export", str(campaign.teacher("paired")), "--out", str(making / "model.onnx")])
    Spawned(campaign.run_words("gan-compression"), making / "whole").wait()
    for stage in ("search", "recover"):
        Spawned(campaign.run_words("gan-compression"), making / stage, partial(_die_after, stage, 2)).wait()
    making.rename(valid)


def _die_after(stage: str, step: int) -> None:
    """Let this process end as by a kill, as soon as the checkpoint of a stage after ``step`` steps is written."""
    from pocketgan.core.run import Run

    save = Run.save_checkpoint

    def save_checkpoint(run: Run, name: str, done: int, *state: Any) -> Path:
        file = save(run, name, done, *state)
        if (name, done) == (stage, step):
            os._exit(9)
        return file

    Run.save_checkpoint = save_checkpoint  # type: ignore[method-assign, assignment]


def _must(words: list[str]) -> None:
    """Run a command that has to succeed, in a process of its own: this one stays without threads, so that it can fork."""
    ran = Spawned(flags_first(words)).wait()
    if ran.code != 0:
        raise SystemExit(f"pocketgan {' '.join(words)} ended with {ran.code}: {ran.text[-2000:]}")


class Spawned:
    """``pocketgan`` in a forked process, in ``folder``; ``before`` may return its standard output."""

    def __init__(self, words: Sequence[str], folder: Path | None = None, before: Callable[[], int | None] | None = None):
        self.output = Path(f"/tmp/pocketgan-faults-{os.getpid()}-{time.monotonic_ns()}")
        self.start = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                os.chdir(folder)
            ran = command(list(words), self.output, stdout=before() if before is not None else None)
            os._exit(99 if ran.code is None else ran.code)

    def wait(self, seconds: float = 300.0, send: int = signal.SIGKILL) -> Ran:
        """Wait for its end, for ``seconds`` at most: then it gets the signal ``send``, and ten seconds later SIGKILL."""
        deadline, sent = self.start + seconds, 0
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                os.kill(self.pid, send if not sent else signal.SIGKILL)
                sent, deadline = sent + 1, time.monotonic() + 10
            time.sleep(0.002)
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        self.output.unlink(missing_ok=True)
        code = os.waitstatus_to_exitcode(status)
        return Ran(None if code == 99 else code, text, time.monotonic() - self.start)


def interrupted(campaign: Campaign, name: str, seed: int) -> dict[str, Any]:
    """Run that is interrupted three to nine times at random moments and then resumed to its end."""
    rng = random.Random(f"{name} {seed}")
    reference, seconds = _reference(campaign, name)
    folder = campaign.path / "interrupted" / f"{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    first, *rest = campaign.run_words(name)
    run, faults = folder / "run", Counter[str]()
    row: dict[str, Any] = {"faults": faults, "verdict": "ok", "detail": ""}

    def words() -> list[str]:
        return [first, *(["--resume"] if run.exists() else []), *rest]

    def note(verdict: str, ran: Ran) -> dict[str, Any]:
        return {**row, "verdict": verdict, "detail": f"exit {ran.code}: {ran.text[-600:]}"}

    for _ in range(rng.randrange(3, 10)):
        how = rng.choice(INTERRUPTIONS)
        ran = _interrupt(how, words(), folder, seconds * rng.random(), rng)
        if ran.code == 0:
            break
        faults[how] += 1
        if "Traceback (most recent" in ran.text:
            return note("traceback", ran)
        if ran.code == 70 and how != "memory":
            return note("escaped", ran)
        if how in ("SIGTERM", "SIGINT", "disk") and ran.code is not None and ran.code >= 0 and "error: " not in ran.text:
            return note("mute", ran)
    ran = Spawned(words(), folder).wait()
    if ran.code != 0:
        return note("stuck", ran)
    if left := [str(file.relative_to(run)) for file in run.rglob(".*") if file.name != ".lock"]:
        return {**row, "verdict": "leftovers", "detail": ", ".join(left)}
    if differing := differences(reference, run):
        return {**row, "verdict": "lost", "detail": ", ".join(differing)}
    shutil.rmtree(folder)
    return row


def _interrupt(how: str, words: list[str], folder: Path, seconds: float, rng: random.Random) -> Ran:
    def disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    def memory() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        room = pages * resource.getpagesize() + limit * 2000
        resource.setrlimit(resource.RLIMIT_AS, (room, room))

    def clock() -> None:
        real, shift = time.time, rng.choice((-1e6, -3600, 1e9))
        time.time = lambda: real() + shift

    def pipe() -> int:
        read, write = os.pipe()
        os.close(read)
        return write

    limit = rng.randrange(1_000, 100_000)
    if how.startswith("SIG"):
        return Spawned(words, folder).wait(seconds, getattr(signal, how))
    spawned = Spawned(words, folder, {"disk": disk, "memory": memory, "clock": clock, "pipe": pipe}[how])
    return spawned.wait(seconds) if how == "clock" else spawned.wait()


def _reference(campaign: Campaign, name: str) -> tuple[Path, float]:
    """The same run without an interruption, and its seconds."""
    folder = campaign.path / "references" / name
    timed = folder / "seconds"
    if not timed.exists():
        shutil.rmtree(folder, ignore_errors=True)
        ran = Spawned(campaign.run_words(name), folder).wait()
        if ran.code != 0:
            raise SystemExit(f"{name} ended with {ran.code}: {ran.text[-2000:]}")
        timed.write_text(str(ran.seconds))
    return folder / "run", float(timed.read_text())


def differences(reference: Path, run: Path) -> list[str]:
    """Files of two runs that are not equal: in bytes, or as JSON without times. Pages and journals need only exist."""
    names = {str(file.relative_to(top)) for top in (reference, run) for file in top.rglob("*") if file.is_file()}
    names.discard("crash.log")  # of an interruption by a lack of memory
    return sorted(name for name in names if not _equal(reference / name, run / name))


def _equal(a: Path, b: Path) -> bool:
    if not (a.exists() and b.exists()):
        return False
    if a.suffix == ".html" or a.name in ("seconds.json", "search.journal"):
        return True
    if a.suffix in (".json", ".jsonl"):
        return [_still(json.loads(text)) for text in _texts(a)] == [_still(json.loads(text)) for text in _texts(b)]
    return a.read_bytes() == b.read_bytes()


def _texts(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]


def _still(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _still(value) for key, value in data.items() if key not in VOLATILE}
    return list(map(_still, data)) if isinstance(data, list) else data
