"""Tiny players, batches and runs that the tests of training share."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.run import Run
from pocketgan.models import patchgan, resnet
from pocketgan.train.config import FitConfig
from pocketgan.train.loop import fit
from pocketgan.train.task import Task

CPU = torch.device("cpu")


def generator(ngf: int = 4, seed: int = 0, **choices: object) -> nn.Module:
    torch.manual_seed(seed)
    return resnet(ngf, blocks=1, **choices).build()


def critic(in_channels: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed + 100)
    return patchgan(4, 1, in_channels=in_channels).build()


def batch(step: int = 0, count: int = 2) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(step)
    return {role: torch.rand(count, 3, 16, 16, generator=source) * 2 - 1 for role in ("source", "target")}


def batches(start: int) -> Iterator[Mapping[str, Tensor]]:
    step = start
    while True:
        yield batch(step)
        step += 1


def run_fit(task: Task, config: FitConfig, path: Path, **options: object) -> Run:
    path.mkdir(exist_ok=True)
    run = Run(path)
    fit(task, batches, config, run, stage="fit", device=CPU, **options)
    return run


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all tensors."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
