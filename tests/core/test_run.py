"""Run directories: begun once, resumed with the same configuration only, log and checkpoints readable after any crash."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from pocketgan.core.run import KEPT_CHECKPOINTS, Run, differences
from pocketgan.core.tensor_file import read_tensors
from pocketgan.utils.files import RunLock
from pocketgan.utils.progress import Reporter
from small_disk import small_disk


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
    assert run.checkpoints("fit") == []
    for step in (1, 2, 10, 200):
        run.save_checkpoint("fit", step, {"w": torch.full((2, 3), float(step)).t()}, {"note": step})
    run.save_checkpoint("fit2", 7, {}, {})
    assert len(list((tmp_path / "checkpoints").glob("fit-*"))) == KEPT_CHECKPOINTS
    assert [step for step, _ in run.checkpoints("fit")] == [200, 10]
    tensors, facts = read_tensors(run.checkpoints("fit")[0][1])
    assert facts == {"note": 200}
    assert torch.equal(tensors["w"], torch.full((3, 2), 200.0))


def test_checkpoints_of_later_steps_go_with_the_next_one(tmp_path: Path) -> None:
    """A training that begins anew, as all its checkpoints are damaged, keeps its own new ones."""
    run = Run(tmp_path)
    for step in (20, 30):
        run.save_checkpoint("fit", step, {}, {})
    for step in (5, 10):
        run.save_checkpoint("fit", step, {}, {})
        assert run.checkpoints("fit")[0][0] == step
    assert [step for step, _ in run.checkpoints("fit")] == [10, 5]


def test_only_files_named_by_a_step_are_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "fit-00000009.safetensors").mkdir(parents=True)
    os.mkfifo(tmp_path / "checkpoints" / "fit-00000008.safetensors")
    for name in ("fit-.safetensors", "fit-x.safetensors", "fit-1.safetensors", "fit-000000\u0663\u0664.safetensors"):
        (tmp_path / "checkpoints" / name).touch()
    assert Run(tmp_path).checkpoints("fit") == []


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    run.save_checkpoint("fit", 1, {"w": torch.ones(2)}, {})

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ValueError, match=r"cannot write .*fit-00000002\.safetensors: No space left on device"):
        run.save_checkpoint("fit", 2, {"w": torch.zeros(2)}, {})
    assert os.listdir(tmp_path / "checkpoints") == ["fit-00000001.safetensors"]
    assert run.checkpoints("fit")[0][0] == 1


def test_dropping_frees_everything_of_the_stage_alone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_checkpoint("search", 3, {"w": torch.ones(2)}, {})
    run.save_checkpoint("fit", 3, {"w": torch.ones(2)}, {})
    run.drop_checkpoints("fit")
    assert os.listdir(tmp_path / "checkpoints") == ["search-00000003.safetensors"]


def test_two_that_begin_at_once_are_one_run_and_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has seen no run when it asks for the lock, and gets the lock once the first has ended."""
    acquire = RunLock.acquire

    def after_another(lock: RunLock, timeout: float = 0.0) -> bool:
        monkeypatch.setattr(RunLock, "acquire", acquire)
        begin(tmp_path / "run", Config())
        return acquire(lock, timeout)

    monkeypatch.setattr(RunLock, "acquire", after_another)
    with pytest.raises(ValueError, match="holds a run already: --resume continues it"):
        begin(tmp_path / "run", Config())
    monkeypatch.setattr(RunLock, "acquire", after_another)
    with pytest.raises(ValueError, match="begun with another configuration; it differs in name"):
        begin(tmp_path / "run2", Config("b"), resume=True) if (tmp_path / "run").rename(tmp_path / "run2") else None
    assert RunLock(tmp_path / "run2").acquire()  # no error keeps the lock


def test_what_kills_have_left_half_written_goes_when_the_run_is_opened(tmp_path: Path) -> None:
    begin(tmp_path, Config())
    half = (".config.12.tmp.json", "checkpoints/.fit-00000004.123.tmp.safetensors", "samples/.fit_1.7.tmp.png", ".lock.9.tmp")
    others = ("a.tmp", ".tmp", "mobile/.x.1.tmp.json", "images/.notes.tmp.txt")
    for name in (*half, *others):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".images.31.tmp" / "full").mkdir(parents=True)
    begin(tmp_path, Config(), resume=True)
    assert not (tmp_path / ".images.31.tmp").exists()
    assert not [name for name in half if (tmp_path / name).exists()]
    assert all((tmp_path / name).exists() for name in others)


@pytest.mark.parametrize("content", [b"[]", b"null", b'{"name"', b"\xff", b"[" * 3000, b"7" * 5000])
def test_a_configuration_that_is_none_is_named(content: bytes, tmp_path: Path) -> None:
    begin(tmp_path, Config())
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json is .*; take another --out$") as caught:
        begin(tmp_path, Config(), resume=True)
    assert "\n" not in str(caught.value)


def test_lines_of_the_log_that_cannot_be_read_are_counted_and_left_out(tmp_path: Path) -> None:
    class Told(Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    said: list[str] = []
    good, other = b'{"stage": "fit", "step": 1}', b'{"stage": "search", "step": null}'
    bad = (b"null", b"[]", b"{", b"\xff\xfe", b"9" * 5000, b"[" * 5000 + b"]" * 5000, b'{"stage": "fit", "step": 1')
    unclear = (b'{"stage": "fit", "step": "2"}', b'{"stage": "fit"}')
    (tmp_path / "log.jsonl").write_bytes(b"\n".join((good, *bad, other, *unclear, b'{"stage": "f')))
    Run(tmp_path, Told()).rewind_log("fit", 5)
    assert (tmp_path / "log.jsonl").read_bytes().splitlines() == [good, other]
    assert said == [f"{tmp_path / 'log.jsonl'}: 7 lines cannot be read and are left out, line 2 first"]


def test_a_pipe_as_the_log_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(ValueError, match=r"log\.jsonl is a pipe, folder or device, not a file"):
        Run(tmp_path).rewind_log("fit", 0)


def test_a_full_disk_is_named_with_the_log(tmp_path: Path) -> None:
    with small_disk(1000), pytest.raises(ValueError, match=r"^cannot write .*log\.jsonl: "):
        Run(tmp_path).log({"text": "x" * 5000})


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file is a file, and a folder is needed"):
        begin(tmp_path / "file", Config())
    for owner, name, code in ((fcntl, "flock", errno.EROFS), (os, "mkdir", errno.EACCES), (os, "open", errno.EACCES)):
        monkeypatch.setattr(owner, name, _raiser(code))
        with pytest.raises(ValueError, match=rf"^cannot work in .*: {os.strerror(code)}; give another folder$"):
            begin(tmp_path / name, Config())
        monkeypatch.undo()


def _raiser(code: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse
