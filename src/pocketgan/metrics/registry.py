"""All metrics of evaluation: name, needs, direction, display name and function of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pocketgan.metrics.distances import frechet_distance, kernel_distance, precision, recall
from pocketgan.metrics.image import psnr, ssim

Need = Literal["pairs", "moments", "features", "segmenter"]


@dataclass(frozen=True)
class Metric:
    """Description of one metric."""

    title: str
    """Name for people."""
    needs: Need
    """Arguments of ``function``: images and targets (``pairs``), the `Moments` or the rows of the features of generated and
    real images (``moments``, ``features``), or a confusion matrix and its segmenter's ``of_present`` (``segmenter``)."""
    function: Callable[..., Any]
    higher_is_better: bool
    unit: str = ""
    by_default: bool = True
    """True if it is measured without being asked for."""
    standard: str = ""
    """Name on the standard Inception features, where they have one of their own; ``--metrics`` takes it in lower case."""


METRICS: dict[str, Metric] = {
    "psnr": Metric("PSNR", "pairs", psnr, True, unit="dB"),
    "ssim": Metric("SSIM", "pairs", ssim, True),
    "frechet": Metric("Fréchet distance", "moments", frechet_distance, False, standard="FID"),
    "kernel": Metric("Kernel distance", "features", kernel_distance, False, standard="KID"),
    "precision": Metric("Precision", "features", precision, True, by_default=False),
    "recall": Metric("Recall", "features", recall, True, by_default=False),
    "miou": Metric("mIoU", "segmenter", lambda confusion, of_present: confusion.miou(of_present=of_present), True),
    "accuracy": Metric("Pixel accuracy", "segmenter", lambda confusion, of_present: confusion.pixel_accuracy(), True),
}
"""Metrics by the names that ``--metrics`` takes."""

STANDARD_NAMES = {metric.standard.lower(): name for name, metric in METRICS.items() if metric.standard}
"""``{"fid": "frechet", "kid": "kernel"}``: names that allow the standard Inception features only."""
