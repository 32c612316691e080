"""Precision and recall of what a evaluate has looked at: when they are measured, on what, and how they are called."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pocketgan.evaluation import METRICS, EvaluationConfig
from pocketgan.evaluation.accumulator import MetricAccumulator
from pocketgan.metrics.precision_recall import precision, recall
from pocketgan.metrics.statistics import F64


class Means:
    """Of each channel."""

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
    for evaluation, seed, count in ((fakes, 0, 7), (reals, 1, 9)):
        for start in range(0, count, 4):
            evaluation.look(images(count, seed)[start : start + 4])
    own, others = (Means("")(images(*side)) for side in ((7, 0), (9, 1)))
    wanted = [precision(own, others), recall(own, others)]
    assert fakes.scores(reals, whose=whose).quality == dict(zip(names, wanted, strict=True))
    assert 0 < np.mean(wanted) < 1


def test_they_are_measured_where_they_are_named() -> None:
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
