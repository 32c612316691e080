"""The page's first sentence: what became smaller and faster, and what the images lost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pocketgan.report.comparison import asked, experiments, measured, small, teacher_of
from pocketgan.report.measures import (
    by_preference,
    finite,
    higher_is_better,
    median,
    metric_name,
    networks,
    quality,
    quality_text,
    runtime_name,
    union,
)
from pocketgan.report.numbers import NOTHING, change, duration, milliseconds, plain, si
from pocketgan.report.read import RunFiles, number


@dataclass(frozen=True)
class Tile:
    """One large figure, what it counts, and where it comes from."""

    value: str
    label: str
    detail: str


def tiles(run: RunFiles) -> list[Tile]:
    """The main figures of one run: ratios of a compression, or the plain costs of a trained generator."""
    found = networks(run.result)
    teacher, student = found.get("teacher"), found.get("student")
    if teacher and student:
        return [*_cost_tiles(teacher, student), *_quality_tiles(student, teacher)]
    one = student or found.get("generator") or teacher or {}
    costs = (("params", "parameters"), ("macs", "exact MACs"))
    counts = [Tile(si(value), label, "") for key, label in costs if (value := number(one.get(key))) is not None]
    return [*counts, *_latency_tile(one), *_quality_tiles(one, {})]


def headline(runs: Sequence[RunFiles]) -> str:
    """One sentence on one run, or on the best of several."""
    if len(runs) > 1:
        return _of_several(runs)
    run, found = runs[0], networks(runs[0].result)
    if not found:
        return _progress(run)
    facts = [f"{tile.value} {tile.label}" for tile in tiles(run)]
    if "student" not in found or "teacher" not in found:
        return ", ".join(facts) or _progress(run)
    costs = [f"{tile.value} {tile.label}" for tile in _cost_tiles(found["teacher"], found["student"])]
    return "; ".join(part for part in (", ".join(costs), _quality_words(found["teacher"], found["student"])) if part)


def _cost_tiles(teacher: dict[str, Any], student: dict[str, Any]) -> list[Tile]:
    rows = [("macs", "fewer MACs", "more MACs"), ("params", "fewer parameters", "more parameters")]
    made = [
        _ratio_tile(before, after, (fewer, more), f"{si(before)} → {si(after)}")
        for key, fewer, more in rows
        if (before := number(teacher.get(key))) and (after := number(student.get(key)))
    ]
    runtime = _main_runtime([teacher, student])
    before, after = median(teacher, runtime), median(student, runtime)
    if before and after:
        where = f"in {runtime_name(runtime)}"
        detail = f"{milliseconds(before)} → {milliseconds(after)}"
        made.append(_ratio_tile(before, after, (f"faster {where}", f"slower {where}"), detail))
    return made


def _ratio_tile(before: float, after: float, words: tuple[str, str], detail: str) -> Tile:
    value, _, label = change(before, after, words).partition(" ")
    return Tile(value, label, detail)


def _latency_tile(facts: dict[str, Any]) -> list[Tile]:
    runtime = _main_runtime([facts])
    value = median(facts, runtime)
    return [Tile(milliseconds(value), f"in {runtime_name(runtime)}", "median latency")] if value else []


def _main_runtime(facts: list[dict[str, Any]]) -> str:
    """The runtime of a device before the one of training, where both were measured."""
    common = [name for name in union(facts, "latency_ms") if all(median(one, name) for one in facts)]
    return "onnxruntime" if "onnxruntime" in common else next(iter(common), "")


def _quality_tiles(facts: dict[str, Any], teacher: dict[str, Any]) -> list[Tile]:
    metric = main_metric([facts, teacher] if teacher else [facts]) or main_metric([facts])
    value = quality(facts, metric)
    if value is None:
        return []
    other = quality(teacher, metric)
    detail = "" if other is None else f"teacher {quality_text(metric, other)}"
    return [Tile(quality_text(metric, value), metric_name(metric), detail)]


def _quality_words(teacher: dict[str, Any], student: dict[str, Any]) -> str:
    metric = main_metric([teacher, student]) or main_metric([student])
    own, other = quality(student, metric), quality(teacher, metric)
    if own is None:
        return ""
    words = f"{metric_name(metric)} {quality_text(metric, own)}"
    return words if other is None else f"{words} beside the teacher’s {quality_text(metric, other)}"


def main_metric(facts: Sequence[dict[str, Any]]) -> str:
    """The best known metric that all of ``facts`` have; empty if there is none."""
    names = union(list(facts), "quality")
    return next(iter(by_preference([m for m in names if all(finite(quality(one, m)) for one in facts)])), "")


def _of_several(runs: Sequence[RunFiles]) -> str:
    """The best experiment by its mean over seeds, so that no lucky seed makes the headline."""
    done = [run for run in runs if small(run)]
    if len(done) < 2:
        return f"{len(done) or 'None'} of {len(runs)} runs finished yet"
    names = by_preference(measured(done)[1])
    metric = next((m for m in names if sum(finite(quality(small(run), m)) for run in done) > 1), "")
    if not metric:
        return f"{len(runs)} runs side by side"
    means = [(_mean(group, metric), group) for group in experiments(done)]
    sign = 1 if higher_is_better(metric) else -1
    value, best = max((pair for pair in means if finite(pair[0])), key=lambda pair: sign * pair[0])
    teacher, student = teacher_of(best[0]), small(best[0])
    ratio = change(number(teacher.get("macs")), number(student.get("macs")), ("fewer MACs", "more MACs"))
    by = best[0].label if len(best) == 1 else f"{_experiment(best[0])}, mean of {len(best)} seeds,"
    at = f" at {ratio}" if teacher else ""
    return f"Best {metric_name(metric)} of {len(runs)} runs: {quality_text(metric, value)} by {by}{at}"


def _mean(group: list[RunFiles], metric: str) -> float:
    values = [value for run in group if (value := quality(small(run), metric)) is not None and finite(value)]
    return statistics.fmean(values) if values else math.nan


def _experiment(run: RunFiles) -> str:
    return f"{run.result.get('method', run.label)} {asked(run.result)}".removesuffix(NOTHING).strip()


def _progress(run: RunFiles) -> str:
    """How far an unfinished run has come."""
    if not run.log:
        return "Nothing is measured yet"
    last = run.log[-1]
    step, seconds = number(last.get("step")), number(last.get("seconds"))
    parts = [str(last.get("stage", "run"))]
    parts += [] if step is None else [f"step {plain(step, 1)}"]
    parts += [] if seconds is None else [duration(seconds)]
    return f"Not finished yet: {', '.join(parts)}"
