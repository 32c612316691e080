from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pocketgan.export import RUNTIMES, Exported, frozen, onnxruntime_runner, torch_runner
from pocketgan.metrics.latency import measure_latency

pytestmark = pytest.mark.xdist_group("export")


@pytest.fixture
def x() -> Tensor:
    return torch.rand(2, 2, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_every_runtime_generates_the_same_image(unet: nn.Module, x: Tensor) -> None:
    expected = frozen(unet)(x)
    assert set(RUNTIMES) >= {"torch", "onnxruntime"}
    for name, runtime in RUNTIMES.items():
        image = runtime(unet, x, threads=1)()
        image = torch.as_tensor(image[0] if isinstance(image, list) else image)
        torch.testing.assert_close(image, expected, rtol=0, atol=1e-5, msg=name)


def test_the_torch_runner_holds_a_copy(unet: nn.Module, x: Tensor) -> None:
    generator = copy.deepcopy(unet).train()
    run = torch_runner(generator, x)
    before = run()
    assert generator.training
    assert not before.requires_grad
    with torch.no_grad():
        generator.up1.weight.zero_()
    assert torch.equal(run(), before)


def test_runners_are_what_latency_is_measured_on(unet: nn.Module, unet_file: Exported, x: Tensor) -> None:
    runs = {"torch": torch_runner(unet, x), "onnxruntime": onnxruntime_runner(unet_file.path, x, threads=1)}
    measured = measure_latency(runs, warmup=1, repeats=3, threads=1, batch=2)
    assert list(measured) == ["torch", "onnxruntime"]
    assert all(0 < latency.p10 <= latency.median <= latency.p90 for latency in measured.values())


def test_an_unknown_runtime_is_answered_with_its_neighbor() -> None:
    with pytest.raises(ValueError, match="Did you mean 'onnxruntime'"):
        RUNTIMES["onnx-runtime"]
