"""First sentence and main figures of the page: reduction of costs, and quality."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pocketgan.report.comparison import budget_text, experiments, measured, student_of, teacher_of
from pocketgan.report.measures import (
    by_preference,
    higher_is_better,
    median,
    metric_name,
    networks,
    quality,
    quality_text,
    runtime_name,
    union,
)
from pocketgan.report.numbers import NOTHING, change, duration, finite, milliseconds, plain, si
from pocketgan.report.read import RunFiles, number
from pocketgan.report.tables import Facts


@dataclass(frozen=True)
class Tile:
    """Large figure with its label and a second line."""

    value: str
    label: str
    detail: str


def tiles(run: RunFiles) -> list[Tile]:
    """Main figures of one run: ratios of a compression, or costs of a trained generator; then quality."""
    return [*_cost_tiles(run), *_quality_tiles(run)]


def headline(runs: Sequence[RunFiles]) -> str:
    """Sentence on one run, or on the best of several."""
    if len(runs) > 1:
        return _of_several(runs)
    costs = ", ".join(f"{tile.value} {tile.label}" for tile in _cost_tiles(runs[0]))
    qualities = [", ".join(filter(None, (f"{tile.label} {tile.value}", tile.detail))) for tile in _quality_tiles(runs[0])]
    return "; ".join(filter(None, (costs, *qualities))) or _progress(runs[0])


def _cost_tiles(run: RunFiles) -> list[Tile]:
    found = networks(run.result)
    teacher, student = found.get("teacher"), found.get("student")
    if teacher and student:
        return _ratio_tiles(teacher, student)
    facts = student or found.get("generator") or teacher or {}
    costs = (("params", "parameters"), ("macs", "exact MACs"))
    made = [Tile(si(value), label, "") for key, label in costs if (value := number(facts.get(key))) is not None]
    runtime = _main_runtime([facts])
    value = median(facts, runtime)
    return made + ([Tile(milliseconds(value), f"in {runtime_name(runtime)}", "median latency")] if value else [])


def _ratio_tiles(teacher: Facts, student: Facts) -> list[Tile]:
    runtime = _main_runtime([teacher, student])
    where = f"in {runtime_name(runtime)}"
    rows = (
        ("fewer MACs", "more MACs", si, number(teacher.get("macs")), number(student.get("macs"))),
        ("fewer parameters", "more parameters", si, number(teacher.get("params")), number(student.get("params"))),
        (f"faster {where}", f"slower {where}", milliseconds, median(teacher, runtime), median(student, runtime)),
    )
    made = []
    for less, more, text, before, after in rows:
        if before and after:
            value, _, label = change(before, after, (less, more)).partition(" ")
            made.append(Tile(value, label, f"{text(before)} → {text(after)}"))
    return made


def _main_runtime(facts: list[Facts]) -> str:
    """ONNX Runtime if all of ``facts`` were measured on it, else the first runtime that all have."""
    common = [name for name in union(facts, "latency_ms") if all(median(one, name) for one in facts)]
    return "onnxruntime" if "onnxruntime" in common else next(iter(common), "")


def _quality_tiles(run: RunFiles) -> list[Tile]:
    found = networks(run.result)
    teacher = found.get("teacher", {})
    facts = found.get("student") or found.get("generator") or teacher
    metric = main_metric([facts, teacher]) or main_metric([facts])
    value, other = quality(facts, metric), quality(teacher, metric)
    if value is None:
        return []
    detail = "" if other is None or facts is teacher else f"teacher {quality_text(metric, other)}"
    return [Tile(quality_text(metric, value), metric_name(metric), detail)]


def main_metric(facts: Sequence[Facts]) -> str:
    """First metric by preference that all of ``facts`` have; empty if there is none."""
    names = union(list(facts), "quality")
    return next(iter(by_preference([m for m in names if all(finite(quality(one, m)) for one in facts)])), "")


def _of_several(runs: Sequence[RunFiles]) -> str:
    """Best experiment by its mean over seeds, so that no lucky seed makes the headline."""
    done = [run for run in runs if student_of(run)]
    if len(done) < 2:
        return f"{len(done) or 'None'} of {len(runs)} runs finished yet"
    names = by_preference(measured(done)[1])
    metric = next((m for m in names if sum(finite(quality(student_of(run), m)) for run in done) > 1), "")
    if not metric:
        return f"{len(runs)} runs side by side"
    means = [(_mean(group, metric), group) for group in experiments(done)]
    sign = 1 if higher_is_better(metric) else -1
    value, best = max((pair for pair in means if finite(pair[0])), key=lambda pair: sign * pair[0])
    first = best[0]
    ratio = change(number(teacher_of(first).get("macs")), number(student_of(first).get("macs")), ("fewer MACs", "more MACs"))
    experiment = f"{first.result.get('method', first.label)} {budget_text(first.result)}".removesuffix(NOTHING).strip()
    name = first.label if len(best) == 1 else f"{experiment}, mean of {len(best)} seeds,"
    at = f" at {ratio}" if teacher_of(first) else ""
    return f"Best {metric_name(metric)} of {len(runs)} runs: {quality_text(metric, value)} by {name}{at}"


def _mean(group: list[RunFiles], metric: str) -> float:
    values = [value for run in group if (value := quality(student_of(run), metric)) is not None and finite(value)]
    return statistics.fmean(values) if values else math.nan


def _progress(run: RunFiles) -> str:
    """Last logged stage, step and time of an unfinished run."""
    if not run.log:
        return "Nothing is measured yet"
    last = run.log[-1]
    step, seconds = number(last.get("step")), number(last.get("seconds"))
    parts = [str(last.get("stage", "run"))]
    parts += [] if step is None else [f"step {plain(step, 1)}"]
    parts += [] if seconds is None else [duration(seconds)]
    return f"Not finished yet: {', '.join(parts)}"
