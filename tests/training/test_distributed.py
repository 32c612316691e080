"""Training in two processes: equal to one process, exact resume, common end after an error."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from two_processes import STEPS, TASKS, process, random_task, train_task

from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact
from pocketgan.core.run import Run
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import batch_slice, train_batches
from pocketgan.training import distributed
from pocketgan.training.config import TrainingConfig
from pocketgan.training.distributed import Processes, choose_device
from pocketgan.training.loop import fit
from toy_tasks import CPU, FORKSERVER, newest_checkpoint

pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows one process only"),
    pytest.mark.filterwarnings("ignore:a search of"),
    pytest.mark.xdist_group("processes"),
]
NETS = ['arch_options={"ngf":4,"blocks":1}', 'discriminator_options={"ndf":4,"layers":1}']
NOISE = 1e-8
"""Bound on a bias before an instance norm, whose gradient is rounding only."""
TINY = ["data.workers=0", 'evaluation.runtimes=["torch"]', "evaluation.repeats=1", "evaluation.images=1"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def two(job: str, folder: Path) -> list[int | None]:
    """Return both exit statuses, None for a process that was killed after a timeout."""
    port = free_port()
    both = [FORKSERVER.Process(target=process, args=(rank, port, job, str(folder))) for rank in (0, 1)]
    for child in both:
        child.start()
    for child in both:
        child.join(120)
    codes = [child.exitcode for child in both]
    for child in both:
        child.kill()
    return codes


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder written by two processes."""
    folder = tmp_path_factory.mktemp("together")
    codes = two("tasks", folder)
    assert codes == [0, 0], "".join((folder / f"stderr-{rank}").read_text() for rank in (0, 1))
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_two_processes_equal_one_with_the_same_batches(together: Path, name: str) -> None:
    """After six steps of Adam in float64: weights, running statistics, masks, the optimizers' moments, the losses."""
    alone = train_task(name)
    for rank in (0, 1):
        ours = {k: v for k, v in load_file(together / f"tasks-{rank}").items() if k.startswith(f"{name}/")}
        assert ours.keys() == alone.keys()
        for key, value in alone.items():
            if key.endswith("conv.bias") and value.abs().max() < NOISE:
                assert ours[key].abs().max() < NOISE
                continue
            torch.testing.assert_close(ours[key], value, rtol=1e-10, atol=1e-10, equal_nan=True, msg=key)


@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_resume_in_two_processes_is_exact(together: Path, kind: str) -> None:
    ends = [load_file(together / f"{kind}-{interruptions}" / f"end-{rank}") for interruptions in (0, 1) for rank in (0, 1)]
    for end in ends[1:]:
        assert all(torch.equal(end[name], ends[0][name]) for name in ends[0])
    logs = [(together / f"{kind}-{interruptions}" / "log.jsonl").read_text().splitlines() for interruptions in (0, 1)]
    losses = [[(json.loads(line)["step"], json.loads(line)["losses"]) for line in log] for log in logs]
    assert losses[0] == losses[1]
    assert [step for step, _ in losses[0]] == [2, 3, 4, 6]


def test_random_states_and_pools_differ_between_processes(together: Path) -> None:
    _, tensors, facts = newest_checkpoint(Run(together / "unpaired-0"), "train")
    assert facts == {"processes": 2}
    assert not torch.equal(tensors["rng/cpu"], tensors["rank1/rng/cpu"])
    pools = [[tensors[f"{prefix}task/A.{index}"] for index in range(3)] for prefix in ("", "rank1/")]
    assert not any(torch.equal(a, b) for a in pools[0] for b in pools[1])


def test_compression_in_two_processes(together: Path) -> None:
    run, students = together / "compressed", [load_file(together / f"student-{rank}") for rank in (0, 1)]
    assert all(torch.equal(students[0][name], students[1][name]) for name in students[0])
    kept = load_artifact(run / "student.safetensors").model.state_dict()
    assert all(torch.equal(students[0][name], kept[name]) for name in kept)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [(entry["stage"], entry["step"]) for entry in log] == [("search", 2), ("recover", 2)]
    assert not list((run / "checkpoints").iterdir())


