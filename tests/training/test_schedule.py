"""Schedules: warm-up, steps that fit into a time, Muon, the average of the weights."""

import math
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.core.run import Run
from pocketgan.core.tensor_file import read_tensors
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training import loop
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer, fit
from pocketgan.training.optimizers import Muon
from pocketgan.training.schedule import lr_factor, read_steps, steps_within
from toy_tasks import CPU, batch, batches, generator, make_discriminator, same, weights


@given(st.integers(1, 50), st.sampled_from(["none", "cosine", "linear"]))
def test_the_rate_rises_by_equal_steps_and_then_decays_as_before(warmup: int, decay: str) -> None:
    plain, warm = (TrainingConfig(steps=100, decay=decay, warmup=steps) for steps in (0, warmup))
    for step in range(100):
        assert lr_factor(step, warm) == pytest.approx(min(1, (step + 1) / warmup) * lr_factor(step, plain))


@given(
    st.floats(1, 1e4), st.floats(1e-3, 10), st.integers(1, 16), st.integers(0, 10_000), st.floats(0, 1)
)  # fmt: skip
def test_as_many_steps_as_fit(seconds: float, step: float, batch: int, inputs: int, each: float) -> None:
    def time(steps: int) -> float:
        return steps * step + min(steps * batch, inputs) * each

    found = steps_within(seconds, step, batch=batch, inputs=inputs, each=each)
    assert found == 1 or time(found) <= seconds * (1 + 1e-9)
    # The last step of the first pass may be a part of one:
    assert time(found + 1) > seconds * (1 - 1e-9) - batch * each


class Clock:
    """Time that goes on by a second with every step of training."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 0.0
        monkeypatch.setattr(loop, "monotonic", lambda: self.now)
        advance = Trainer.advance

        def counted(trainer: Trainer, given: object) -> dict[str, Tensor]:
            self.now += 1.0
            return advance(trainer, given)  # type: ignore[arg-type]

        monkeypatch.setattr(Trainer, "advance", counted)


def task() -> Pix2PixTask:
    torch.manual_seed(0)
    return Pix2PixTask(generator(), make_discriminator(6))


def trained(path: Path, *, dies: int | None = None, seconds: float = 40.0) -> dict[str, Tensor]:
    """Tensors at the end of a training of that many seconds, which is killed and resumed."""
    config = TrainingConfig(decay="cosine", checkpoint_every=10, log_every=10, sample_every=0)
    path.mkdir()
    run = Run(path)

    def mortal(start: int):  # type: ignore[no-untyped-def]
        yield from islice(batches(start), dies - start)  # type: ignore[operator]
        raise KeyboardInterrupt

    if dies is not None:
        with pytest.raises(KeyboardInterrupt):
            fit(task(), mortal, config, run, stage="fit", device=CPU, seconds=seconds)
    fit(task(), batches, config, run, stage="fit", device=CPU, seconds=seconds)
    assert read_steps(run, "fit") == run.checkpoints("fit")[0][0]
    return read_tensors(run.checkpoints("fit")[0][1])[0]


def test_a_training_of_so_many_seconds_takes_them_and_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    whole = trained(tmp_path / "whole")
    assert clock.now == 40.0
    assert same(whole, trained(tmp_path / "killed", dies=25))


def test_a_number_of_steps_that_cannot_be_read_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    for number, text in enumerate(("[]", "{", '{"fit": -3}', '{"fit": "7"}')):
        path = tmp_path / str(number)
        path.mkdir()
        (path / "schedule.json").write_text(text)
        fit(task(), batches, TrainingConfig(sample_every=0), Run(path), stage="fit", device=CPU, seconds=5.0)
        assert read_steps(Run(path), "fit") == 5


def test_muons_step_has_equal_singular_values_of_the_size_of_adams() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 3, 5, 5))
    before = weight.detach().clone()
    optimizer = Muon([weight], 0.1)
    (weight * torch.randn(8, 3, 5, 5)).sum().backward()
    optimizer.step()
    step = (before - weight.detach()).flatten(1)
    singular = torch.linalg.svdvals(step) / (0.1 * 0.2 * math.sqrt(75))
    assert ((singular > 0.6) & (singular < 1.3)).all()  # the iteration brings them between about 0.7 and 1.2


def test_muon_continues_from_its_state_and_leaves_what_has_no_gradient() -> None:
    def run(weight: nn.Parameter, optimizer: Muon, steps: range) -> None:
        for step in steps:
            (weight.sin() * (step + 1)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    torch.manual_seed(0)
    start = torch.randn(4, 2, 3, 3)
    whole, first = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    one, two = Muon([whole], 0.01), Muon([first], 0.01)
    run(whole, one, range(6))
    run(first, two, range(2))
    second = nn.Parameter(first.detach().clone())
    three = Muon([second], 0.01)
    three.load_state_dict(two.state_dict())
    run(second, three, range(2, 6))
    assert torch.equal(second, whole)
    three.step()
    assert torch.equal(second, whole)


def test_muon_trains_dense_weights_of_the_generator_and_nothing_else() -> None:
    trained = Trainer(task(), TrainingConfig(muon=1e-3, steps=2), CPU)
    shapes = {tuple(p.shape) for p in trained.optimizers["muon-G"].param_groups[0]["params"]}
    dense = {(p.shape[0], p[0].numel()) for p in trained.task.networks["G"].parameters() if p.ndim == 4}
    assert shapes == dense
    assert "muon-D" not in trained.optimizers
    before = weights(trained.task.networks["G"])
    trained.advance(batch())
    after = trained.task.networks["G"].state_dict()
    assert all(not torch.equal(after[name], tensor) for name, tensor in before.items() if tensor.ndim == 4)
    for depthwise, column in (((8, 1, 3, 3), (8, 1)), ((1, 8, 3, 3), (1, 8))):
        assert not Muon.takes(torch.empty(depthwise))
        assert not Muon.takes(torch.empty(column))


def test_the_result_of_an_averaged_training_is_the_average() -> None:
    torch.manual_seed(0)
    own = Pix2PixTask(generator(), make_discriminator(6), average=0.002)  # halves in two images
    trainer = Trainer(own, TrainingConfig(steps=3), CPU)
    mean = weights(own.networks["G"])
    for step in range(3):
        trainer.advance(batch(step))
        current = own.networks["G"].state_dict()
        mean = {name: 0.5 * tensor + 0.5 * current[name] for name, tensor in mean.items()}
    found = own.final_network("G")
    assert found is own.latest is not own.networks["G"]
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(tensor, mean[name])
