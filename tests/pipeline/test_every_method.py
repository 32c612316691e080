"""Every method by its command: within the budget, and the same student when it is killed and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import TINY, command

import pocketgan.pipeline  # noqa: F401  (fills the registry)
from pocketgan.methods import METHODS

pytestmark = pytest.mark.xdist_group("pipeline")
OPTIONS = {"gan-compression": ["method_options.candidates=4", "method_options.images=2"]}


def words(name: str, teacher: Path, out: Path, *more: str) -> list[str]:
    arguments = ["compress", str(teacher / "generator.safetensors"), "--data", "shapes", "--method", name, "--budget", "3x"]
    return [*arguments, "--out", str(out), *more, *TINY, *OPTIONS.get(name, [])]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_runs_by_its_command(name: str, teacher: Path, tmp_path: Path, quick_export: None) -> None:
    command(*words(name, teacher, tmp_path / "s"))
    result = json.loads((tmp_path / "s" / "result.json").read_text())
    assert 0 < result["budget"]["reached"] <= result["budget"]["limit"]
    assert result["method"] == name
    log = [json.loads(line) for line in (tmp_path / "s" / "log.jsonl").read_text().splitlines()]
    assert any(line["stage"] == "search" for line in log) == METHODS[name].learns
    assert (tmp_path / "s" / "candidates.jsonl").exists() == (name == "gan-compression")


@pytest.mark.parametrize("name", ["dmad", "gan-compression"])
def test_a_search_that_is_killed_goes_on_to_the_same_student(name: str, teacher: Path, tmp_path: Path) -> None:
    """By SIGKILL, as soon as the search has written a state."""
    longer = ["search.steps=20", "search.checkpoint_every=2"]
    command(*words(name, teacher, tmp_path / "whole", "--to", "recover"), *longer)
    run = subprocess.Popen(
        [sys.executable, "-m", "pocketgan", *words(name, teacher, tmp_path / "killed", "--to", "recover"), *longer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    states = tmp_path / "killed" / "checkpoints"
    for _ in range(6000):
        if list(states.glob("search-*.safetensors")) or run.poll() is not None:
            break
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (tmp_path / "killed" / "pruned.safetensors").exists()
    command(*words(name, teacher, tmp_path / "killed", "--to", "recover", "--resume"), *longer)
    for file in ("pruned.safetensors", "student.safetensors"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
