from __future__ import annotations

import copy
import logging
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketgan.deploy import TARGETS, Deployable, Exported, export_onnx, formats, frozen
from pocketgan.deploy.formats import to_onnx
from pocketgan.deploy.verify import probe

pytestmark = pytest.mark.xdist_group("export")

TOLERANCE = 1e-4
"""That of `export`: other kernels round differently."""


def ops(file: Exported) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(file.path).graph.node)


def shape(value: onnx.ValueInfoProto) -> tuple[str | int, ...]:
    return tuple(side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim)


def session_of(file: Exported) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(file.path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", ["resnet", "unet"])
def test_export_equals_eager_at_every_size(request: pytest.FixtureRequest, name: str) -> None:
    session = session_of(request.getfixturevalue(f"{name}_file"))
    model = Deployable(frozen(request.getfixturevalue(name)))

    @given(batch=st.integers(1, 3), height=st.integers(5, 40), width=st.integers(5, 40))
    @settings(max_examples=8, deadline=None)
    def check(batch: int, height: int, width: int) -> None:
        image = probe((batch, model.in_channels, height, width), seed=height)
        (output,) = session.run(["output"], {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(output), model(image), rtol=0, atol=TOLERANCE)

    check()


def test_the_smallest_size_works_and_below_it_onnx_runtime_refuses(unet: nn.Module, unet_file: Exported) -> None:
    model, session = Deployable(frozen(unet)), session_of(unet_file)
    image = probe((1, 2, model.min_side, 8))
    (output,) = session.run(None, {"image": image.numpy()})
    torch.testing.assert_close(torch.from_numpy(output), model(image), rtol=0, atol=TOLERANCE)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="Pad reflect"):
        session.run(None, {"image": image[:, :, 1:].numpy()})


def test_the_graph_is_the_network_and_six_nodes_of_padding(resnet_file: Exported, unet_file: Exported) -> None:
    wrapping = Counter(Shape=1, Neg=1, Mod=1, Concat=1, Pad=1, Slice=1)
    residual = Counter(Pad=1, Conv=1, InstanceNormalization=1, Relu=1, Add=1)
    outer = Counter(Pad=2, Conv=4, ConvTranspose=2, InstanceNormalization=5, Relu=5, Tanh=1)
    assert ops(resnet_file) == wrapping + residual + outer
    # Batch norm is folded into the convolutions.
    assert ops(unet_file) == wrapping + Counter(Conv=3, ConvTranspose=3, Concat=2, LeakyRelu=2, Relu=3, Tanh=1)


def test_the_file_explains_itself(unet_file: Exported) -> None:
    model = onnx.load(unet_file.path, load_external_data=False)
    assert [(value.name, shape(value)) for value in (*model.graph.input, *model.graph.output)] == [
        ("image", ("batch", 2, "height", "width")),
        ("output", ("batch", 3, "height", "width")),
    ]
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "pocketgan.version": version("pocketgan"),
        "pocketgan.size": "24x32",
        "pocketgan.stride": "8",
        "pocketgan.min_side": "5",
        "pocketgan.value_range": "-1..1",
        "pocketgan.layout": "NCHW float32",
    }


def test_one_file_without_traces_of_the_machine(resnet_file: Exported) -> None:
    model = onnx.load(resnet_file.path, load_external_data=False)
    parts = (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output, model.graph)
    assert not any(part.metadata_props or part.doc_string for part in parts)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert b".py" not in resnet_file.path.read_bytes()
    assert [path.name for path in resnet_file.path.parent.iterdir()] == ["generator.onnx"]


def test_what_is_reported(unet_file: Exported) -> None:
    summary = unet_file.summary()
    assert unet_file.target == "onnxruntime:f32"
    assert summary["file"] == "generator.onnx"
    assert summary["bytes"] == unet_file.path.stat().st_size
    assert 0 < summary["max_abs_diff"] < 1e-5
    assert list(summary["differences"]) == ["1x24x32", "3x12x12", "1x13x11", "2x13x13"]


def test_equal_bytes_again_in_silence_and_the_generator_untouched(
    unet: nn.Module, unet_file: Exported, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for parameter in unet.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    before = copy.deepcopy(unet.state_dict())
    again = export_onnx(unet, tmp_path / "again.onnx", size=(24, 32), verify=False)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("torch.onnx").level == logging.NOTSET
    assert again.verification is None
    assert again.path.read_bytes() == unet_file.path.read_bytes()
    assert unet.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())
    assert all(parameter.requires_grad and (parameter.grad == 3).all() for parameter in unet.parameters())
    unet.zero_grad()


def test_a_file_that_differs_never_appears(
    resnet: nn.Module, unet_file: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Swapped(nn.Module):
        stride, in_channels = 8, 2

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, x[:, :1]], 1)

    path = tmp_path / "student.onnx"
    path.write_bytes(b"old file")
    monkeypatch.setattr(formats, "to_onnx", lambda generator, size: unet_file.path.read_bytes())
    with pytest.raises(ValueError, match=r"student.onnx differs from PyTorch by .* more than the 0.0001 allowed"):
        export_onnx(Swapped(), path, size=16)
    assert path.read_bytes() == b"old file"
    assert [entry.name for entry in tmp_path.iterdir()] == ["student.onnx"]


def test_a_network_that_cannot_be_traced_is_named_with_the_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Undecided(nn.Module):
        stride, in_channels = 1, 3

        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"Undecided cannot be exported to ONNX: .*; write its forward") as caught:
        export_onnx(Undecided(), tmp_path / "no.onnx", size=8)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [4, (64, 3)])
def test_a_size_below_the_least_is_refused(resnet: nn.Module, tmp_path: Path, size: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="too small for this generator: it takes 5 or more"):
        export_onnx(resnet, tmp_path / "no.onnx", size=size)


def test_more_than_a_file_holds_is_refused() -> None:
    class Heavy(nn.Module):
        stride, in_channels = 1, 3

        def forward(self, x: Tensor) -> Tensor:
            return x

    model = Heavy()
    model.register_buffer("huge", torch.zeros(1).expand(2**29))
    with pytest.raises(ValueError, match=r"take 2\.0 GiB"):
        to_onnx(model, (8, 8))


def test_an_unknown_target_is_answered_with_its_neighbor() -> None:
    with pytest.raises(ValueError, match="Did you mean 'onnxruntime:f32'"):
        TARGETS["onnxruntime:f23"]
