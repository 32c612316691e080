"""Accumulation of metrics while images are generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketgan.evaluation.config import EvaluationConfig
from pocketgan.metrics.distances import FeatureSample, KernelDistance
from pocketgan.metrics.features import Extractor, distance_name
from pocketgan.metrics.registry import METRICS
from pocketgan.metrics.segmentation import Confusion, Segmenter
from pocketgan.metrics.statistics import FeatureStatistics, Moments


@dataclass(frozen=True)
class Scores:
    """Measured quality of one generator's images."""

    quality: dict[str, float]
    """Value of each metric, by its full name."""
    spread: dict[str, float] = field(default_factory=dict)
    """Standard error of the metrics that have one."""
    classes: dict[str, float | None] = field(default_factory=dict)
    """IoU of each class, None for one that occurs nowhere; empty without a segmenter."""


class MetricAccumulator:
    """Statistics of one generator's images (or of the real ones) so far."""

    def __init__(self, config: EvaluationConfig, extractor: Extractor | None, segmenter: Segmenter | None = None):
        self.config, self.extractor, self.segmenter = config, extractor, segmenter
        self.values: dict[str, list[Tensor]] = {}
        self.statistics, self.sample = FeatureStatistics(), FeatureSample()
        self.confusion = Confusion(segmenter.classes) if segmenter is not None else None

    def add_pairs(self, images: Tensor, targets: Tensor, suffix: str = "") -> None:
        """Compare the images with their targets; ``suffix`` is appended to the names of the metrics."""
        for name, metric in METRICS.items():
            if metric.needs == "pairs" and self.config.wants(name):
                self.values.setdefault(name + suffix, []).append(metric.function(images, targets))

    def add_features(self, images: Tensor) -> None:
        """Add the features of the images."""
        if self.extractor is not None:
            rows = self.extractor(images)
            self.statistics.update(rows)
            self.sample.update(rows)

    def add_segmentation(self, images: Tensor, targets: Sequence[NDArray[np.int64]]) -> None:
        """Add the classes that the segmenter finds in the images, at the sizes of their label maps."""
        if self.confusion is None or self.segmenter is None:
            return
        for size in dict.fromkeys(target.shape for target in targets):  # mostly one size: one call of the segmenter
            indices = [index for index, target in enumerate(targets) if target.shape == size]
            labels = torch.from_numpy(np.stack([targets[index] for index in indices]))
            self.confusion.update(self.segmenter(images[indices], size), labels)

    def scores(
        self, reals: MetricAccumulator, stats: Moments | None = None, *, whose: str = "test", names: Sequence[str] = ()
    ) -> Scores:
        """All metrics. ``whose``: name of the images of ``reals``; ``stats`` replaces their moments; ``names``: classes."""
        of_images = {name: torch.cat(parts) for name, parts in self.values.items()}
        values = {name: float(own.mean()) for name, own in of_images.items()}
        errors = {name: float(own.std()) / len(own) ** 0.5 for name, own in of_images.items() if len(own) > 1}
        for kind, metric in METRICS.items():
            if not self.config.wants(kind):
                continue
            if metric.needs == "moments" and self.extractor is not None:
                name = distance_name(kind, self.extractor, whose if stats is None else stats.reals or "real_stat")
                values[name] = metric.function(self.statistics.moments(), stats or reals.statistics.moments())
            elif metric.needs == "features" and self.extractor is not None:
                name = distance_name(kind, self.extractor, whose)
                values[name] = metric.function(self.sample.rows(), reals.sample.rows())
                if isinstance(distance := values[name], KernelDistance):
                    values[name], errors[name] = distance.value, distance.spread
            elif metric.needs == "segmenter" and self.confusion is not None and self.segmenter is not None:
                values[f"{kind}[{self.segmenter.name}]"] = metric.function(self.confusion, self.segmenter.of_present)
        iou = zip(names, self.confusion.iou().tolist(), strict=True) if self.confusion is not None else ()
        return Scores(values, errors, {name: None if isnan(value) else value for name, value in iou})
