from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pocketgan.deploy import RUNTIMES, Exported, Runner, frozen, runtimes, torch_runner
from pocketgan.metrics.latency import measure_latency

pytestmark = pytest.mark.xdist_group("export")


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.rand(2, 2, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def runners(unet: nn.Module, unet_file: Exported, x: Tensor) -> dict[str, Runner]:
    """Runners on the shared export, which is for any size."""

    def exported(generator: nn.Module, size: tuple[int, int]) -> bytes:
        assert generator is unet
        assert size == (16, 24)
        return unet_file.path.read_bytes()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtimes, "to_onnx", exported)
        return {name: runtime(unet, x, threads=1) for name, runtime in RUNTIMES.items()}


def test_every_runtime_makes_the_same_image(unet: nn.Module, x: Tensor, runners: dict[str, Runner]) -> None:
    expected = frozen(unet)(x)
    assert set(runners) >= {"torch", "onnxruntime"}
    for name, run in runners.items():
        image = run()
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


def test_latency_is_measured_on_runners(runners: dict[str, Runner]) -> None:
    measured = measure_latency(runners, warmup=1, repeats=3, threads=1, batch=2)
    assert list(measured) == list(runners)
    assert all(0 < latency.p10 <= latency.median <= latency.p90 for latency in measured.values())


def test_an_unknown_runtime_is_answered_with_its_neighbor() -> None:
    with pytest.raises(ValueError, match="Did you mean 'onnxruntime'"):
        RUNTIMES["onnx-runtime"]
