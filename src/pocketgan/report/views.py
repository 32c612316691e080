"""Content of the page for one run and for several, as plain data for the templates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

from pocketgan.report.comparison import budget_text, measured, student_of, teacher_of
from pocketgan.report.curves import Series, curves
from pocketgan.report.figures import COLORS, Panel, Point, curve_figure, pareto_figure
from pocketgan.report.gallery import samples
from pocketgan.report.measures import (
    by_preference,
    direction,
    higher_is_better,
    median,
    metric_name,
    networks,
    quality,
    runtime_name,
)
from pocketgan.report.numbers import duration, finite, milliseconds, pixels, plain, si, tick
from pocketgan.report.read import RunFiles, mapping, number, real
from pocketgan.report.searches import candidates_view, search_views
from pocketgan.report.tables import Facts, facts_tables

MOST_METRICS = 3


def run_view(run: RunFiles, *, sample_bytes: int, color: int, name: str) -> dict[str, Any]:
    """Content of one run, except images and curves, which runs may share; ``name`` is the prefix of plot ids."""
    result, found = run.result, networks(run.result)
    shown = samples(run, most_bytes=sample_bytes)
    size = next((one["size"] for one in found.values() if "size" in one), None)
    notes = result.get("notes")
    notes = notes if isinstance(notes, list) else [notes] if notes else []
    data = result.get("data")
    return {
        "label": run.label,
        "settings": " · ".join(_settings(result)),
        "missing": [*run.missing, *(f"{file} is broken, it may be half-written." for file in shown.broken)],
        "notes": [*_before_training(mapping(result.get("reconstruction"))), *map(str, notes)],
        "data": [*map(str, data)] if isinstance(data, list) else [],
        "size": "" if size is None else pixels(size),
        "tables": facts_tables(found),
        "bars": width_bars(mapping(result.get("widths"))),
        "searches": search_views(run, color=color, name=name),
        "candidates": candidates_view(run, name=f"{name}k"),
        "budget": _budget(mapping(result.get("budget"))),
        "exports": {name: _leaves(facts) for name, facts in mapping(result.get("export")).items()},
        "samples": shown,
        "config": _leaves(run.config),
        "command": str(result.get("command") or run.config.get("command") or ""),
        "footer": _footer(result),
    }


def _before_training(reconstruction: dict[str, Any]) -> list[str]:
    """Sentence on the student before its recovery, where its weights were reconstructed."""
    fitted, kept = (real(reconstruction.get(name)) for name in ("reconstructed", "inherited"))
    if fitted is None or kept is None:
        return []
    return [
        f"PSNR to the teacher before any training: {fitted:.1f} dB with reconstructed weights, {kept:.1f} dB with inherited."
    ]


def width_bars(widths: dict[str, Any]) -> list[dict[str, Any]]:
    """Width before and after of each group of the teacher, in its order, and both as percentages of the widest group.

    A group that the student does not have has width 0.
    """
    before, after = mapping(widths.get("teacher")), mapping(widths.get("student"))
    pairs = [(group, number(value), number(after.get(group, 0))) for group, value in before.items()]
    known = [(group, wide, slim) for group, wide, slim in pairs if wide is not None and slim is not None]
    widest = max((max(wide, slim) for _, wide, slim in known), default=0) or 1
    return [
        {"group": group, "before": wide, "after": slim, "outline": 100 * wide / widest, "filled": 100 * slim / widest}
        for group, wide, slim in known
    ]


def curve_panels(runs: Sequence[RunFiles], colors: Sequence[int]) -> dict[str, list[Panel]]:
    """Panel for each stage and name, with a line for each run."""
    lines: dict[str, dict[str, list[tuple[Series, int]]]] = {}
    for run, color in zip(runs, colors, strict=True):
        for stage, names in curves(run.log).items():
            for name, series in names.items():
                lines.setdefault(stage, {}).setdefault(name, []).append((series, color))
    return {
        stage: [Panel(name, "", curve_figure(names[name], name=f"s{i}c{j}")) for j, name in enumerate(names)]
        for i, (stage, names) in enumerate(lines.items())
    }


def pareto_panels(runs: Sequence[RunFiles], colors: Sequence[int]) -> list[Panel]:
    """Quality against exact MACs, and against latency if measured, for the first metrics by preference."""
    done = [(run, color) for run, color in zip(runs, colors, strict=True) if student_of(run)]
    runtimes, metrics = measured([run for run, _ in done])
    runtime = "onnxruntime" if "onnxruntime" in runtimes else next(iter(runtimes), None)
    panels = []
    for i, metric in enumerate(by_preference(metrics)[:MOST_METRICS]):
        panels += _pareto_panel(done, metric, None, f"p{i}m")
        panels += _pareto_panel(done, metric, runtime, f"p{i}l") if runtime else []
    return panels


def _pareto_panel(done: list[tuple[RunFiles, int]], metric: str, runtime: str | None, name: str) -> list[Panel]:
    """Panel of quality against MACs or, with ``runtime``, latency; none if fewer than two runs have both figures."""

    def points(facts: list[tuple[Facts, int]]) -> list[Point]:
        pairs = [(median(f, runtime) if runtime else number(f.get("macs")), quality(f, metric), c) for f, c in facts]
        return [Point(c, v, color) for c, v, color in pairs if c and v is not None and finite(c) and finite(v)]

    students = points([(student_of(run), color) for run, color in done])
    if len(students) < 2:
        return []
    # One star for a teacher that several runs share, at its first measurement.
    teachers = {(p.y, None if runtime else p.x): p for p in reversed(points([(teacher_of(r), c) for r, c in done]))}
    svg = pareto_figure(
        students,
        list(teachers.values()),
        cost_text=(lambda value: f"{value:g} ms") if runtime else tick,
        higher_is_better=bool(higher_is_better(metric)),
        name=name,
    )
    against = f"median latency in {runtime_name(runtime)}" if runtime else "exact MACs"
    return [Panel(f"{metric_name(metric)} against {against}", f"{direction(metric)}; up and to the left is best", svg)]


def run_colors(runs: Sequence[RunFiles]) -> tuple[list[int], list[tuple[str, int]]]:
    """Color of each run, and the legend: by run if there are enough colors, else by method."""
    names = [run.label for run in runs]
    if len(runs) > COLORS:
        names = [str(run.result.get("method", run.label)) for run in runs]
    distinct = list(dict.fromkeys(names))
    colors = {name: i % COLORS for i, name in enumerate(distinct)}
    return [colors[name] for name in names], list(colors.items())


def _settings(result: dict[str, Any]) -> list[str]:
    words = [str(result["method"])] if "method" in result else []
    words += [f"objective {result['objective']}"] if result.get("objective") else []
    words += [f"budget {budget_text(result)}"] if "budget" in result else []
    return words + ([f"seed {result['seed']}"] if "seed" in result else [])


def _budget(budget: dict[str, Any]) -> list[tuple[str, str]]:
    kind = str(budget.get("kind", ""))
    text = milliseconds if kind in {"ms", "latency", "milliseconds"} else si
    rows = [("budget", str(budget["asked"]))] if "asked" in budget else []
    rows += [("counted in", kind)] if kind else []
    numbers = [(key, number(budget.get(key))) for key in ("limit", "reached", "floor")]
    rows += [(key, text(value)) for key, value in numbers if value is not None]
    limit, reached = number(budget.get("limit")), number(budget.get("reached"))
    return rows + ([("of the limit", f"{100 * reached / limit:.1f} %")] if limit and reached is not None else [])


def _leaves(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """``("data.size", "64")`` for every leaf of nested objects."""
    if isinstance(value, dict):
        return list(chain.from_iterable(_leaves(v, f"{prefix}.{k}".lstrip(".")) for k, v in value.items()))
    if isinstance(value, float):
        return [(prefix, plain(value, 3) if 0 < abs(value) < 1e-3 else f"{value:g}")]
    return [(prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]


def _footer(result: dict[str, Any]) -> list[tuple[str, str]]:
    seconds = [(key, number(value)) for key, value in mapping(result.get("seconds")).items()]
    taken = [f"{key} {duration(value)}" for key, value in seconds if value is not None]
    versions = [f"{key} {value}" for key, value in mapping(result.get("versions")).items()]
    machine = [f"{key} {value}" for key, value in _leaves(mapping(result.get("machine")))]
    rows = (("time", taken), ("versions", versions), ("machine", machine))
    return [(key, ", ".join(words)) for key, words in rows if words]
