"""How good a candidate is on held-out images: near to the teacher's pictures, or to real ones on features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from pocketgan.compress.calibrate import calibrate_, has_statistics
from pocketgan.compress.elastic import Elastic
from pocketgan.metrics.features import Extractor
from pocketgan.metrics.frechet import frechet_distance
from pocketgan.metrics.kernel import kernel_distance
from pocketgan.metrics.statistics import FeatureStatistics

Fit = Literal["teacher", "frechet", "kernel"]
"""``teacher``: mean absolute difference to the teacher's pictures, which needs no extractor and has little noise."""


@dataclass(frozen=True)
class HeldOut:
    """A part of the training images that no weight has been fitted to; batches, N x C x H x W in [-1, 1] each."""

    sources: Sequence[Tensor]
    taught: Sequence[Tensor]
    """The teacher's pictures of them."""
    reals: Sequence[Tensor] = ()
    """Real targets, where there are any."""
    extractor: Extractor | None = None


def make_fitness(model: Elastic, held_out: HeldOut, kind: Fit, device: torch.device) -> Callable[[Mapping[str, int]], float]:
    """``{group: width}`` -> the distance of that network, with the shared weights as they are; lower is better.

    The pictures of the teacher and the statistics of the real ones are made once. Nothing is built for a network without
    running statistics; one with them is cut out and recalibrated. Raises ``ValueError`` for a distance on features that has
    no extractor.
    """
    sources = [source.to(device) for source in held_out.sources]
    measure = _measure(held_out, kind, device)

    def fitness(widths: Mapping[str, int]) -> float:
        model.resize_(widths)
        painter: nn.Module = model.eval()
        if has_statistics(model.model):
            painter = model.extract().eval()
            calibrate_(painter, sources)
        with torch.inference_mode():
            return measure([painter(source) for source in sources])

    return fitness


def _measure(held_out: HeldOut, kind: Fit, device: torch.device) -> Callable[[Sequence[Tensor]], float]:
    if kind == "teacher":
        taught = [picture.to(device) for picture in held_out.taught]

        def difference(pictures: Sequence[Tensor]) -> float:
            total = sum(float((a.float() - b).abs().sum(dtype=torch.float64)) for a, b in zip(pictures, taught, strict=True))
            return total / sum(picture.numel() for picture in pictures)

        return difference
    extractor = held_out.extractor
    if extractor is None:
        raise ValueError(f"fitness={kind} is measured on features: give an ONNX file with --features, or take fitness=teacher")
    rows = np.concatenate([extractor(real) for real in held_out.reals or held_out.taught])
    if kind == "kernel":
        return lambda pictures: kernel_distance(np.concatenate([extractor(p.cpu()) for p in pictures]), rows).value
    reals = FeatureStatistics(features=extractor.name)
    reals.update(rows)
    moments = reals.moments()

    def frechet(pictures: Sequence[Tensor]) -> float:
        statistics = FeatureStatistics(features=extractor.name)
        for picture in pictures:
            statistics.update(extractor(picture.cpu()))
        return frechet_distance(statistics.moments(), moments)

    return frechet
