"""The measured facts of a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from pocketgan.core.inputs import examples
from pocketgan.core.shape import Shape, Size, plain
from pocketgan.evaluation.accumulator import Scores
from pocketgan.evaluation.config import EvaluationConfig
from pocketgan.export import RUNTIMES, frozen
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.latency import measure_latency


@dataclass
class Result:
    """The measured facts of one artifact; one JSON object."""

    params: int
    macs: int
    macs_paper: int
    size: Size
    """Side of the square input that the counts and latencies hold for; height and width of one that is not square."""
    bytes: int = 0
    latency_ms: dict[str, dict[str, float | int]] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    """Standard error of those figures of ``quality`` that have one."""

    classes: dict[str, float | None] = field(default_factory=dict)
    """The IoU of each class that a segmenter tells apart; None for one that occurs neither in the maps nor in the images."""

    def add(self, scores: Scores) -> None:
        """What was found of its images."""
        self.quality, self.spread, self.classes = scores.quality, scores.spread, scores.classes

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return dataclasses.asdict(self)


def cost_result(model: nn.Module, shape: Shape) -> Result:
    """The facts that need no data: the costs for images of that height and width."""
    cost = CostModel(model, shape)()
    return Result(params=cost.params, macs=cost.macs, macs_paper=cost.macs_paper, size=plain(shape))


def latencies(
    generators: Mapping[str, nn.Module], shape: Shape, config: EvaluationConfig, *, batch: int = 1
) -> dict[str, dict[str, Any]]:
    """``{name: {runtime: milliseconds}}`` for ``batch`` images, all candidates interleaved in one run on the CPU."""
    runs = {}
    for name, generator in generators.items():
        model = frozen(generator).to("cpu")
        inputs = examples(model, shape, batch=batch)
        for runtime in config.runtimes:
            runs[name, runtime] = RUNTIMES[runtime](model, inputs, threads=config.threads)
    measured = measure_latency(
        {"/".join(key): run for key, run in runs.items()}, repeats=config.repeats, threads=config.threads, batch=batch
    )
    found: dict[str, dict[str, Any]] = {name: {} for name in generators}
    for name, runtime in runs:
        found[name][runtime] = measured[f"{name}/{runtime}"].to_json()
    return found
