"""Registered metrics, and precision and recall of an accumulator: values, names and conditions."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pocketgan.evaluation import METRICS, EvaluationConfig
from pocketgan.evaluation.accumulator import MetricAccumulator
from pocketgan.metrics.distances import precision, recall
from pocketgan.metrics.registry import STANDARD_NAMES
from pocketgan.metrics.statistics import F64


class Means:
    """Extractor: the mean of each channel."""

    dim = 3

    def __init__(self, name: str):
        self.name = name

    def __call__(self, images: Tensor) -> F64:
        return images.mean((2, 3)).double().numpy()


def images(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(
    ("extractor", "whose", "names"),
    [
        ("toy-1a2b", "test", ["precision[toy-1a2b]", "recall[toy-1a2b]"]),
        ("toy-1a2b", "teacher", ["precision[toy-1a2b,teacher]", "recall[toy-1a2b,teacher]"]),
        ("clean", "test", ["precision[clean,test]", "recall[clean,test]"]),
    ],
)
def test_values_and_names(extractor: str, whose: str, names: list[str]) -> None:
    config = EvaluationConfig(metrics=("recall", "precision"), features="toy.onnx")
    fakes, reals = (MetricAccumulator(config, Means(extractor)) for _ in range(2))
    for accumulator, seed, count in ((fakes, 0, 7), (reals, 1, 9)):
        for start in range(0, count, 4):
            accumulator.add_features(images(count, seed)[start : start + 4])
    own, others = (Means("")(images(*side)) for side in ((7, 0), (9, 1)))
    expected = [precision(own, others), recall(own, others)]
    assert fakes.scores(reals, whose=whose).quality == dict(zip(names, expected, strict=True))
    assert 0 < np.mean(expected) < 1


def test_precision_and_recall_are_measured_on_request() -> None:
    assert [name for name in METRICS if EvaluationConfig().wants(name)] == [
        "psnr",
        "ssim",
        "frechet",
        "kernel",
        "miou",
        "accuracy",
    ]
    asked = EvaluationConfig(metrics=("recall",), features="toy.onnx")
    assert [name for name in METRICS if asked.wants(name)] == ["recall"]
    for name in ("precision", "recall"):
        with pytest.raises(ValueError, match=f"{name} is measured on features: give --features"):
            EvaluationConfig(metrics=(name,))


def test_needs_and_directions_of_all_metrics() -> None:
    assert {name: metric.needs for name, metric in METRICS.items()} == {
        "psnr": "pairs",
        "ssim": "pairs",
        "frechet": "moments",
        "kernel": "features",
        "precision": "features",
        "recall": "features",
        "miou": "segmenter",
        "accuracy": "segmenter",
    }
    assert {name for name, metric in METRICS.items() if not metric.higher_is_better} == {"frechet", "kernel"}
    assert STANDARD_NAMES == {"fid": "frechet", "kid": "kernel"}


def test_names_of_the_standard_features_stand_for_two_metrics() -> None:
    config = EvaluationConfig(metrics=("fid",), features="inception")
    assert [name for name in METRICS if config.wants(name)] == ["frechet"]
    assert config.wants_any("moments", "segmenter")
    assert not config.wants_any("features", "pairs")
    with pytest.raises(ValueError, match=r"kid is measured on Inception's features only, .* or ask for kernel"):
        EvaluationConfig(metrics=("kid",), features="toy.onnx")


def test_the_error_of_a_mean_is_that_of_its_images() -> None:
    accumulator = MetricAccumulator(EvaluationConfig(), None)
    ones = torch.ones(3, 3, 12, 12)
    accumulator.add_pairs(ones * torch.tensor([0.8, 0.6, 0.9]).view(3, 1, 1, 1), ones, "_to_teacher")
    scores = accumulator.scores(accumulator)
    values = 10 * np.log10(4 / np.array([0.2, 0.4, 0.1]) ** 2)
    assert set(scores.quality) == set(scores.spread) == {"psnr_to_teacher", "ssim_to_teacher"}
    assert scores.quality["psnr_to_teacher"] == pytest.approx(values.mean(), rel=1e-5)
    assert scores.spread["psnr_to_teacher"] == pytest.approx(values.std(ddof=1) / 3**0.5, rel=1e-4)
