"""Files for OpenVINO, made once; without OpenVINO only what is said then."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pocketgan.deploy import TARGETS, Deployable, Verification, find_target, frozen
from pocketgan.deploy.targets import run_openvino
from pocketgan.deploy.verify import compare, probe

pytestmark = pytest.mark.xdist_group("export")


def test_a_runtime_alone_is_its_float32() -> None:
    assert find_target("openvino") is TARGETS["openvino:f32"]
    with pytest.raises(ValueError, match=r"no target named 'openvino:f16'\. Did you mean 'openvino:"):
        find_target("openvino:f16")


def test_a_missing_runtime_is_named_with_its_extra(unet: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ValueError, match=r"pip install 'pocketgan\[openvino\]'"):
        find_target("openvino").export(unet, tmp_path / "g.xml", size=16)


def test_another_ending_is_refused_before_any_work(unet: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"use g\.xml"):
        find_target("openvino").export(unet, tmp_path / "g.onnx", size=16)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["resnet", "unet"])
def test_the_openvino_file_computes_what_pytorch_computes(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra pocketgan[openvino] is not installed")
    generator: nn.Module = request.getfixturevalue(name)
    done = find_target("openvino").export(generator, tmp_path / "g.xml", size=32)
    assert done.verification is not None
    assert done.verification.max_abs_diff <= 1e-4
    assert done.bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["g.bin", "g.xml"]
    x = probe((1, int(generator.in_channels), 32, 40), seed=3)
    found = run_openvino(done.path, precision="f32", threads=1)(x)
    torch.testing.assert_close(found, frozen(generator)(x), rtol=0, atol=1e-4)


def test_a_file_that_differs_is_not_written(unet: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="the extra pocketgan[openvino] is not installed")
    model = Deployable(frozen(unet))
    monkeypatch.setattr("pocketgan.deploy.targets.run_openvino", lambda *_, **__: lambda x: model(x) + 1e-2)
    with pytest.raises(ValueError, match=r"differs from PyTorch by 0\.01"):
        find_target("openvino").export(unet, tmp_path / "g.xml", size=16)
    assert not list(tmp_path.iterdir())


class Half(nn.Module):
    stride, in_channels = 4, 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


@pytest.mark.parametrize(("error", "decibels"), [(2e-3, 60.0), (2e-2, 40.0)])
def test_the_psnr_of_a_constant_error_is_that_of_the_formula(error: float, decibels: float) -> None:
    def check(least: float) -> Verification:
        return compare(lambda x: x / 2 + error, Half(), shapes=[(1, 8, 8)], tolerance=None, least_psnr=least, label="it")

    assert check(decibels - 1).psnr == pytest.approx(decibels, abs=1e-3)
    with pytest.raises(ValueError, match=f"it is {decibels:.1f} dB from PyTorch, and must be {decibels + 1:.0f} or more"):
        check(decibels + 1)


def test_a_bf16_file_states_its_precision_where_the_processor_has_it(resnet: nn.Module, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="the extra pocketgan[openvino] is not installed")
    target = find_target("openvino:bf16")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(ValueError, match="use openvino:f32"):
            target.export(resnet, tmp_path / "g.xml", size=32)
        return
    done = target.export(resnet, tmp_path / "g.xml", size=32, verify=False)  # its PSNR with random weights is rounding
    model = openvino.Core().read_model(str(done.path))
    assert model.get_rt_info(["pocketgan", "precision"]).astype(str) == "bf16"
