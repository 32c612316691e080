"""Images generated from latents, and in styles: their number, references, metrics and saved files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.loader import eval_batches
from pocketgan.evaluation import EvaluationConfig, evaluate
from pocketgan.metrics.distances import frechet_distance, precision, recall
from pocketgan.metrics.statistics import F64, FeatureStatistics
from pocketgan.models import munit, resnet, stylegan2
from pocketgan.utils.images import to_uint8

CPU = torch.device("cpu")


class Means:
    """Extractor: the mean of each channel; keeps its outputs."""

    name, dim = "toy", 3

    def __init__(self) -> None:
        self.seen: list[F64] = []

    def __call__(self, images: Tensor) -> F64:
        self.seen.append(images.mean((2, 3)).double().numpy())
        return self.seen[-1]


@pytest.fixture
def means(monkeypatch: pytest.MonkeyPatch) -> Means:
    extractor = Means()
    monkeypatch.setattr("pocketgan.evaluation.config.make_extractor", lambda words: extractor)
    return extractor


def data(task: TaskName, limit: int = 5) -> ImageData:
    return open_data(DataConfig(path="textures", size=16, workers=0, limit=limit), task, "test")


def generator(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return stylegan2(16, channel_max=4, latent=4, style=4, mapping=1).build().eval()


def stylist(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return munit(2, mlp=4, blocks=1, style_dim=3).build().eval()


def rows(fakes: nn.Module, images: ImageData) -> F64:
    (batch,) = eval_batches(images, batch=99)
    with torch.no_grad():
        return Means()(fakes(batch.images["input"], batch.images["noise"]).clamp(-1, 1))


def moments(rows: F64) -> Any:
    statistics = FeatureStatistics()
    statistics.update(rows)
    return statistics.moments()


@pytest.mark.parametrize("generated", [None, 11])
def test_many_images_beside_all_real_ones(means: Means, generated: int | None) -> None:
    """As many as asked for, or as there are real ones; precision and recall are measured by default."""
    images, model = data("unconditional"), generator()
    config = EvaluationConfig(features="toy.onnx", generated=generated, batch=4)
    found = evaluate({"image": model}, images, config, device=CPU)["image"].quality
    fakes = rows(model, images.with_latents({"input": 4, "noise": 656}, count=generated or 5))
    (batch,) = eval_batches(images, batch=99)
    reals = Means()(batch.images["target"])
    assert sorted(map(len, means.seen)) == sorted([4, 1, 4, 1] if generated is None else [4, 4, 3, 4, 1])
    assert set(found) == {"frechet[toy]", "kernel[toy]", "precision[toy]", "recall[toy]"}
    assert found["frechet[toy]"] == pytest.approx(frechet_distance(moments(fakes), moments(reals)), rel=1e-4, abs=1e-7)
    assert found["precision[toy]"] == precision(fakes, reals)
    assert found["recall[toy]"] == recall(fakes, reals)


def test_a_student_is_compared_with_its_teacher_latent_by_latent(means: Means) -> None:
    teacher, config = generator(), EvaluationConfig(features="toy.onnx", generated=6)
    found = evaluate({"teacher": teacher, "student": teacher}, data("unconditional"), config, device=CPU, teacher="teacher")
    assert found["student"].quality["ssim_to_teacher"] == pytest.approx(1, abs=1e-5)
    assert found["student"].quality["frechet[toy]"] == found["teacher"].quality["frechet[toy]"]
    assert not any("to_teacher" in name for name in found["teacher"].quality)


@pytest.mark.parametrize(
    ("task", "metrics", "features", "asked"),
    [
        ("unconditional", None, "toy.onnx", ("psnr", "ssim", "frechet", "kernel", "precision", "recall")),
        ("unconditional", None, None, ("psnr", "ssim")),
        ("unconditional", ("kernel",), "toy.onnx", ("kernel",)),
        ("multimodal", None, "toy.onnx", None),
        ("unpaired", None, None, None),
    ],
)
def test_precision_and_recall_are_default_for_unconditional_generators(
    task: TaskName, metrics: tuple[str, ...] | None, features: str | None, asked: tuple[str, ...] | None
) -> None:
    config = EvaluationConfig(metrics=metrics, features=features)
    assert config.of(task) == replace(config, metrics=asked)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_files_of_images_from_latents(tmp_path: Path) -> None:
    """The first few, as the index draws them, without input or target."""
    images, models = data("unconditional"), {"teacher": generator(), "student": generator(1)}
    evaluate(models, images, EvaluationConfig(images=3, batch=2), device=CPU, teacher="teacher", keep=tmp_path)
    names = {f"{index:03d}_{name}.png" for index in range(3) for name in models}
    assert {path.name for path in tmp_path.iterdir()} == names
    numbers = images.with_latents({"input": 4, "noise": 656}, count=5).load(2, None)
    with torch.no_grad():
        image = models["student"](*(torch.from_numpy(numbers[name])[None] for name in ("input", "noise")))
    assert np.abs(read(tmp_path / "002_student.png").astype(int) - to_uint8(image[0].clamp(-1, 1))).max() <= 1


def test_files_of_images_in_styles(tmp_path: Path, means: Means) -> None:
    """A style for each image, then two that are the same for all, and the input; an identity is not saved."""
    images, model = data("multimodal"), stylist()
    models = {"image": model, "input": nn.Identity()}
    evaluate(models, images, EvaluationConfig(images=3, batch=2, features="toy.onnx"), device=CPU, keep=tmp_path)
    roles = ("input", "image", "image-style2", "image-style3")
    assert {path.name for path in tmp_path.iterdir()} == {f"{index:03d}_{role}.png" for index in range(3) for role in roles}
    (batch,) = eval_batches(images.with_latents({"style": 3}), batch=5)
    with torch.no_grad():
        expected = {"image": model(batch.images["input"], batch.images["style"])}
        for number in (2, 3):
            style = torch.from_numpy(np.random.default_rng(number).standard_normal(3, dtype=np.float32))
            expected[f"image-style{number}"] = model(batch.images["input"], style.expand(5, -1))
    for role, raw in expected.items():
        for index in range(3):
            assert np.abs(read(tmp_path / f"{index:03d}_{role}.png").astype(int) - to_uint8(raw[index])).max() <= 1
    assert len(means.seen) == 3 * 2 + 3  # further styles are saved, not evaluated


@pytest.mark.parametrize("task", ["unpaired", "inputs"])
def test_other_tasks_keep_one_image_a_source(tmp_path: Path, task: TaskName) -> None:
    evaluate({"it": resnet(2, blocks=0).build()}, data(task), EvaluationConfig(images=1), device=CPU, keep=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"000_input.png", "000_it.png"}


def test_one_image_has_no_distance() -> None:
    with pytest.raises(ValueError, match="generated=1: the least is 2"):
        EvaluationConfig(generated=1)


@pytest.mark.parametrize(("threads", "bound"), [(0, "the least is 1"), (99_999_999_999, "the most is 1024")])
def test_threads_have_bounds(threads: int, bound: str) -> None:
    with pytest.raises(ValueError, match=f"threads={threads}: {bound}"):
        EvaluationConfig(threads=threads)
