"""ONNX files of others: what they state is bounded, and what fails in them is one line with the file."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from pocketgan.utils.onnx_models import OnnxImageModel, Role

FEATURES = Role("feature extractor", "N x D", "features")


def written(path: Path, shape: list[str | int]) -> Path:
    """A file that joins the pixels of each image of 3 x 4 x 4, and fails on others."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["M", 48])
    sides = helper.make_tensor("sides", TensorProto.INT64, [2], [-1, 48])
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["image", "sides"], ["features"])], "g", [image], [features], [sides]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_images_that_the_file_cannot_take(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = OnnxImageModel(written(tmp_path / "net.onnx", ["N", 3, "H", "W"]), FEATURES)
    x = torch.rand(2, 3, 4, 4)
    assert (model(x) == x.flatten(1).numpy()).all()
    with pytest.raises(ValueError, match=r"net\.onnx fails on images of 5x5 \(.*ONNXRuntimeError") as error:
        model(torch.rand(2, 3, 5, 5))
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("shape", [[10**9, 3, 4, 4], ["N", 3, 10**6, 4], [1, 3, 4, 2**40]])
def test_extents_that_would_fill_the_memory(shape: list[str | int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"net\.onnx.*"):
        OnnxImageModel(written(tmp_path / "net.onnx", shape), FEATURES)
