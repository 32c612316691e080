"""Checkpoints that are not whole: the one before is taken, or the stage begins anew, and a line says which."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pocketgan.core.run import Run
from pocketgan.core.tensor_file import read_tensors, write_tensors
from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.distributed import environment_int, processes
from pocketgan.training.loop import fit
from pocketgan.utils.progress import Reporter
from toy_tasks import CPU, batches, generator, make_discriminator, newest_checkpoint, same

CONFIG = TrainingConfig(steps=6, checkpoint_every=2, log_every=2)


class Told(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def train(path: Path, steps: int) -> list[str]:
    """Train up to a step, from what is in the run; return what was said."""
    torch.manual_seed(4)
    task = CycleGANTask((generator(dropout=0.5), generator(seed=1)), (make_discriminator(), make_discriminator(seed=1)), pool=3)
    path.mkdir(exist_ok=True)
    told = Told()

    def until(start: int) -> object:
        for step, images in zip(range(start, CONFIG.steps), batches(start), strict=False):
            if step == steps:
                raise KeyboardInterrupt
            yield images

    torch.manual_seed(5)
    try:
        fit(task, until, CONFIG, Run(path, told), stage="fit", device=CPU)
    except KeyboardInterrupt:
        assert steps < CONFIG.steps
    return told.said


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    path = tmp_path_factory.mktemp("complete")
    train(path, CONFIG.steps)
    return newest_checkpoint(Run(path), "fit")[1]


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1000] ^= 4
    file.write_bytes(content)


def changed(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    """Damage of one who knows the checksum."""

    def write(file: Path) -> None:
        tensors, facts = read_tensors(file)
        change(tensors)
        write_tensors(file, tensors, facts)

    return write


WEIGHT, MOMENT = "network/G_A/stem.conv.weight", "optimizer/G/0/exp_avg"
DAMAGES: dict[str, Callable[[Path], None]] = {
    "one bit": flipped,
    "empty": lambda file: file.write_bytes(b""),
    "nan": changed(lambda tensors: tensors[next(iter(sorted(t for t in tensors if "network/G_A" in t)))].fill_(torch.nan)),
    "missing": changed(lambda tensors: tensors.pop("rng/cpu")),
    "extra": changed(lambda tensors: tensors.update({"network/G_A/extra": torch.ones(1)})),
    "shape": changed(lambda tensors: tensors.update({MOMENT: torch.ones(2, 3)})),
    "index": changed(lambda tensors: tensors.update({"optimizer/G/999/exp_avg": torch.ones(2)})),
    "name": changed(lambda tensors: tensors.update({"optimizer/G/first": torch.ones(2)})),
    "random": changed(lambda tensors: tensors.update({"rng/cpu": torch.ones(3)})),
    "pool": changed(lambda tensors: tensors.update({"task/A.x": torch.ones(3)})),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(kind: str, tmp_path: Path, end: dict[str, Tensor]) -> None:
    train(tmp_path, 5)
    (newest, file), (before, _) = Run(tmp_path).checkpoints("fit")
    assert (newest, before) == (4, 2)
    DAMAGES[kind](file)
    (said,) = train(tmp_path, CONFIG.steps)
    assert said.startswith(f"warning: {file}")
    assert said.endswith("; fit goes on from the checkpoint of step 2")
    assert "\n" not in said
    assert same(newest_checkpoint(Run(tmp_path), "fit")[1], end)


@pytest.mark.parametrize("kind", ["one bit", "extra", "pool"])
def test_without_a_whole_one_the_stage_begins_anew(kind: str, tmp_path: Path, end: dict[str, Tensor]) -> None:
    """With the very state that it had before the damaged ones were looked at."""
    train(tmp_path, 5)
    for _, file in Run(tmp_path).checkpoints("fit"):
        DAMAGES[kind](file)
    (said,) = train(tmp_path, CONFIG.steps)
    assert said.count("fit-0000000") == 2
    assert said.endswith("; fit begins anew")
    assert same(newest_checkpoint(Run(tmp_path), "fit")[1], end)


@pytest.mark.parametrize("text", ["abc", "", "-1", "1.5", "\u0663", "9" * 20])
def test_numbers_of_a_launcher_are_checked(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(ValueError, match=r"^WORLD_SIZE=.* in the environment: torchrun sets a whole number there"):
        processes()
    monkeypatch.delenv("WORLD_SIZE")
    assert environment_int("WORLD_SIZE", 1) == 1
