"""Commands of the command line, and what the tests of whole runs read of their runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pocketgan.cli import main
from pocketgan.core.run import Run

CHEAP = ["--batch", "2", "--device", "cpu", "data.workers=0", 'evaluation.runtimes=["torch"]', "evaluation.repeats=2"]
TINY = ["--size", "16", "--steps", "3", *CHEAP, "data.limit=6", "evaluation.images=3"]
LATENTS = ["--size", "32", *TINY[2:], "--data", "textures"]
LABELS = ["--task", "labels", "--data", "shapes", "--steps", "2", *CHEAP, "data.limit=4", "evaluation.images=2"]
LABELS += ["perceptual=pixels"]
NETS = ['arch_options={"ngf":8,"blocks":2}', 'discriminator_options={"ndf":4,"layers":1}']


class Killed(SystemExit):
    """Ends a run as a kill would: the command line lets it through."""


@contextmanager
def killed_after(stage: str, step: int) -> Iterator[None]:
    """A process that is killed right after it has written the state of a stage after ``step`` steps."""
    saved = Run.save_checkpoint

    def save_checkpoint(run: Run, name: str, done: int, *state: Any) -> Path:
        file = saved(run, name, done, *state)
        if (name, done) == (stage, step):
            raise Killed
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save_checkpoint", save_checkpoint)
        yield


def words(*arguments: object) -> list[str]:
    """Flags before fields, as the command line takes them."""
    texts = [str(argument) for argument in arguments]
    return sorted(texts, key=lambda text: "=" in text)


def command(*arguments: object) -> None:
    """Run a command that has to succeed."""
    assert main(words(*arguments)) == 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that has to fail; its error message, which is one line."""
    capsys.readouterr()
    assert main(words(*arguments)) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run a command with ``--json``; the object that it prints."""
    capsys.readouterr()
    command(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read(run: Path, name: str = "result.json") -> dict[str, Any]:
    """A JSON file of a run."""
    return json.loads((run / name).read_text())


def entries(run: Path, stage: str) -> list[dict[str, Any]]:
    """The lines that a stage logged."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["stage"] == stage]


def losses(run: Path, stage: str) -> set[str]:
    """The names of all losses that a stage logged."""
    return {name for entry in entries(run, stage) for name in entry["losses"]}


def roles(run: Path) -> set[str]:
    """The roles of the images that a run keeps."""
    return {path.stem.partition("_")[2] for path in (run / "images").iterdir()}


def metrics(quality: dict[str, float]) -> list[str]:
    """The names of the metrics, without what they are measured on."""
    return sorted(name.partition("[")[0] for name in quality)
