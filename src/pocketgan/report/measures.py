"""Values of ``result.json``: networks, runtimes and metrics, with their labels and the direction of improvement."""

from __future__ import annotations

import math
from typing import Any

from pocketgan.report.numbers import plain
from pocketgan.report.read import mapping, number

FIRST = ("teacher", "generator", "student")
RUNTIMES = {"onnxruntime": "ONNX Runtime", "torch": "PyTorch"}
METRICS = {
    "psnr": ("PSNR", True),
    "fid": ("FID", False),
    "miou": ("mIoU", True),
    "frechet": ("Fréchet distance", False),
    "kid": ("KID", False),
    "kernel": ("Kernel distance", False),
    "precision": ("Precision", True),
    "recall": ("Recall", True),
    "accuracy": ("Pixel accuracy", True),
    "ssim": ("SSIM", True),
}
"""Label of each metric, and True if higher is better; the first that a result has is its main metric."""
TO_TARGET = ("psnr", "ssim")
"""Metrics of image pairs: against the target, or, with a suffix such as ``_to_teacher``, against another image."""


def networks(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Measured networks of a result: teacher, generator, student, then the others in the order of the file."""
    measured = {
        name: facts
        for name, facts in result.items()
        if isinstance(facts, dict) and (name in FIRST or {"quality", "macs", "latency_ms"} & facts.keys())
    }
    order = [*(name for name in FIRST if name in measured), *(name for name in measured if name not in FIRST)]
    return {name: measured[name] for name in order}


def quality(facts: dict[str, Any], metric: str) -> float | None:
    """Value of ``metric``, or None."""
    return number(mapping(facts.get("quality")).get(metric))


def latency(facts: dict[str, Any], runtime: str) -> dict[str, Any]:
    """Latency on ``runtime``: median, p10, p90 in milliseconds, threads, batch; empty if not measured."""
    return mapping(mapping(facts.get("latency_ms")).get(runtime))


def median(facts: dict[str, Any], runtime: str) -> float | None:
    """Median latency in milliseconds, or None."""
    return number(latency(facts, runtime).get("median"))


def union(facts: list[dict[str, Any]], field: str) -> list[str]:
    """Names under ``field`` in any of ``facts``, in order of first appearance."""
    return list(dict.fromkeys(name for one in facts for name in mapping(one.get(field))))


def runtime_name(runtime: str) -> str:
    """Label of a runtime: ``ONNX Runtime`` of ``onnxruntime``."""
    return RUNTIMES.get(runtime, runtime)


def base(metric: str) -> str:
    """Kind of a metric: ``kernel`` of ``kernel[net@1a2b]``, ``fid`` of ``FID[clean,test]``, ``psnr`` of ``psnr_to_x``."""
    return metric.partition("[")[0].partition("_")[0].lower()


def metric_name(metric: str) -> str:
    """Label of a metric with its extractor and reference: ``PSNR to teacher``, ``Kernel distance [net@1a2b]``."""
    head, bracket, tail = metric.partition("[")
    kind, _, rest = head.partition("_")
    if kind in METRICS:
        reference = "to target" if kind in TO_TARGET and not rest else rest.replace("_", " ")
        head = f"{METRICS[kind][0]} {reference}".strip()
    return f"{head} {bracket}{tail}".strip()


def higher_is_better(metric: str) -> bool | None:
    """True if higher is better, False if lower is; None for an unknown metric."""
    return METRICS.get(base(metric), ("", None))[1]


def direction(metric: str) -> str:
    """Direction of improvement in words; empty for an unknown metric."""
    return {True: "higher is better", False: "lower is better", None: ""}[higher_is_better(metric)]


def quality_text(metric: str, value: float, *, digits: int = 4) -> str:
    """Value of a metric with its unit."""
    if base(metric) == "psnr" and math.isfinite(value):
        return f"{value:.2f} dB".replace("-", "−")
    return plain(value, digits)


def by_preference(metrics: list[str]) -> list[str]:
    """Known metrics, the main one first; those against the target come before those against another reference."""
    order = list(METRICS)
    known = [metric for metric in metrics if base(metric) in METRICS]
    return sorted(known, key=lambda metric: ("_to_" in metric.partition("[")[0], order.index(base(metric))))


def finite(value: float | None) -> bool:
    """True if ``value`` is a finite number."""
    return value is not None and math.isfinite(value)
