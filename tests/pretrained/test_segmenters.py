"""Segmenters against the published evaluations, written again with Pillow and NumPy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import Tensor, nn

from pocketgan.core.hooks import forward_hooks
from pocketgan.metrics.segmentation import Segmenter
from pocketgan.pretrained import deeplab, drn, segmenters
from pocketgan.pretrained.segmenters import OnnxSegmenter, PublishedSegmenter, enlarged, make_segmenter
from pocketgan.utils.files import digest

SMALL, MIDDLE, LARGE = (32, 48), (40, 60), (80, 112)
MEAN = (0.29010095242892997, 0.32808144844279574, 0.28696394422942517)
STD = (0.1829540508368939, 0.18656561047509476, 0.18447508988480435)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    """File in the place of published weights, whose network is made already."""
    path = folder / "deeplab.pth"
    torch.save({"base.layer1.conv1.conv.weight": torch.zeros(2)}, path)
    return path


@pytest.fixture
def city(weights: Path, drn_network: drn.Drn, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    monkeypatch.setattr(segmenters, "load", lambda *_: drn_network)
    return make_segmenter(f"drn-d-105:{weights}")


@pytest.fixture
def coco(weights: Path, deeplab_network: deeplab.DeepLab, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    monkeypatch.setattr(segmenters, "load", lambda *_: deeplab_network)
    return make_segmenter(f"deeplabv2:{weights}")


def images(count: int, size: tuple[int, int] = SMALL) -> Tensor:
    """Smooth enough that scores differ clearly from pixel to pixel."""
    noise = torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return nn.functional.avg_pool2d(noise, 5, 1, 2).mul(3).clamp(-1, 1)


def as_file(image: Tensor) -> NDArray[np.uint8]:
    """H x W x 3, as a saved file holds it."""
    return np.rint((image.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)


def by_pillow(scores: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    """K x h x w, a channel at a time."""
    channels = [Image.fromarray(one.numpy()).resize(size[::-1], Image.Resampling.BILINEAR) for one in scores]
    return np.stack([np.asarray(one) for one in channels])


def agree(found: Tensor, scores: NDArray[np.float32]) -> None:
    """The classes are those of the best scores, but where two are equal up to rounding."""
    best = np.take_along_axis(scores, found.numpy()[None], 0)[0]
    np.testing.assert_allclose(best, scores.max(0), rtol=0, atol=1e-4)
    assert (found.numpy() == scores.argmax(0)).mean() > 0.99
    assert len(found.unique()) > 3


def test_drn_keeps_the_size_of_the_image(city: Segmenter, weights: Path) -> None:
    assert isinstance(city, PublishedSegmenter)
    assert (city.name, city.classes) == (f"drn-d-105-{digest(weights)[:8]}", 19)
    x = images(2)
    found = city(x, LARGE)
    assert (found.shape, found.dtype) == ((2, *LARGE), torch.int64)
    for one, classes in zip(x, found, strict=True):
        normal = (as_file(one) / 255 - MEAN) / STD
        scores = city._network(torch.from_numpy(normal).permute(2, 0, 1)[None].float())[0]
        assert scores.shape[-2:] == SMALL
        agree(classes, by_pillow(scores, LARGE))


def test_deeplab_resizes_the_image_to_the_size_of_the_maps(coco: Segmenter, weights: Path) -> None:
    assert isinstance(coco, PublishedSegmenter)
    assert (coco.name, coco.classes) == (f"deeplabv2-{digest(weights)[:8]}", 182)
    seen: list[Tensor] = []
    x = images(1)
    with forward_hooks([(coco._network, lambda module, inputs, output: seen.extend((inputs[0], output)))]):
        found = coco(x, MIDDLE)
    image = Image.fromarray(as_file(x[0])).resize(MIDDLE[::-1], Image.Resampling.BICUBIC)
    levels = np.asarray(image)[:, :, ::-1] - np.array((104.008, 116.669, 122.675))
    np.testing.assert_allclose(seen[0][0].permute(1, 2, 0).numpy(), levels, rtol=0, atol=1e-4)
    assert seen[1].shape == (1, 182, 6, 8)
    scores = nn.functional.interpolate(seen[1], size=MIDDLE, mode="bilinear", align_corners=False)
    agree(found[0], scores[0].numpy())


def test_batches_do_not_change_the_classes(city: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenters, "PART", 2)
    x = images(3, (16, 24))
    whole = city(x, (16, 24))
    alone = torch.cat([city(one[None], (16, 24)) for one in x])
    assert (whole == alone).float().mean() > 0.999
    assert city(x[:0], (16, 24)).shape == (0, 16, 24)


@pytest.mark.parametrize("size", [(40, 70), (9, 7), (23, 31)])
def test_scores_are_scaled_as_pillow_does(size: tuple[int, int]) -> None:
    scores = torch.randn(1, 3, 23, 31, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(enlarged(scores, size)[0].numpy(), by_pillow(scores[0], size), rtol=0, atol=1e-5)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file whose scores are the colors, averaged over squares of 2 x 2."""

    def make(*, batch: str | int = "N", size: tuple[str | int, str | int] = ("H", "W"), flat: bool = False) -> Path:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, *size])
        output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None] * (3 if flat else 4))
        axes = numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")
        node = (
            helper.make_node("ReduceMean", ["image", "axes"], ["scores"], keepdims=0)
            if flat
            else helper.make_node("AveragePool", ["image"], ["scores"], kernel_shape=[2, 2], strides=[2, 2])
        )
        graph = helper.make_graph([node], "colors", [image], [output], [axes] if flat else [])
        path = tmp_path / "colors.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        return path

    return make


