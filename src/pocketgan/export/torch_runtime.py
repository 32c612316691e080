"""Eager PyTorch as a runtime."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pocketgan.export.runtimes import RUNTIMES, Runner


@RUNTIMES.register("torch")
def torch_runtime(generator: nn.Module, x: Tensor, *, threads: int) -> Runner:
    """As ``torch_runner``; PyTorch's threads belong to the process and are set by who measures, not here."""
    del threads
    return torch_runner(generator, x)


def torch_runner(generator: nn.Module, x: Tensor) -> Runner:
    """A blocking call of a frozen copy of ``generator`` on ``x`` (N x C x H x W), on the device of ``x``."""
    model = copy.deepcopy(generator).to(x.device).eval().requires_grad_(False)

    @torch.inference_mode()
    def run() -> object:
        picture = model(x)
        if x.device.type != "cpu":
            torch.accelerator.synchronize(x.device)
        return picture

    return run
