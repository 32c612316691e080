"""Engines that run a generator on a device, by name; a new engine registers itself in `RUNTIMES`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from pocketgan.core.inputs import ModelInputs, as_tuple
from pocketgan.core.spec import spec_of
from pocketgan.deploy.formats import to_onnx
from pocketgan.utils.onnx_models import open_session
from pocketgan.utils.registry import Registry

Runner = Callable[[], object]


class Runtime(Protocol):
    """Function that prepares a generator for fixed inputs."""

    def __call__(self, generator: nn.Module, inputs: ModelInputs, *, threads: int) -> Runner:
        """Return a blocking call that runs ``generator`` once on ``inputs`` (an image, or all its inputs in order).

        Everything an engine needs (an exported file, a compiled graph) is made here, so that only the run itself is timed.
        """


RUNTIMES: Registry[Runtime] = Registry("runtime")


@RUNTIMES.register("torch")
def torch_runner(generator: nn.Module, inputs: ModelInputs, *, threads: int | None = None) -> Runner:
    """Blocking call of a frozen copy of ``generator`` on ``inputs``, in eager PyTorch on the device of the inputs.

    ``threads`` is not used: PyTorch's threads belong to the process and are set by the caller.
    """
    tensors = as_tuple(inputs)
    device = tensors[0].device
    model = copy.deepcopy(generator).to(device).eval().requires_grad_(False)

    @torch.inference_mode()
    def run() -> object:
        image = model(*tensors)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return image

    return run


@RUNTIMES.register("onnxruntime")
def onnxruntime_runner(generator: nn.Module, inputs: ModelInputs, *, threads: int) -> Runner:
    """Call that runs ``generator``, exported for the size of ``inputs``, in ONNX Runtime on ``threads`` threads of the CPU."""
    tensors = as_tuple(inputs)
    shape = next(((x.shape[2], x.shape[3]) for x in tensors if x.ndim == 4), None) or spec_of(generator).output_shape
    assert shape is not None, "a generator without an input image makes images of one size"
    session = open_session(to_onnx(generator, shape), threads=threads, label="generator", inputs=len(tensors))
    names = [value.name for value in session.get_inputs()]
    feed = {name: x.detach().cpu().float().contiguous().numpy() for name, x in zip(names, tensors, strict=True)}
    return lambda: session.run(None, feed)