def stripes() -> tuple[Tensor, Tensor]:
    """An image 8 x 12 in red, green and blue; and the classes."""
    target = torch.arange(3).repeat_interleave(4).expand(8, -1)
    return nn.functional.one_hot(target).permute(2, 0, 1)[None].float() * 2 - 1, target


@pytest.mark.parametrize("batch", ["N", 1, 4])
@pytest.mark.parametrize("size", [("H", "W"), (16, 24)])
def test_any_onnx_file_is_a_segmenter(write: Write, batch: str | int, size: tuple[str | int, str | int]) -> None:
    path = write(batch=batch, size=size)
    segmenter = make_segmenter(str(path))
    assert isinstance(segmenter, OnnxSegmenter)
    assert (segmenter.name, segmenter.classes) == (f"colors-{digest(path)[:8]}", 3)
    image, target = stripes()
    for scale in (1, 3):
        expected = target.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
        found = segmenter(image.repeat(6, 1, 1, 1), (8 * scale, 12 * scale))
        assert torch.equal(found, expected.expand(6, -1, -1))


def test_outputs_of_another_rank_are_refused(write: Write) -> None:
    with pytest.raises(ValueError, match=r"its output must be N x K x h x w; found \(1, 256, 256\) for 1 image"):
        OnnxSegmenter(write(flat=True))


def test_missing_and_wrong_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    monkeypatch.setenv("POCKETGAN_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"no segmenter named 'drn-d-150'. Did you mean 'drn-d-105'\? .* FILE\.onnx, deep"):
        make_segmenter("drn-d-150")
    with pytest.raises(ValueError, match=r"by itself: take it from http://go\.yf\.io/.* as .*drn-d-105_ms_cityscapes\.pth"):
        make_segmenter("drn-d-105")
    with pytest.raises(ValueError, match=r"no file absent\.pth"):
        make_segmenter("deeplabv2:absent.pth")
    with pytest.raises(FileNotFoundError, match=r"no segmenter .*absent"):
        make_segmenter(str(tmp_path / "absent.onnx"))
    with pytest.raises(ValueError, match=r"deeplab\.pth does not hold the DRN-D-105 .*: missing: base\.0\.0\.weight"):
        make_segmenter(f"drn-d-105:{weights}")


def test_other_tensors_are_refused(write: Write) -> None:
    segmenter = OnnxSegmenter(write())
    with pytest.raises(ValueError, match="segmenters need RGB or gray images; found 2 channels"):
        segmenter(torch.zeros(1, 2, 8, 8), (8, 8))
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\]"):
        segmenter(torch.full((1, 3, 8, 8), 255.0), (8, 8))
