"""Segmentation metrics, by a segmenter that knows the colors, so that every value is known beforehand."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from pocketgan.data.config import DataConfig
from pocketgan.data.images import ImageData, open_data
from pocketgan.evaluation import EvaluationConfig, evaluate
from pocketgan.models import spade
from pocketgan.models.layers import folded
from pocketgan.pretrained.segmenters import make_segmenter
from pocketgan.search.fitness import MIoUFitness, score_all_images

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> ImageData:
    return open_data(DataConfig(path="shapes", size=32, workers=0, limit=6), "labels", "test")


@pytest.fixture(scope="module")
def file(data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores 2 p x - |p|^2 of every class's color p: the largest is that of the nearest color."""
    path = tmp_path_factory.mktemp("segmenter") / "colors.onnx"
    write(path, palette(data))
    return path


def palette(data: ImageData) -> Tensor:
    assert data.labels is not None
    return torch.tensor(data.labels.colors) / 255


def write(path: Path, colors: Tensor) -> None:
    weight, bias = (2 * colors)[:, :, None, None].numpy(), -colors.square().sum(1).numpy()
    kept = [numpy_helper.from_array(np.float32(value), name) for name, value in (("w", weight), ("b", bias))]
    shapes = {"rgb": ["n", 3, "h", "v"], "scores": ["n", len(colors), "h", "v"]}
    ends = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    nodes = [helper.make_node("Conv", ["rgb", "w", "b"], ["scores"])]
    graph = helper.make_graph(nodes, "colors", [ends["rgb"]], [ends["scores"]], kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))


class Generator(nn.Module):
    """Generator of every pixel in its class's color; those of classes in ``wrong`` in the first class's."""

    stride = 1

    def __init__(self, data: ImageData, wrong: tuple[int, ...] = ()):
        super().__init__()
        assert data.labels is not None
        self.labels, self.wrong, self.colors = data.labels, wrong, palette(data)
        self.in_channels = data.labels.channels

    def forward(self, source: Tensor) -> Tensor:
        classes = self.labels.indices(source)
        for one in self.wrong:
            classes = torch.where(classes == one, 0, classes)
        return self.colors[classes].permute(0, 3, 1, 2) * 2 - 1


def targets(data: ImageData) -> np.ndarray:
    return np.stack([data.label_target(index) for index in range(len(data))])


def test_figures_are_those_of_the_pixels_that_were_generated(data: ImageData, file: Path) -> None:
    evaluation = EvaluationConfig(segmenter=str(file), metrics=("miou", "accuracy"), batch=4)
    found = evaluate({"right": Generator(data), "wrong": Generator(data, (3,))}, data, evaluation, device=CPU)
    name, true = make_segmenter(str(file)).name, targets(data)
    assert found["right"].quality == {f"miou[{name}]": 1.0, f"accuracy[{name}]": 1.0}
    assert data.labels is not None
    assert list(found["right"].classes) == list(data.labels.evaluated_names)
    lost, ground = (true == 3).sum(), (true == 0).sum()
    assert lost > 0
    assert found["wrong"].quality[f"accuracy[{name}]"] == pytest.approx(1 - lost / (true >= 0).sum())
    own = dict(enumerate(found["wrong"].classes.values()))
    assert own[3] == 0
    assert own[0] == pytest.approx(ground / (ground + lost))
    assert all(own[k] == 1 for k in own if k not in (0, 3) and (true == k).any())
    present = [value for value in own.values() if value is not None]
    assert found["wrong"].quality[f"miou[{name}]"] == pytest.approx(sum(present) / len(present))
    assert set(found["real"].quality) == set(found["right"].quality)  # the real images by the same segmenter


def test_a_search_by_it_scores_the_same_pixels(data: ImageData, file: Path) -> None:
    """Fitness is 1 - mIoU over all images, scored in any parts."""
    segmenter, generator = make_segmenter(str(file)), Generator(data, (3,))
    sources = torch.cat([data.floats("input", torch.from_numpy(data.load(k, None)["input"])[None]) for k in range(len(data))])

    def generate(widths: object, images: range) -> object:
        for start in range(images.start, images.stop, 4):
            part = slice(start, min(start + 4, images.stop))
            yield part, generator(sources[part])

    fitness = MIoUFitness(generate, segmenter, data.label_target, len(data))  # type: ignore[arg-type]
    evaluated = evaluate({"it": generator}, data, EvaluationConfig(segmenter=str(file), metrics=("miou",)), device=CPU)
    assert score_all_images(fitness, {}) == pytest.approx(1 - next(iter(evaluated["it"].quality.values())))
    halves = np.concatenate([fitness.rows({}, range(3)), fitness.rows({}, range(3, len(data)))])
    assert fitness.score(halves) == score_all_images(fitness, {})


def test_classes_that_are_missing_in_the_target_count_as_the_published_protocol_has_it(data: ImageData, file: Path) -> None:
    """Cityscapes': a class that was generated and is nowhere lowers the mean; COCO-Stuff's: it does not."""
    few = [index for index in range(len(data)) if not (data.label_target(index) == 3).any()][:1]
    assert few
    segmenter = make_segmenter(str(file))

    class Coco:
        classes, of_present, name = segmenter.classes, True, segmenter.name

        def __call__(self, images: Tensor, size: tuple[int, int]) -> Tensor:
            return segmenter(images, size)

    def generate(widths: object, images: range) -> object:
        source = data.floats("input", torch.from_numpy(data.load(few[0], None)["input"])[None])
        image = Generator(data)(source)
        image[:, :, :1, :1] = palette(data)[3][None, :, None, None] * 2 - 1
        yield slice(0, 1), image

    scores = [MIoUFitness(generate, one, lambda _: data.label_target(few[0]), 1) for one in (segmenter, Coco())]  # type: ignore[arg-type]
    strict, lenient = (score_all_images(one, {}) for one in scores)
    assert lenient < 0.1 < strict


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--segmenter", "{other}"), r"has 2 classes, the label maps have 7"),
        (("--segmenter", "{nothing}"), r"nothing\.onnx"),
        (("--metrics", "miou"), r"measured by a segmenter: give --segmenter"),
    ],
)
def test_impossible_segmentations_are_refused(
    arguments: tuple[str, ...], message: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "other.onnx", torch.rand(2, 3))
    save_artifact(tmp_path / "g.safetensors", folded(spade(2, in_channels=8, upsamplings=5).build()), size=32)
    given = [word.format(other=tmp_path / "other.onnx", nothing=tmp_path / "nothing.onnx") for word in arguments]
    assert main(["evaluate", str(tmp_path / "g.safetensors"), "--data", "shapes", "--task", "labels", *given]) != 0
    text = capsys.readouterr().err.replace("\n", " ")
    assert re.search(message, text), text
    assert "Traceback" not in text


def test_maps_of_other_classes_than_the_generator_was_trained_on_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_artifact(tmp_path / "g.safetensors", folded(spade(2, in_channels=12, upsamplings=5).build()), size=32)
    assert main(["evaluate", str(tmp_path / "g.safetensors"), "--data", "shapes", "--task", "labels"]) != 0
    text = capsys.readouterr().err.replace("\n", " ")
    assert "reads 12 channels, shapes has 8 (7 classes + instance edges): give data.classes as it was trained with" in text
