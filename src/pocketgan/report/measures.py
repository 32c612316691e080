"""What stands in ``result.json``: which networks, which runtimes, which metrics, and which way is better."""

from __future__ import annotations

import math
from typing import Any

from pocketgan.report.numbers import plain
from pocketgan.report.read import mapping, number

FIRST = ("teacher", "generator", "student")
RUNTIMES = {"onnxruntime": "ONNX Runtime", "torch": "PyTorch"}
NAMES = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "fid": "FID",
    "kid": "KID",
    "miou": "mIoU",
    "accuracy": "Pixel accuracy",
    "frechet": "Fréchet distance",
    "kernel": "Kernel distance",
    "precision": "Precision",
    "recall": "Recall",
}
HIGHER = {
    **dict.fromkeys(("psnr", "ssim", "miou", "accuracy", "precision", "recall"), True),
    **dict.fromkeys(("fid", "kid", "frechet", "kernel"), False),
}
# The order in which metrics are offered where there is room for one: what a reader can evaluate without a protocol first.
PREFERRED = ("psnr", "fid", "miou", "frechet", "kid", "kernel", "precision", "recall", "accuracy", "ssim")


def networks(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The measured networks of a result: teacher, generator, student, then any other, as they come."""
    measured = {
        name: facts
        for name, facts in result.items()
        if isinstance(facts, dict) and (name in FIRST or {"quality", "macs", "latency_ms"} & facts.keys())
    }
    first = [name for name in FIRST if name in measured]
    return {name: measured[name] for name in [*first, *(name for name in measured if name not in FIRST)]}


def quality(facts: dict[str, Any], metric: str) -> float | None:
    """The value of ``metric``, or None."""
    return number(mapping(facts.get("quality")).get(metric))


def latency(facts: dict[str, Any], runtime: str) -> dict[str, Any]:
    """What was measured on ``runtime``: median, p10, p90 in milliseconds, threads, batch; empty if it was not."""
    return mapping(mapping(facts.get("latency_ms")).get(runtime))


def median(facts: dict[str, Any], runtime: str) -> float | None:
    """Median latency in milliseconds, or None."""
    return number(latency(facts, runtime).get("median"))


def union(facts: list[dict[str, Any]], field: str) -> list[str]:
    """The names that stand under ``field`` in any of ``facts``, in order of first appearance."""
    return list(dict.fromkeys(name for one in facts for name in mapping(one.get(field))))


def runtime_name(runtime: str) -> str:
    """``onnxruntime`` as one writes it."""
    return RUNTIMES.get(runtime, runtime)


def base(metric: str) -> str:
    """The kind of a metric: ``kernel`` of ``kernel[net@1a2b]``, ``fid`` of ``FID[clean,test]``, ``psnr`` of ``psnr_to_x``."""
    return metric.partition("[")[0].partition("_")[0].lower()


def metric_name(metric: str) -> str:
    """A metric as one writes it; its extractor and reference stay, since a number without its protocol is none."""
    head, bracket, tail = metric.partition("[")
    kind, _, rest = head.partition("_")
    words = f"{NAMES[kind]} {rest.replace('_', ' ')}".strip() if kind in NAMES else head
    return f"{words} {bracket}{tail}".strip()


def higher_is_better(metric: str) -> bool | None:
    """Which way is better; None for a metric that this page does not know."""
    return HIGHER.get(base(metric))


def quality_text(metric: str, value: float, *, digits: int = 4) -> str:
    """A metric's value with its unit."""
    if base(metric) == "psnr" and math.isfinite(value):
        return f"{value:.2f} dB".replace("-", "−")
    return plain(value, digits)


def by_preference(metrics: list[str]) -> list[str]:
    """Metrics whose direction is known: against the target before any other reference, best known first."""
    known = [metric for metric in metrics if base(metric) in PREFERRED]
    return sorted(known, key=lambda metric: ("_to_" in metric.partition("[")[0], PREFERRED.index(base(metric))))


def finite(value: float | None) -> bool:
    """Whether a value is there and can be drawn."""
    return value is not None and math.isfinite(value)
