"""Values of ``result.json``: networks, runtimes and metrics, with their labels and the direction of improvement."""

from __future__ import annotations

import math
from typing import Any

from pocketgan.metrics.registry import METRICS, STANDARD_NAMES, Metric
from pocketgan.report.numbers import plain
from pocketgan.report.read import mapping, number

FIRST = ("teacher", "generator", "student")
RUNTIMES = {"onnxruntime": "ONNX Runtime", "torch": "PyTorch"}
MAIN = ("psnr", "fid", "miou", "frechet", "kid", "kernel")
"""Metrics in the order of preference; the first that a result has is its main metric, and all others follow."""


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


def registered(kind: str) -> Metric | None:
    """Registered metric of a kind; of ``fid`` and ``kid`` the metric that they name on the standard features."""
    return METRICS.get(STANDARD_NAMES.get(kind, kind))


def metric_name(metric: str) -> str:
    """Label of a metric with its extractor and reference: ``PSNR to teacher``, ``Kernel distance [net@1a2b]``."""
    head, bracket, tail = metric.partition("[")
    kind, _, rest = head.partition("_")
    if (metric_ := registered(kind)) is not None:
        reference = "to target" if metric_.needs == "pairs" and not rest else rest.replace("_", " ")
        head = f"{metric_.standard if kind in STANDARD_NAMES else metric_.title} {reference}".strip()
    return f"{head} {bracket}{tail}".strip()


def higher_is_better(metric: str) -> bool | None:
    """True if higher is better, False if lower is; None for an unknown metric."""
    known = registered(base(metric))
    return known.higher_is_better if known is not None else None


def direction(metric: str) -> str:
    """Direction of improvement in words; empty for an unknown metric."""
    return {True: "higher is better", False: "lower is better", None: ""}[higher_is_better(metric)]


def quality_text(metric: str, value: float, digits: int = 4) -> str:
    """Value of a metric with its unit."""
    known = registered(base(metric))
    if known is not None and known.unit and math.isfinite(value):
        return f"{value:.2f} {known.unit}".replace("-", "−")
    return plain(value, digits)


def by_preference(metrics: list[str]) -> list[str]:
    """Known metrics, the main one first; those against the target come before those against another reference."""
    order = list(dict.fromkeys((*MAIN, *METRICS)))
    known = [metric for metric in metrics if registered(base(metric)) is not None]
    return sorted(known, key=lambda metric: ("_to_" in metric.partition("[")[0], order.index(base(metric))))
