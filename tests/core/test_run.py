"""Run directories: begun once, resumed with the same configuration only, log and checkpoints readable after any crash."""

import errno
import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from pocketgan.core.run import KEPT_CHECKPOINTS, Run, differences
from pocketgan.utils.files import RunLock


@dataclass(frozen=True)
class Inner:
    lr: float = 0.5
    steps: int = 3


@dataclass(frozen=True)
class Config:
    name: str = "a"
    fit: Inner = field(default_factory=Inner)


def begin(path: Path, config: Config, **choices: bool) -> None:
    with Run.open(path, config, **choices):
        pass


def test_a_run_is_not_begun_twice(tmp_path: Path) -> None:
    begin(tmp_path / "run", Config())
    with pytest.raises(ValueError, match=r"holds a run already: --resume continues it, another --out begins a new one"):
        begin(tmp_path / "run", Config())
    begin(tmp_path / "run", Config(), resume=True)


def test_resuming_nothing_begins(tmp_path: Path) -> None:
    begin(tmp_path / "new", Config(), resume=True)
    assert (tmp_path / "new" / "config.json").exists()


def test_another_configuration_is_named_field_by_field(tmp_path: Path) -> None:
    begin(tmp_path, Config())
    other = Config("b", Inner(steps=4))
    with pytest.raises(ValueError) as caught:
        begin(tmp_path, other, resume=True)
    assert str(caught.value).endswith("it differs in fit.steps: 3 -> 4; name: 'a' -> 'b'")
    assert "\n" not in str(caught.value)
    with Run.open(tmp_path, other, resume=True, changed=True) as run:
        assert differences(tmp_path, Config()) == {}
        run.write_config(other)
    assert differences(tmp_path, other) == {}
    assert differences(tmp_path, Config()) == {"fit.steps": "4 -> 3", "name": "'b' -> 'a'"}


def test_a_run_is_worked_on_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketgan.core.run.PATIENCE", 0.1)
    with Run.open(tmp_path, Config()):
        with pytest.raises(ValueError, match="is being worked on by another process: wait for it, or take another --out"):
            Run.open(tmp_path, Config(), resume=True)
        joining = Run.open(tmp_path, Config(), resume=True, joins=True)
        assert not joining.lock.acquire()
    assert joining.lock.acquire()
    joining.lock.release()


def test_a_killed_process_holds_no_run(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from pocketgan.utils.files import RunLock"
    code += "; lock = RunLock(Path(sys.argv[1])); print(lock.acquire(), flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    lock = RunLock(tmp_path)
    assert not lock.acquire()
    process.kill()
    process.communicate()
    assert lock.acquire()
    assert lock.acquire()
    assert not RunLock(tmp_path).acquire()
    lock.release()
    assert RunLock(tmp_path).acquire()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_on_a_disk_without_locks_every_process_gets_it(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        lock = RunLock(tmp_path)
        assert lock.acquire()
        lock.release()


def test_the_log_is_rewound_to_a_step_of_one_stage(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.rewind_log("fit", 0)  # nothing there yet
    for stage, step in (("search", 9), ("fit", 1), ("fit", 2), ("fit", 3)):
        run.log({"stage": stage, "step": step})
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"stage": "fit", "st')  # a crash
    run.rewind_log("fit", 2)
    expected = ['{"stage": "search", "step": 9}', '{"stage": "fit", "step": 1}', '{"stage": "fit", "step": 2}']
    assert (tmp_path / "log.jsonl").read_text().splitlines() == expected


def test_the_newest_checkpoints_are_kept_and_come_back(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.load_checkpoint("fit") is None
    for step in (1, 2, 10, 200):
        run.save_checkpoint("fit", step, {"w": torch.full((2, 3), float(step)).t()}, {"note": step})
    run.save_checkpoint("fit2", 7, {}, {})
    assert len(list((tmp_path / "checkpoints").glob("fit-*"))) == KEPT_CHECKPOINTS
    step, tensors, facts = run.load_checkpoint("fit")
    assert (step, facts) == (200, {"note": 200})
    assert torch.equal(tensors["w"], torch.full((3, 2), 200.0))


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_checkpoint("fit", 1, {"w": torch.ones(9)}, {})
    newest = run.save_checkpoint("fit", 2, {"w": torch.ones(9)}, {})
    os.truncate(newest, newest.stat().st_size - 5)
    assert run.load_checkpoint("fit")[0] == 1


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    run.save_checkpoint("fit", 1, {"w": torch.ones(2)}, {})

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ValueError, match=r"cannot write .*fit-00000002\.safetensors: No space left on device"):
        run.save_checkpoint("fit", 2, {"w": torch.zeros(2)}, {})
    assert os.listdir(tmp_path / "checkpoints") == ["fit-00000001.safetensors"]
    assert run.load_checkpoint("fit")[0] == 1


def test_dropping_frees_everything_of_the_stage_alone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_checkpoint("search", 3, {"w": torch.ones(2)}, {})
    run.save_checkpoint("fit", 3, {"w": torch.ones(2)}, {})
    (tmp_path / "checkpoints" / ".fit-00000004.123.tmp.safetensors").write_bytes(b"killed in a write")
    run.drop_checkpoints("fit")
    assert os.listdir(tmp_path / "checkpoints") == ["search-00000003.safetensors"]
