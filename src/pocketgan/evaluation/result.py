"""Measured results of a network: costs, latency and quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from pocketgan.core.inputs import Shape, Size, as_size, examples
from pocketgan.deploy import RUNTIMES, frozen
from pocketgan.evaluation.accumulator import Scores
from pocketgan.evaluation.config import EvaluationConfig
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.latency import measure_latency


@dataclass
class Result:
    """Results of one artifact; one JSON object."""

    params: int
    macs: int
    macs_paper: int
    size: Size
    """Image size of the counts and latencies: the side of a square, or height and width."""
    bytes: int = 0
    latency_ms: dict[str, dict[str, float | int]] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    """Standard error of the metrics that have one."""
    classes: dict[str, float | None] = field(default_factory=dict)
    """IoU of each class of the segmenter; None for one that occurs neither in the maps nor in the images."""

    def add(self, scores: Scores) -> None:
        """Add the quality of the images."""
        self.quality, self.spread, self.classes = scores.quality, scores.spread, scores.classes

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return dataclasses.asdict(self)


def cost_result(model: nn.Module, shape: Shape) -> Result:
    """Result with the costs for images of that height and width alone."""
    cost = CostModel(model, shape)()
    return Result(params=cost.params, macs=cost.macs, macs_paper=cost.macs_paper, size=as_size(shape))


def latencies(
    generators: Mapping[str, nn.Module], shape: Shape, config: EvaluationConfig, *, batch: int = 1
) -> dict[str, dict[str, Any]]:
    """``{name: {runtime: milliseconds}}`` for ``batch`` images, all candidates interleaved in one run on the CPU."""
    runs = {}
    for name, generator in generators.items():
        model = frozen(generator).to("cpu")
        inputs = examples(model, shape, batch=batch)
        for runtime in config.runtimes:
            runs[f"{name}/{runtime}"] = RUNTIMES[runtime](model, inputs, threads=config.threads)
    measured = measure_latency(runs, repeats=config.repeats, threads=config.threads, batch=batch)
    return {name: {runtime: measured[f"{name}/{runtime}"]._asdict() for runtime in config.runtimes} for name in generators}
