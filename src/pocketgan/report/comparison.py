"""Several runs in one table: a line for each run, and a line for each group of runs that only their seeds tell apart."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pocketgan.report.measures import (
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
from pocketgan.report.numbers import NOTHING, duration, milliseconds, times
from pocketgan.report.read import RunFiles, mapping, number, read_runs
from pocketgan.report.tables import Cell, Table, cost_cell, quality_cell

FACTS = ("method", "objective", "seed")
# What two runs may differ in and still be the same experiment with another seed.
PERSONAL = {"seed", "out", "name", "resume", "run", "label"}


def comparison_table(runs: Sequence[Path]) -> Table:
    """One row for each teacher and then for each run, with the best student of every column marked.

    Raises ``ValueError`` for no runs, and for a path that is no run directory. A run without a ``result.json`` has a
    row of dashes.
    """
    return compare(read_runs(runs))


def compare(runs: Sequence[RunFiles]) -> Table:
    """The same, of runs that were read before."""
    runtimes, metrics = measured(runs)
    # A teacher is measured anew in every run; it is shown once, with its first figures.
    teachers = {_cost_key(teacher): teacher for teacher in reversed([teacher_of(run) for run in runs]) if teacher}
    several = len(teachers) > 1
    rows = [
        _row(f"teacher {i}" if several else "teacher", {}, facts, {}, runtimes, metrics)
        for i, facts in enumerate(reversed(teachers.values()), 1)
    ]
    students = [_row(run.label, run.result, small(run), teacher_of(run), runtimes, metrics) for run in runs]
    columns = _columns(runtimes, metrics)
    return Table(columns, (*rows, *_with_best(students, columns, metrics)))


def folded(table: Table) -> Table:
    """The comparison in fewer columns: what a run is stands under its name, the ratio under the MACs."""
    at = {title: place for place, title in enumerate(table.columns)}
    kept = [place for title, place in at.items() if title not in (*FACTS, "MACs ratio")]

    def fold(row: tuple[Cell, ...]) -> tuple[Cell, ...]:
        said = [(key, row[at[key]].text) for key in FACTS if row[at[key]].text != NOTHING]
        ratio = row[at["MACs ratio"]]
        cells = list(row)
        cells[0] = replace(row[0], detail=" · ".join(f"seed {text}" if key == "seed" else text for key, text in said))
        if ratio.value is not None:
            cells[at["MACs"]] = replace(row[at["MACs"]], detail=f"{ratio.text} fewer")
        return tuple(cells[place] for place in kept)

    return Table(tuple(table.columns[place] for place in kept), tuple(map(fold, table.rows)))


def small(run: RunFiles) -> dict[str, Any]:
    """What was measured of the network that the run made: its student, or the generator of a training run."""
    found = networks(run.result)
    return found.get("student") or found.get("generator") or {}


def teacher_of(run: RunFiles) -> dict[str, Any]:
    """What was measured of the teacher; empty in a training run."""
    return mapping(run.result.get("teacher"))


def measured(runs: Sequence[RunFiles]) -> tuple[list[str], list[str]]:
    """Runtimes and metrics that any of the runs has, in order of first appearance."""
    facts = [one for run in runs for one in (teacher_of(run), small(run))]
    return union(facts, "latency_ms"), union(facts, "quality")


def experiments(runs: Sequence[RunFiles]) -> list[list[RunFiles]]:
    """Finished runs in groups that differ in nothing but the seed, in order of first appearance."""
    groups: dict[str, list[RunFiles]] = {}
    for run in runs:
        if small(run):
            groups.setdefault(_experiment_key(run), []).append(run)
    return list(groups.values())


def over_seeds(runs: Sequence[RunFiles]) -> Table | None:
    """Mean and standard deviation over seeds, a row for each experiment; None where no experiment has two."""
    groups = experiments(runs)
    if all(len(group) < 2 for group in groups):
        return None
    runtimes, metrics = measured(runs)
    columns = ("method", "objective", "budget", "seeds", "MACs")
    rows = [_mean_row(group, runtimes, metrics) for group in groups]
    titles = (*columns, *map(runtime_name, runtimes), *map(metric_name, metrics))
    return Table(titles, tuple(rows))


def _columns(runtimes: list[str], metrics: list[str]) -> tuple[str, ...]:
    fixed = ("run", *FACTS, "budget", "MACs", "MACs ratio", "parameters", "file")
    return (*fixed, *map(runtime_name, runtimes), *map(metric_name, metrics), "time")


def _row(
    label: str,
    result: dict[str, Any],
    facts: dict[str, Any],
    teacher: dict[str, Any],
    runtimes: list[str],
    metrics: list[str],
) -> tuple[Cell, ...]:
    seconds = [value for value in map(number, mapping(result.get("seconds")).values()) if value is not None]
    return (
        Cell(label),
        *(Cell(str(result.get(key, NOTHING))) for key in FACTS),
        Cell(asked(result)),
        cost_cell(number(facts.get("macs"))),
        _ratio_cell(number(teacher.get("macs")), number(facts.get("macs"))),
        cost_cell(number(facts.get("params"))),
        cost_cell(number(facts.get("bytes")), "B"),
        *(_latency_cell(facts, teacher, runtime) for runtime in runtimes),
        *(quality_cell(metric, quality(facts, metric)) for metric in metrics),
        Cell(duration(sum(seconds)), sum(seconds)) if seconds else Cell(NOTHING),
    )


def asked(result: dict[str, Any]) -> str:
    """The budget as the user wrote it."""
    return str(mapping(result.get("budget")).get("asked", NOTHING))


def _ratio_cell(teacher: float | None, student: float | None) -> Cell:
    return Cell(times(teacher / student), teacher / student) if teacher and student else Cell(NOTHING)


def _latency_cell(facts: dict[str, Any], teacher: dict[str, Any], runtime: str) -> Cell:
    own, other = median(facts, runtime), median(teacher, runtime)
    if own is None:
        return Cell(NOTHING)
    return Cell(milliseconds(own), own, f"{times(other / own)} faster" if other and 0 < own < other else "")


def _with_best(rows: list[tuple[Cell, ...]], columns: tuple[str, ...], metrics: list[str]) -> list[tuple[Cell, ...]]:
    """Mark the best value of every metric whose direction is known, where there is something to compare."""
    marked = [list(row) for row in rows]
    first = len(columns) - 1 - len(metrics)
    for column, metric in enumerate(metrics, first):
        higher = higher_is_better(metric)
        values = [row[column].value for row in rows]
        known = [value for value in values if value is not None and finite(value)]
        if higher is None or len(known) < 2:
            continue
        best = max(known) if higher else min(known)
        for row in marked:
            row[column] = replace(row[column], best=row[column].value == best)
    return [tuple(row) for row in marked]


def _cost_key(facts: dict[str, Any]) -> str:
    return json.dumps([facts.get(key) for key in ("params", "macs", "bytes", "size")])


def _experiment_key(run: RunFiles) -> str:
    said = [run.result.get(key) for key in ("method", "objective")]
    return json.dumps([said, asked(run.result), _cost_key(teacher_of(run)), _impersonal(run.config)], sort_keys=True)


def _impersonal(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _impersonal(value) for key, value in config.items() if key not in PERSONAL}
    return config


def _mean_row(group: list[RunFiles], runtimes: list[str], metrics: list[str]) -> tuple[Cell, ...]:
    facts, first = [small(run) for run in group], group[0].result
    return (
        Cell(" · ".join(str(first[key]) for key in ("method", "variant") if first.get(key)) or NOTHING),
        Cell(str(first.get("objective", NOTHING))),
        Cell(asked(first)),
        Cell(str(len(group)), len(group)),
        _mean_cell([number(one.get("macs")) for one in facts], lambda value: cost_cell(value).text),
        *(_mean_cell([median(one, runtime) for one in facts], milliseconds, milliseconds) for runtime in runtimes),
        *(
            _mean_cell([quality(one, metric) for one in facts], _quality_text(metric), _quality_text(metric, digits=2))
            for metric in metrics
        ),
    )


def _quality_text(metric: str, *, digits: int = 4) -> Callable[[float], str]:
    return lambda value: quality_text(metric, value, digits=digits)


def _mean_cell(
    values: list[float | None], text: Callable[[float], str], deviation: Callable[[float], str] | None = None
) -> Cell:
    """The mean, and below it the sample standard deviation where ``deviation`` says how to write it."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return Cell(NOTHING)
    detail = f"± {deviation(statistics.stdev(known))}" if deviation and len(known) > 1 else ""
    return Cell(text(statistics.fmean(known)), statistics.fmean(known), detail)
