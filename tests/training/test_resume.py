"""A killed run, resumed, ends in the very weights of an uninterrupted one."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pocketgan.core import run as run_module
from pocketgan.core.run import Run
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.models import patchgan, resnet
from pocketgan.pipeline.common import batches_of
from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import fit

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = ["pocketgan.pipeline.common", "pocketgan.training.loop", "torch._dynamo"]  # once, and not by every child
CONTEXT.set_forkserver_preload(PRELOADED)
STEPS = 14
CONFIG = TrainingConfig(steps=STEPS, batch=2, log_every=3, checkpoint_every=4, sample_every=5)


def build_student_task(kind: str):
    """Dropout and the image pool draw random numbers: they make the resume harder."""
    torch.manual_seed(3)
    if kind == "paired":
        return Pix2PixTask(resnet(4, blocks=1, dropout=0.5).build(), patchgan(4, 1, in_channels=6).build())
    teacher_discriminators = patchgan(4, 1).build(), patchgan(4, 1).build()
    return CycleGANTask((resnet(4, blocks=1).build(), resnet(4, blocks=1).build()), teacher_discriminators, pool=3)


def work(kind: str, folder: str, die_at_step: int | None = None, die_in_write: int | None = None, begun=None) -> None:
    """Train to the end, or kill this process: right after a step, or half-way through the n-th checkpoint's bytes."""
    torch.set_num_threads(1)
    task = build_student_task(kind)
    path = "shapes" if kind == "paired" else "textures"
    data = open_data(DataConfig(path=path, size=16, flip=True, workers=0), kind, "train")
    batches = batches_of(data, CONFIG, 5)
    writes = 0

    def dying_write(tensors, path, metadata=None):
        nonlocal writes
        writes += 1
        save_file(tensors, path, metadata=metadata)
        if writes == die_in_write:
            os.truncate(path, Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def stream(start):
        for step, batch in enumerate(batches(start), start):
            if step == die_at_step:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    run_module.save_file = dying_write
    if begun is not None:
        begun.set()
    fit(task, stream, CONFIG, Run(Path(folder)), stage="train", device=torch.device("cpu"))
    save_file({f"{n}.{k}": v for n, p in task.networks.items() for k, v in p.state_dict().items()}, Path(folder) / "end")


def child(*args, **kwargs):
    process = CONTEXT.Process(target=work, args=args, kwargs=kwargs)
    process.start()
    return process


def finish(kind: str, folder: Path) -> dict[str, torch.Tensor]:
    process = child(kind, str(folder))
    process.join(120)
    assert process.exitcode == 0
    return load_file(folder / "end")


@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_killed_and_resumed_ends_in_the_same_bits(tmp_path, kind):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = finish(kind, whole)
    for death in ({"die_at_step": 7}, {"die_in_write": 1}, {"die_in_write": 2}, {"die_at_step": 13}):
        process = child(kind, str(broken), **death)
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, death
    found = finish(kind, broken)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    lines = [(folder / "log.jsonl").read_text().splitlines() for folder in (whole, broken)]
    strip = [[line.partition('"seconds"')[0] + line.partition('"lr"')[2] for line in text] for text in lines]
    assert strip[0] == strip[1]


def test_killed_at_random_moments(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = finish("paired", whole)
    draw = random.Random(0)
    for _ in range(3):
        begun = CONTEXT.Event()
        process = child("paired", str(broken), begun=begun)
        begun.wait(120)
        time.sleep(draw.uniform(0, 0.6))
        process.kill()
        process.join(120)
    found = finish("paired", broken)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
