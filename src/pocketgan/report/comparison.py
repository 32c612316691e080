"""Several runs in one table: a row for each run, and a row for each experiment with its mean over seeds."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pocketgan.report.measures import (
    higher_is_better,
    median,
    metric_name,
    networks,
    quality,
    quality_text,
    runtime_name,
    union,
)
from pocketgan.report.numbers import NOTHING, duration, finite, milliseconds, times
from pocketgan.report.read import RunFiles, mapping, number, read_runs
from pocketgan.report.tables import Cell, Facts, Row, Table, cost_cell, quality_cell

SETTINGS = ("method", "objective", "seed")
# Fields that differ between runs of one experiment with different seeds.
PERSONAL = {"seed", "out", "name", "resume", "run", "label"}


def comparison_table(runs: Sequence[Path]) -> Table:
    """Table with a row for each teacher and then for each run; the best student of every column is marked.

    Raises ``ValueError`` for no runs, and for a path that is no run directory. A run without a ``result.json`` has a
    row of dashes.
    """
    return compare(read_runs(runs))


def compare(runs: Sequence[RunFiles]) -> Table:
    """Comparison of runs that are read already; see ``comparison_table``."""
    runtimes, metrics = measured(runs)
    # Every run measures its teacher again; the row of a teacher has its first measurement.
    teachers = {_cost_key(teacher): teacher for teacher in reversed([teacher_of(run) for run in runs]) if teacher}
    rows = [
        _row(f"teacher {i}" if len(teachers) > 1 else "teacher", {}, facts, {}, runtimes, metrics)
        for i, facts in enumerate(reversed(teachers.values()), 1)
    ]
    students = [_row(run.label, run.result, student_of(run), teacher_of(run), runtimes, metrics) for run in runs]
    fixed = ("run", *SETTINGS, "budget", "MACs", "MACs ratio", "parameters", "file")
    columns = (*fixed, *map(runtime_name, runtimes), *map(metric_name, metrics), "time")
    return Table(columns, (*rows, *_with_best(students, len(columns) - 1 - len(metrics), metrics)))


def folded(table: Table) -> Table:
    """Comparison in fewer columns: settings are the second line of the run's name, the ratio that of the MACs."""
    at = {title: place for place, title in enumerate(table.columns)}
    kept = [place for title, place in at.items() if title not in (*SETTINGS, "MACs ratio")]

    def fold(row: Row) -> Row:
        settings = [(key, row[at[key]].text) for key in SETTINGS if row[at[key]].text != NOTHING]
        ratio = row[at["MACs ratio"]]
        cells = list(row)
        cells[0] = replace(row[0], detail=" · ".join(f"seed {text}" if key == "seed" else text for key, text in settings))
        if ratio.value is not None:
            cells[at["MACs"]] = replace(row[at["MACs"]], detail=f"{ratio.text} fewer")
        return tuple(cells[place] for place in kept)

    return Table(tuple(table.columns[place] for place in kept), tuple(map(fold, table.rows)))


def student_of(run: RunFiles) -> Facts:
    """Measurements of the run's output: its student, or the generator of a training run."""
    found = networks(run.result)
    return found.get("student") or found.get("generator") or {}


def teacher_of(run: RunFiles) -> Facts:
    """Measurements of the teacher; empty for a training run."""
    return mapping(run.result.get("teacher"))


def measured(runs: Sequence[RunFiles]) -> tuple[list[str], list[str]]:
    """Runtimes and metrics that any of the runs has, in order of first appearance."""
    facts = [one for run in runs for one in (teacher_of(run), student_of(run))]
    return union(facts, "latency_ms"), union(facts, "quality")


def budget_text(result: dict[str, Any]) -> str:
    """Budget as in the configuration."""
    return str(mapping(result.get("budget")).get("asked", NOTHING))


def experiments(runs: Sequence[RunFiles]) -> list[list[RunFiles]]:
    """Finished runs in groups that differ in the seed alone, in order of first appearance."""
    groups: dict[str, list[RunFiles]] = {}
    for run in runs:
        if student_of(run):
            groups.setdefault(_experiment_key(run), []).append(run)
    return list(groups.values())


