from __future__ import annotations

import copy

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.deploy import Exported, Verification
from pocketgan.deploy.verify import compare, probe, probe_shapes, verify_onnx
from pocketgan.utils.onnx_models import open_session

pytestmark = pytest.mark.xdist_group("export")


class Half(nn.Module):
    stride, in_channels = 4, 1

    def forward(self, x: Tensor) -> Tensor:
        return x / 2


SHAPES = [(1, 8, 8), (2, 9, 11)]


def test_differences_are_those_of_the_outputs() -> None:
    found = compare(lambda x: x / 2 + x.shape[0] / 1024, Half(), shapes=SHAPES, tolerance=0.01, label="it")
    assert found.differences == pytest.approx({(1, 8, 8): 1 / 1024, (2, 9, 11): 2 / 1024}, rel=1e-4)
    assert found.max_abs_diff == max(found.differences.values())
    assert found.passed


@pytest.mark.parametrize("wrong", [1 / 64, float("nan")])
def test_too_large_a_difference_is_an_error_with_the_worst_shape(wrong: float) -> None:
    def run(x: Tensor) -> Tensor:
        return x / 2 + (wrong if x.shape[0] == 2 else 0)

    with pytest.raises(ValueError, match=r"it differs from PyTorch by (0.016|nan) .* 2x9x11, more than the 0.01"):
        compare(run, Half(), shapes=SHAPES, tolerance=0.01, label="it")


def test_nan_never_passes() -> None:
    assert not Verification({(1, 8, 8): 0.0, (1, 9, 9): float("nan")}, tolerance=1.0).passed


def test_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"makes \[1, 1, 8, 7\] of \[1, 1, 8, 8\], but PyTorch \[1, 1, 8, 8\]"):
        compare(lambda x: x[..., :-1], Half(), shapes=SHAPES, tolerance=1.0, label="it")


@pytest.mark.parametrize("error", [RuntimeError("\x1b[31m first\nsecond"), KeyError("first"), MemoryError("first")])
def test_an_engine_that_fails_is_named_with_the_shape(error: Exception) -> None:
    def run(x: Tensor) -> Tensor:
        raise error

    with pytest.raises(ValueError, match=r"^it fails at batch x height x width 1x8x8: '?first'?$"):
        compare(run, Half(), shapes=[(1, 8, 8)], label="it")


def test_changed_weights_are_found(resnet: nn.Module, resnet_file: Exported) -> None:
    data = resnet_file.path.read_bytes()
    assert verify_onnx(data, resnet, label="it") == resnet_file.verification
    other = copy.deepcopy(resnet)
    with torch.no_grad():
        other.layers[1].weight[0, 0, 0, 0] += 0.1
    with pytest.raises(ValueError, match="differs from PyTorch"):
        verify_onnx(data, other, label="it")


def test_data_that_is_no_model_of_one_image() -> None:
    with pytest.raises(ValueError, match=r"it is no ONNX model"):
        open_session(b"not a model", threads=1, label="it")
    names, sides = ["x0", "x1"], ["n", 3, "h", "w"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Sum", names, ["y"])],
        "sum",
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sides) for name in names],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, sides)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(ValueError, match="must have one input, the images; it has 2: x0, x1"):
        open_session(model.SerializeToString(), threads=1, label="it")


@given(side=st.tuples(st.integers(2, 700), st.integers(2, 700)), least=st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_shapes_cover_the_size_batches_oblong_and_odd(side: tuple[int, int], least: int) -> None:
    height, width = max(side[0], least), max(side[1], least)
    shapes = probe_shapes((height, width), least)
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
