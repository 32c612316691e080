"""Tiny networks, batches and runs shared by the tests of training."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.run import Run
from pocketgan.core.tensor_file import read_tensors
from pocketgan.models import patchgan, resnet
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import fit
from pocketgan.training.task import Task

CPU = torch.device("cpu")
FORKSERVER = multiprocessing.get_context("forkserver")
"""Processes with the slow imports done once."""
FORKSERVER.set_forkserver_preload(["accelerate", "pocketgan.pipeline.compress", "pocketgan.report", "torch._dynamo"])


def generator(ngf: int = 4, seed: int = 0, **choices: object) -> nn.Module:
    torch.manual_seed(seed)
    return resnet(ngf, blocks=1, **choices).build()


def make_discriminator(in_channels: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed + 100)
    return patchgan(4, 1, in_channels=in_channels).build()


def batch(step: int = 0, count: int = 2) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(step)
    return {role: torch.rand(count, 3, 16, 16, generator=random) * 2 - 1 for role in ("input", "target")}


def batches(start: int) -> Iterator[Mapping[str, Tensor]]:
    step = start
    while True:
        yield batch(step)
        step += 1


def run_fit(task: Task, config: TrainingConfig, path: Path, **options: object) -> Run:
    path.mkdir(exist_ok=True)
    run = Run(path)
    fit(task, batches, config, run, stage="fit", device=CPU, **options)
    return run


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of all tensors."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def at_once_and_interrupted(
    make: Callable[[], Task], made: Callable[[int], Mapping[str, Tensor]], config: TrainingConfig, path: Path, *, dies: int
) -> list[dict[str, Tensor]]:
    """Return the final checkpoints of an uninterrupted training and of one interrupted before step ``dies`` and resumed.

    ``make`` seeds the global random generator.
    """

    def stream(last: int | None) -> Callable[[int], Iterator[Mapping[str, Tensor]]]:
        def steps(start: int) -> Iterator[Mapping[str, Tensor]]:
            for step in range(start, config.steps):
                if step == last:
                    raise KeyboardInterrupt
                yield made(step)

        return steps

    ends = []
    for deaths in ([None], [dies, None]):
        run = Run(path / str(len(deaths)))
        run.path.mkdir()
        for last in deaths:
            try:
                fit(make(), stream(last), config, run, stage="train", device=CPU)
            except KeyboardInterrupt:
                assert last is not None
        step, tensors, _ = newest_checkpoint(run, "train")
        assert step == config.steps
        ends.append(tensors)
    return ends


def newest_checkpoint(run: Run, stage: str) -> tuple[int, dict[str, Tensor], dict[str, Any]]:
    """Steps done, tensors and facts."""
    step, file = run.checkpoints(stage)[0]
    return step, *read_tensors(file)