def over_seeds(runs: Sequence[RunFiles]) -> Table | None:
    """Mean and standard deviation over seeds, a row for each experiment; None if no experiment has two runs."""
    groups = experiments(runs)
    if all(len(group) < 2 for group in groups):
        return None
    runtimes, metrics = measured(runs)
    columns = ("method", "objective", "budget", "seeds", "MACs", *map(runtime_name, runtimes), *map(metric_name, metrics))
    return Table(columns, tuple(_mean_row(group, runtimes, metrics) for group in groups))


def _row(label: str, result: dict[str, Any], facts: Facts, teacher: Facts, runtimes: list[str], metrics: list[str]) -> Row:
    seconds = [value for value in map(number, mapping(result.get("seconds")).values()) if value is not None]
    before, after = number(teacher.get("macs")), number(facts.get("macs"))
    return (
        Cell(label),
        *(Cell(str(result.get(key, NOTHING))) for key in SETTINGS),
        Cell(budget_text(result)),
        cost_cell(after),
        Cell(times(before / after), before / after) if before and after else Cell(NOTHING),
        cost_cell(number(facts.get("params"))),
        cost_cell(number(facts.get("bytes")), "B"),
        *(_latency_cell(median(teacher, runtime), median(facts, runtime)) for runtime in runtimes),
        *(quality_cell(metric, quality(facts, metric)) for metric in metrics),
        Cell(duration(sum(seconds)), sum(seconds)) if seconds else Cell(NOTHING),
    )


def _latency_cell(teacher: float | None, student: float | None) -> Cell:
    if student is None:
        return Cell(NOTHING)
    faster = f"{times(teacher / student)} faster" if teacher and 0 < student < teacher else ""
    return Cell(milliseconds(student), student, faster)


def _with_best(rows: list[Row], first: int, metrics: list[str]) -> list[Row]:
    """Rows with the best value of every metric marked, if its direction is known and several runs have it.

    The column of the first metric is ``first``.
    """
    marked = [list(row) for row in rows]
    for column, metric in enumerate(metrics, first):
        higher = higher_is_better(metric)
        known = [value for row in rows if (value := row[column].value) is not None and finite(value)]
        if higher is None or len(known) < 2:
            continue
        best = max(known) if higher else min(known)
        for row in marked:
            row[column] = replace(row[column], best=row[column].value == best)
    return [tuple(row) for row in marked]


def _cost_key(facts: Facts) -> str:
    return json.dumps([facts.get(key) for key in ("params", "macs", "bytes", "size")])


def _experiment_key(run: RunFiles) -> str:
    settings = [run.result.get(key) for key in ("method", "objective")]
    return json.dumps([settings, budget_text(run.result), _cost_key(teacher_of(run)), _impersonal(run.config)], sort_keys=True)


def _impersonal(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _impersonal(value) for key, value in config.items() if key not in PERSONAL}
    return config


def _mean_row(group: list[RunFiles], runtimes: list[str], metrics: list[str]) -> Row:
    facts, first = [student_of(run) for run in group], group[0].result
    return (
        Cell(" · ".join(str(first[key]) for key in ("method", "variant") if first.get(key)) or NOTHING),
        Cell(str(first.get("objective", NOTHING))),
        Cell(budget_text(first)),
        Cell(str(len(group)), len(group)),
        replace(_mean_cell([number(one.get("macs")) for one in facts], lambda value, _: cost_cell(value).text), detail=""),
        *(_mean_cell([median(one, name) for one in facts], lambda value, _: milliseconds(value)) for name in runtimes),
        *(_mean_cell([quality(one, metric) for one in facts], partial(quality_text, metric)) for metric in metrics),
    )


def _mean_cell(values: list[float | None], text: Callable[[float, int], str]) -> Cell:
    """Mean, and below it the sample standard deviation; ``text`` writes a value with so many digits."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return Cell(NOTHING)
    mean = statistics.fmean(known)
    return Cell(text(mean, 4), mean, f"± {text(statistics.stdev(known), 2)}" if len(known) > 1 else "")