def test_resume_with_fewer_processes_is_an_error(together: Path) -> None:
    run, task = Run(together / "paired-0"), random_task("paired")
    with pytest.raises(ValueError, match="train was begun by 2 processes, and goes on exactly in as many; here is 1"):
        fit(task, lambda start: iter(()), TrainingConfig(steps=STEPS), run, stage="train", device=CPU)


def test_different_weights_are_an_error_in_both(together: Path) -> None:
    messages = {(together / f"desynchronized-{rank}").read_text() for rank in (0, 1)}
    assert len(messages) == 1
    assert messages.pop().startswith("train, step 1: D.conv1.conv.weight is not the same in all 2 processes (1 of ")


def test_slices_join_to_the_batch() -> None:
    data = open_data(DataConfig(path="shapes", size=16, flip=True, workers=0, limit=5), "paired", "train")
    whole = train_batches(data, batch=6, seed=1, start=3)
    parts = [train_batches(data, batch=6, seed=1, start=3, slice_of=(rank, 3)) for rank in range(3)]
    for _ in range(2):
        expected, slices = next(whole), [next(part) for part in parts]
        assert all(torch.equal(torch.cat([part[role] for part in slices]), images) for role, images in expected.items())


def test_batch_must_be_divisible_by_the_processes() -> None:
    text = "counts the images of all 4 processes, which take equal parts: take"
    with pytest.raises(ValueError, match=f"batch=6 {text} 4 or 8"):
        batch_slice(6, 0, 4)
    with pytest.raises(ValueError, match=f"batch=1 {text} 4$"):
        batch_slice(1, 0, 4)


def test_numbered_device_is_an_error_with_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_current", Processes(1, 2))
    assert choose_device("cpu") == CPU
    with pytest.raises(ValueError, match="device 'cuda:1' is one device, and there are 2 processes: take cuda"):
        choose_device("cuda:1")


def test_commands_for_one_process_are_errors_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distributed, "_current", Processes(0, 2))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["evaluate", "x", "--data", "y"]) == 2
    text = "error: 'evaluate' runs in one process; commands for several processes: train, compress, quickstart, recipes"
    assert capsys.readouterr().err.splitlines() == [text]
    assert main(["recipes", "dmad-ablations", "--out", str(tmp_path / "run")]) == 2
    assert "error: a comparison runs in one process" in capsys.readouterr().err


def test_a_command_in_two_processes_writes_one_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "--task", "paired", "--data", "shapes", "--size", "16", "--steps", "3", "--batch", "2"]
    words += ["--out", str(out), "--device", "cpu", *TINY, *NETS, "data.limit=4", "training.log_every=1"]
    (tmp_path / "words").write_text("\n".join(words))
    assert two("command", tmp_path) == [0, 0], "".join((tmp_path / f"stderr-{rank}").read_text() for rank in (0, 1))
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [1, 2, 3]
    names = ("config.json", "discriminator.safetensors", "generator.safetensors", "result.json", "report.html")
    assert all((out / name).is_file() for name in names)
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]


def test_after_a_kill_the_other_ends_and_the_checkpoint_is_complete(tmp_path: Path) -> None:
    assert two("killed", tmp_path) == [1, -signal.SIGKILL]
    assert (
        "PeerLost: another process has ended or does not answer, so this one stops, too" in (tmp_path / "stderr-0").read_text()
    )
    assert newest_checkpoint(Run(tmp_path), "train")[0] == 3


def test_bad_image_in_one_process_ends_both_with_one_line(tmp_path: Path) -> None:
    """Headers are read before any work; damage further on appears in the process whose slice has the image."""
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for index in range(2):
            noise = np.random.default_rng(index).integers(0, 255, (16, 32, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "data" / split / f"{index}.png")
    bad = tmp_path / "data" / "train" / "0.png"
    bad.write_bytes(bad.read_bytes()[:-400])
    words = ["train", "--task", "paired", "--data", str(tmp_path / "data"), "--size", "16", "--steps", "40", "--batch", "2"]
    words += ["--out", str(tmp_path / "run"), "--device", "cpu", *TINY, *NETS]
    (tmp_path / "words").write_text("\n".join(words))
    assert two("command", tmp_path) == [2, 2]
    stderr = "".join((tmp_path / f"stderr-{rank}").read_text() for rank in (0, 1))
    assert stderr.count("error:") == 1
    assert "0.png" in stderr
    assert "Traceback" not in stderr
