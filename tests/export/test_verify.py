from __future__ import annotations

import copy
from pathlib import Path

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.export import Exported, Verification, verify_onnx
from pocketgan.export.verify import compare, probe, probe_shapes

pytestmark = pytest.mark.xdist_group("export")


class Half(nn.Module):
    stride, in_channels = 4, 1

    def forward(self, x: Tensor) -> Tensor:
        return x / 2


SHAPES = [(1, 8, 8), (2, 9, 11)]


def test_differences_are_those_put_in() -> None:
    found = compare(lambda x: x / 2 + x.shape[0] / 1024, Half(), shapes=SHAPES, tolerance=0.01, label="it")
    assert found.differences == pytest.approx({(1, 8, 8): 1 / 1024, (2, 9, 11): 2 / 1024}, rel=1e-4)
    assert found.max_abs_diff == max(found.differences.values())
    assert found.passed


@pytest.mark.parametrize("wrong", [1 / 64, float("nan")])
def test_too_far_is_an_error_that_names_the_worst_shape(wrong: float) -> None:
    def run(x: Tensor) -> Tensor:
        return x / 2 + (wrong if x.shape[0] == 2 else 0)

    with pytest.raises(ValueError, match=r"it differs from PyTorch by (0.016|nan) .* 2x9x11, more than the 0.01"):
        compare(run, Half(), shapes=SHAPES, tolerance=0.01, label="it")


def test_nan_never_passes() -> None:
    assert not Verification({(1, 8, 8): 0.0, (1, 9, 9): float("nan")}, tolerance=1.0).passed


def test_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"makes \[1, 1, 8, 7\] of \[1, 1, 8, 8\], but PyTorch \[1, 1, 8, 8\]"):
        compare(lambda x: x[..., :-1], Half(), shapes=SHAPES, tolerance=1.0, label="it")


def test_changed_weights_are_found(resnet: nn.Module, resnet_file: Exported) -> None:
    assert verify_onnx(resnet_file.path, resnet) == resnet_file.verification, "the size is read from the file"
    other = copy.deepcopy(resnet)
    with torch.no_grad():
        other.layers[1].weight[0, 0, 0, 0] += 0.1
    with pytest.raises(ValueError, match="differs from PyTorch"):
        verify_onnx(resnet_file.path, other)


def test_files_that_are_no_model_of_one_image(tmp_path: Path, resnet: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*missing.onnx; write one"):
        verify_onnx(tmp_path / "missing.onnx", resnet)
    (tmp_path / "noise.onnx").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"noise.onnx is no ONNX model"):
        verify_onnx(tmp_path / "noise.onnx", resnet)
    for count, reason in ((2, "must have one input, the images; it has 2: x0, x1"), (1, "does not say for which size")):
        names = [f"x{i}" for i in range(count)]
        sides = ["n", 3, "h", "w"]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Sum", names, ["y"])],
            "sum",
            [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sides) for name in names],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, sides)],
        )
        opsets = [onnx.helper.make_opsetid("", 18)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "sum.onnx")
        with pytest.raises(ValueError, match=reason):
            verify_onnx(tmp_path / "sum.onnx", resnet)


@given(side=st.tuples(st.integers(2, 700), st.integers(2, 700)), least=st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_shapes_cover_the_size_batches_oblong_and_odd(side: tuple[int, int], least: int) -> None:
    height, width = max(side[0], least), max(side[1], least)
    shapes = probe_shapes((height, width), min_side=least)
    assert shapes[0] == (1, height, width)
    assert all(min(h, w) >= least for _, h, w in shapes)
    assert {n for n, _, _ in shapes} == {1, 2, 3}
    assert any(h % 2 == w % 2 == 1 for _, h, w in shapes)
    assert any(h != w for _, h, w in shapes)


def test_probes_are_images_and_repeat() -> None:
    random = torch.get_rng_state()
    x = probe((2, 3, 40, 31))
    assert x.shape == (2, 3, 40, 31)
    assert x.abs().max() <= 1
    assert torch.equal(x, probe((2, 3, 40, 31)))
    assert not torch.equal(x, probe((2, 3, 40, 31), seed=1))
    assert torch.equal(torch.get_rng_state(), random)
    # Smooth: neighbors differ by the noise, the image as a whole by far more.
    assert (x[..., 1:] - x[..., :-1]).std() < x.std() / 2
