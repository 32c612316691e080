"""What is known of images while they are generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketgan.evaluation.config import EvaluationConfig
from pocketgan.metrics.features import Extractor, distance_name
from pocketgan.metrics.frechet import frechet_distance
from pocketgan.metrics.image import RunningMean, psnr, ssim
from pocketgan.metrics.kernel import FeatureSample, kernel_distance
from pocketgan.metrics.precision_recall import precision, recall
from pocketgan.metrics.segmentation import Confusion, Segmenter
from pocketgan.metrics.statistics import FeatureStatistics, Moments


@dataclass(frozen=True)
class Scores:
    """What was found of one generator's images."""

    quality: dict[str, float]
    """Every figure, by its name."""
    spread: dict[str, float] = field(default_factory=dict)
    """The standard error of those that have one."""
    classes: dict[str, float | None] = field(default_factory=dict)
    """The IoU of each class, None for one that occurs nowhere; empty without a segmenter."""


class MetricAccumulator:
    """What is known of one generator's images so far."""

    def __init__(self, config: EvaluationConfig, extractor: Extractor | None, segmenter: Segmenter | None = None):
        self.config, self.extractor, self.segmenter = config, extractor, segmenter
        self.means: dict[str, RunningMean] = {}
        self.statistics, self.sample = FeatureStatistics(), FeatureSample()
        self.confusion = Confusion(segmenter.classes) if segmenter is not None else None

    def compare(self, images: Tensor, other: Tensor, suffix: str = "") -> None:
        """Add the images' likeness to ``other``."""
        for name, measure in (("psnr", psnr), ("ssim", ssim)):
            if self.config.wants(name):
                self.means.setdefault(name + suffix, RunningMean()).update(measure(images, other))

    def look(self, images: Tensor) -> None:
        """Add the images' features."""
        if self.extractor is not None:
            rows = self.extractor(images)
            self.statistics.update(rows)
            self.sample.update(rows)

    def read(self, images: Tensor, targets: Sequence[NDArray[np.int64]]) -> None:
        """Add what the segmenter reads in the images, at the size of their label maps."""
        if self.confusion is None or self.segmenter is None:
            return
        for size in dict.fromkeys(label_target.shape for label_target in targets):  # mostly one: the segmenter is asked once
            places = [place for place, label_target in enumerate(targets) if label_target.shape == size]
            wanted = torch.from_numpy(np.stack([targets[place] for place in places]))
            self.confusion.update(self.segmenter(images[places], size), wanted)

    def scores(
        self, reals: MetricAccumulator, stats: Moments | None = None, *, whose: str = "test", names: Sequence[str] = ()
    ) -> Scores:
        """Everything; ``whose``: the images that ``reals`` saw, ``names``: of the segmenter's classes."""
        values, errors = self._quality(reals, stats, whose=whose)
        if self.confusion is None or self.segmenter is None:
            return Scores(values, errors)
        miou = self.confusion.miou_of_present if self.segmenter.of_present else self.confusion.miou
        read = {"miou": miou()}
        read["accuracy"] = self.confusion.pixel_accuracy()
        values |= {f"{name}[{self.segmenter.name}]": value for name, value in read.items() if self.config.wants(name)}
        own = self.confusion.iou().tolist()
        return Scores(values, errors, {n: None if isnan(v) else v for n, v in zip(names, own, strict=True)})

    def _quality(
        self, reals: MetricAccumulator, stats: Moments | None = None, *, whose: str = "test"
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Every figure, and the standard error of those that have one. ``whose``: the images that ``reals`` saw."""
        values = {name: mean.mean for name, mean in self.means.items()}
        errors = {name: mean.std / mean.count**0.5 for name, mean in self.means.items() if mean.count > 1}
        if self.extractor is None:
            return values, errors
        if self.config.wants("frechet"):
            name = distance_name("frechet", self.extractor, whose if stats is None else stats.reals or "real_stat")
            values[name] = frechet_distance(self.statistics.moments(), stats or reals.statistics.moments())
        if self.config.wants("kernel"):
            name = distance_name("kernel", self.extractor, whose)
            distance = kernel_distance(self.sample.rows(), reals.sample.rows())
            values[name], errors[name] = distance.value, distance.spread
        if self.config.wants("precision"):
            values[distance_name("precision", self.extractor, whose)] = precision(self.sample.rows(), reals.sample.rows())
        if self.config.wants("recall"):
            values[distance_name("recall", self.extractor, whose)] = recall(self.sample.rows(), reals.sample.rows())
        return values, errors
