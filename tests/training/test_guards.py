"""Failures of numbers, disks and devices: one clear line, and no computed state is lost."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pocketgan.core.run import Run
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.distributed import choose_device
from pocketgan.training.loop import fit
from pocketgan.training.monitor import Diverged
from pocketgan.training.task import Phase, Task
from toy_tasks import CPU, batch, batches, generator, make_discriminator, newest_checkpoint, run_fit, same, weights


def task() -> Pix2PixTask:
    return Pix2PixTask(generator(dropout=0.5), make_discriminator(6))


def poisoned(start: int) -> Iterator[dict[str, Tensor]]:
    """Yield batches of which step 5 is NaN."""
    for step, images in enumerate(batches(start), start):
        yield {role: image * (torch.nan if step == 5 else 1) for role, image in images.items()}


@pytest.mark.parametrize("every", [2, 4])
def test_nan_loss_stops_and_keeps_the_last_good_state(tmp_path: Path, every: int) -> None:
    config, run = TrainingConfig(steps=9, log_every=100, checkpoint_every=every), Run(tmp_path)
    with pytest.raises(Diverged) as caught:
        fit(task(), poisoned, config, run, stage="fit", device=CPU)
    text = f"fit: D/d_adv, G/gan, G/l1 is no longer a number near step {6 if every == 2 else 8}; "
    assert str(caught.value) == f"{text}the state after step 4 is kept in {tmp_path / 'checkpoints'}; try a lower lr or float32"
    step, tensors, _ = newest_checkpoint(run, "fit")
    assert step == 4
    assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())
    assert not [line for line in (tmp_path / "log.jsonl").read_text().splitlines() if "NaN" in line]


def test_nan_loss_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="near step 6; none was saved; try a lower lr"):
        fit(task(), poisoned, TrainingConfig(steps=6), Run(tmp_path), stage="fit", device=CPU)
    assert not (tmp_path / "checkpoints").exists()


class Cliff(Task):
    """Task with a finite loss and an infinite gradient."""

    def __init__(self) -> None:
        super().__init__({"G": nn.Linear(1, 1, bias=False)}, (Phase("G", ("G",)),), {"root": 1.0})
        nn.init.zeros_(self.networks["G"].weight)

    def forward(self, batch: object) -> dict[str, Tensor]:
        return {}

    def losses(self, phase: str, batch: object, outputs: object) -> dict[str, Tensor]:
        return {"root": self.networks["G"].weight.abs().sqrt().sum()}

    def images(self, batch: object) -> dict[str, Tensor]:
        return {}


def test_nan_weights_are_never_saved(tmp_path: Path) -> None:
    """In the last step and at a checkpoint, no later loss can reveal it."""
    with pytest.raises(Diverged, match="fit: a weight of G is no longer a number near step 1; none was saved"):
        run_fit(Cliff(), TrainingConfig(steps=1), tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_full_disk_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainingConfig(steps=6, checkpoint_every=2, log_every=2)
    complete = task()
    run_fit(complete, config, tmp_path / "complete")
    replace, written = os.replace, []

    def full(source: str, target: str) -> None:
        written.append(target)
        if len(written) > 1 and "checkpoints" in str(target):
            raise OSError(28, os.strerror(28))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ValueError) as caught:
        run_fit(task(), config, tmp_path / "full")
    monkeypatch.undo()
    file = tmp_path / "full" / "checkpoints" / "fit-00000004.safetensors"
    assert str(caught.value) == f"cannot write {file}: No space left on device; what stood there before is kept"
    assert os.listdir(file.parent) == ["fit-00000002.safetensors"]
    resumed = task()
    run_fit(resumed, config, tmp_path / "full")
    assert all(same(weights(resumed.networks[name]), weights(complete.networks[name])) for name in ("G", "D"))
    steps = [json.loads(line)["step"] for line in (tmp_path / "full" / "log.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]


def test_finished_training_restores_its_weights(tmp_path: Path) -> None:
    first, again = task(), task()
    run_fit(first, TrainingConfig(steps=2), tmp_path)
    log = (tmp_path / "log.jsonl").read_bytes()
    run_fit(again, TrainingConfig(steps=2), tmp_path)
    assert same(weights(first.networks["G"]), weights(again.networks["G"]))
    assert (tmp_path / "log.jsonl").read_bytes() == log


def test_samples_do_not_change_the_training(tmp_path: Path) -> None:
    config = TrainingConfig(steps=4, sample_every=1)
    plain, shown = task(), task()
    torch.manual_seed(0)
    run_fit(plain, config, tmp_path / "plain")
    torch.manual_seed(0)
    run_fit(shown, config, tmp_path / "shown", show=batch(99))
    assert same(weights(plain.networks["G"]), weights(shown.networks["G"]))
    assert sorted(os.listdir(tmp_path / "shown" / "samples")) == [f"fit_00000{step}.png" for step in (1, 2, 3, 4)]


def test_log_holds_the_means_of_each_interval(tmp_path: Path) -> None:
    run_fit(task(), TrainingConfig(steps=5, log_every=1), tmp_path / "fine")
    run_fit(task(), TrainingConfig(steps=5, log_every=3), tmp_path / "coarse")
    fine, coarse = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()] for name in ("fine", "coarse")
    )
    assert [entry["step"] for entry in coarse] == [3, 5]
    for entry, part in zip(coarse, (fine[:3], fine[3:]), strict=True):
        for name, value in entry["losses"].items():
            assert value == pytest.approx(sum(line["losses"][name] for line in part) / len(part), rel=1e-5)
        assert entry["lr"] == part[-1]["lr"]
        assert entry["stage"] == "fit"


def test_tensorboard_events_equal_the_log(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_fit(task(), TrainingConfig(steps=4, log_every=2, tensorboard=True), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    found = [(event.step, event.value) for event in events.Scalars("fit/G/l1")]
    assert found == [(entry["step"], pytest.approx(entry["losses"]["G/l1"])) for entry in entries]


def test_missing_devices_are_errors() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("cuda:99", "banana"):
        with pytest.raises(ValueError, match=f"device '{name}' is not available: ") as caught:
            choose_device(name)
        assert "\n" not in str(caught.value)
