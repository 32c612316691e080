"""A killed training, resumed, ends with exactly the weights of an uninterrupted one."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pocketgan.core import tensor_file
from pocketgan.core.run import Run
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import train_batches
from pocketgan.models import patchgan, resnet
from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import fit
from pocketgan.training.task import Task
from toy_tasks import CPU, FORKSERVER, generator, make_discriminator, same

CONFIG = TrainingConfig(steps=12, batch=2, log_every=3, checkpoint_every=4, sample_every=5)


def random_task(kind: str) -> Task:
    """Build a task whose steps draw random numbers: dropout, or an image pool."""
    torch.manual_seed(3)
    if kind == "paired":
        return Pix2PixTask(resnet(4, blocks=1, dropout=0.5).build(), patchgan(4, 1, in_channels=6).build())
    return CycleGANTask((generator(), generator(seed=1)), (make_discriminator(), make_discriminator(seed=1)), pool=3)


def train(kind: str, folder: Path, kill_at_step: int | None = None, kill_in_write: int | None = None) -> None:
    """Train to the end, or kill this process: before a step, or after half the bytes of the n-th checkpoint."""
    torch.set_num_threads(1)
    path = "shapes" if kind == "paired" else "textures"
    data = open_data(DataConfig(path=path, size=16, flip=True, workers=0), kind, "train")
    writes = 0

    def write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
        nonlocal writes
        writes += 1
        save_file(tensors, path, metadata=metadata)
        if writes == kill_in_write:
            os.truncate(path, Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def stream(start: int) -> Iterator[dict[str, Tensor]]:
        for step, batch in enumerate(train_batches(data, batch=CONFIG.batch, seed=5, start=start), start):
            if step == kill_at_step:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    task = random_task(kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_file, "save_file", write)
        fit(task, stream, CONFIG, Run(folder), stage="train", device=CPU)
    save_file({f"{n}.{k}": v for n, p in task.networks.items() for k, v in p.state_dict().items()}, folder / "end")


@pytest.mark.parametrize(
    ("kind", "deaths"),
    [
        ("paired", [{"kill_at_step": 6}, {"kill_in_write": 1}, {"kill_at_step": 11}]),
        ("unpaired", [{"kill_at_step": 7}]),
    ],
    ids=["paired", "unpaired"],
)
def test_killed_and_resumed_ends_in_the_same_bits(tmp_path: Path, kind: str, deaths: list[dict[str, int]]) -> None:
    complete, killed = tmp_path / "complete", tmp_path / "killed"
    complete.mkdir()
    killed.mkdir()
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train(kind, complete)
    for death in deaths:
        process = FORKSERVER.Process(target=train, args=(kind, killed), kwargs=death)
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, death
    train(kind, killed)
    torch.set_num_threads(threads)
    torch.set_rng_state(state)
    assert same(load_file(complete / "end"), load_file(killed / "end"))
    lines = [(folder / "log.jsonl").read_text().splitlines() for folder in (complete, killed)]
    strip = [[line.partition('"seconds"')[0] + line.partition('"lr"')[2] for line in text] for text in lines]
    assert strip[0] == strip[1]
