import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from pocketgan.metrics.features import OnnxFeatures, distance_name
from pocketgan.metrics.statistics import FeatureStatistics
from pocketgan.utils.images import resize


def write(path, shape, *, mean_axes=(2, 3), kind=TensorProto.FLOAT, inputs=1, outputs=1, dim=None):
    """A network that averages the image over some axes, so that its features have a closed form."""
    images = [helper.make_tensor_value_info(f"x{i}", kind, list(shape)) for i in range(inputs)]
    rank = 4 - len(mean_axes)
    features = [helper.make_tensor_value_info(f"y{i}", kind, [None] * (rank - 1) + [dim]) for i in range(outputs)]
    axes = numpy_helper.from_array(np.array(mean_axes, dtype=np.int64), "axes")
    nodes = [helper.make_node("ReduceMean", ["x0", "axes"], [f"y{i}"], keepdims=0) for i in range(outputs)]
    graph = helper.make_graph(nodes, "mean", images, features, [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def raw(n=5, size=(16, 24), seed=0):
    levels = torch.randint(0, 256, (n, 3, *size), generator=torch.Generator().manual_seed(seed))
    return levels / 127.5 - 1, levels / 255


@pytest.mark.parametrize("batch", ["N", 1, 2, 8])
def test_features_are_what_the_file_computes_at_any_batch_size(tmp_path, batch):
    extract = OnnxFeatures(write(tmp_path / "net.onnx", (batch, 3, 16, 24)), threads=1)
    images, levels = raw()
    assert extract.size == (16, 24)
    assert extract.dim == 3
    found = extract(images)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, levels.mean(dim=(2, 3)).numpy(), rtol=1e-5)
    assert extract(images[:0]).shape == (0, 3)


def test_images_are_rounded_to_8_bit_first(tmp_path):
    extract = OnnxFeatures(write(tmp_path / "net.onnx", (None, 3, 16, 24)), threads=1)
    images, _ = raw()
    np.testing.assert_array_equal(extract((images + 0.4 / 127.5).clamp(max=1)), extract(images))
    assert (extract((images + 0.6 / 127.5).clamp(max=1)) > extract(images)).all()


def test_other_sizes_are_resized_to_the_files_or_224(tmp_path):
    fixed = OnnxFeatures(write(tmp_path / "fixed.onnx", (None, 3, 12, 20), mean_axes=(1, 2)), threads=1)
    images, levels = raw()
    assert fixed.dim == 20
    np.testing.assert_allclose(fixed(images), resize(levels, (12, 20)).mean(dim=(1, 2)), rtol=1e-5)
    free = OnnxFeatures(write(tmp_path / "free.onnx", ("N", 3, "H", "W"), mean_axes=(1, 2)), threads=1)
    assert free.size == (224, 224)
    assert free.dim == 224


def test_the_name_follows_the_content_and_goes_into_the_metrics(tmp_path):
    one = OnnxFeatures(write(tmp_path / "net.onnx", (None, 3, 16, 24)))
    same = OnnxFeatures(write(tmp_path / "net.onnx", (None, 3, 16, 24)))
    other = OnnxFeatures(write(tmp_path / "net.onnx", (None, 3, 16, 16)))
    assert one.name == same.name != other.name
    assert distance_name("kernel", one) == f"kernel[{one.name}]"
    assert one.name.startswith("net-")
    statistics = FeatureStatistics(features=one.name)
    statistics.update(one(raw()[0]))
    assert statistics.moments().features == one.name


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"inputs": 2}, "must have one input, the images; it has 2: x0, x1"),
        ({"outputs": 2}, r"must have one float output N x D.*y0 tensor\(float\), y1"),
        ({"shape": (None, 1, 16, 16)}, r"must be float N x 3 x H x W; found tensor\(float\).*1, 16, 16"),
        ({"kind": TensorProto.DOUBLE}, r"must be float N x 3 x H x W; found tensor\(double\)"),
        ({"mean_axes": (2,)}, r"output must be N x D; found \(1, 3, 16\)"),
        ({"mean_axes": (0, 2)}, r"output must be N x D; found \(3, 16\) for 1 image"),
    ],
)
def test_other_networks_are_refused(tmp_path, network, message):
    path = write(tmp_path / "net.onnx", **{"shape": (None, 3, 16, 16), **network})
    with pytest.raises(ValueError, match=message):
        OnnxFeatures(path)


def test_files_that_are_no_model_are_refused(tmp_path):
    write(tmp_path / "mobilenet.onnx", (None, 3, 16, 16))
    with pytest.raises(FileNotFoundError, match=r"did you mean 'mobilenet\.onnx'"):
        OnnxFeatures(tmp_path / "mobilnet.onnx")
    with pytest.raises(FileNotFoundError, match="none"):
        OnnxFeatures(tmp_path / "nowhere" / "net.onnx")
    for content in (b"", b"a page that says 404"):
        (tmp_path / "page.onnx").write_bytes(content)
        with pytest.raises(ValueError, match=r"page\.onnx is no ONNX model"):
            OnnxFeatures(tmp_path / "page.onnx")


def test_what_is_no_image_is_refused(tmp_path):
    extract = OnnxFeatures(write(tmp_path / "net.onnx", (None, 3, 16, 24)))
    with pytest.raises(ValueError, match="RGB or gray images; found 2 channels"):
        extract(torch.zeros(2, 2, 16, 24))
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        extract(torch.full((2, 3, 16, 24), 200.0))
    with pytest.raises(ValueError, match="threads=0: the least is 1"):
        OnnxFeatures(extract.path, threads=0)
