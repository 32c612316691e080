"""Eager PyTorch as a runtime."""

from __future__ import annotations

import copy

import torch
from torch import nn

from pocketgan.core.inputs import ModelInputs, as_tuple
from pocketgan.export.runtimes import RUNTIMES, Runner


@RUNTIMES.register("torch")
def torch_runtime(generator: nn.Module, given: ModelInputs, *, threads: int) -> Runner:
    """As ``torch_runner``; PyTorch's threads belong to the process and are set by who measures, not here."""
    del threads
    return torch_runner(generator, given)


def torch_runner(generator: nn.Module, given: ModelInputs) -> Runner:
    """A blocking call of a frozen copy of ``generator`` on what is ``given``, on the device of that."""
    inputs = as_tuple(given)
    device = inputs[0].device
    model = copy.deepcopy(generator).to(device).eval().requires_grad_(False)

    @torch.inference_mode()
    def run() -> object:
        image = model(*inputs)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return image

    return run
