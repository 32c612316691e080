"""Tables as data: cells with their text and their exact value, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pocketgan.report.measures import direction, latency, median, metric_name, quality, quality_text, runtime_name, union
from pocketgan.report.numbers import NOTHING, change, milliseconds, plain, si
from pocketgan.report.read import mapping, number

COSTS = (
    ("Parameters", "params", "", ("fewer", "more")),
    ("MACs, exact", "macs", "", ("fewer", "more")),
    ("MACs, paper count", "macs_paper", "", ("fewer", "more")),
    ("File size", "bytes", "B", ("smaller", "larger")),
)

Facts = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """Cell of a table: text, exact number behind the text, small second line, and True if it is the best of its column."""

    text: str
    value: float | int | None = None
    detail: str = ""
    best: bool = False


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Column titles and rows of as many cells; the first cell of a row is its title."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def facts_tables(networks: dict[str, Facts]) -> dict[str, Table]:
    """Costs, latency, quality and IoU of each class of the networks of one run; only measured ones.

    A column after the student's compares the student with the teacher, if both are there.
    """
    compared = {"teacher", "student"} <= networks.keys()
    place = 1 + list(networks).index("student") if compared else len(networks)
    facts = list(networks.values())
    teacher, student = networks.get("teacher", {}), networks.get("student", {})

    def row(title: Cell, cells: Sequence[Cell], comparison: str) -> Row:
        return (title, *cells[:place], *([Cell(comparison)] if compared else []), *cells[place:])

    def cost_row(title: str, key: str, unit: str, words: tuple[str, str]) -> Row:
        cells = [cost_cell(number(one.get(key)), unit) for one in facts]
        return row(Cell(title), cells, change(number(teacher.get(key)), number(student.get(key)), words))

    def latency_row(runtime: str) -> Row:
        conditions = [_conditions(latency(one, runtime)) for one in facts]
        different = len(set(filter(None, conditions))) > 1  # then they stand in the cells
        title = Cell(runtime_name(runtime), detail="" if different else next(filter(None, conditions), ""))
        cells = [
            _latency_cell(latency(one, runtime), condition if different else "")
            for one, condition in zip(facts, conditions, strict=True)
        ]
        return row(title, cells, change(median(teacher, runtime), median(student, runtime), ("faster", "slower")))

    def quality_row(metric: str) -> Row:
        cells = [quality_cell(metric, quality(one, metric)) for one in facts]
        difference = _difference(metric, quality(teacher, metric), quality(student, metric))
        return row(Cell(metric_name(metric), detail=direction(metric)), cells, difference)

    def class_row(name: str) -> Row:
        cells = [quality_cell("miou", _iou(one, name)) for one in facts]
        return row(Cell(name), cells, _difference("miou", _iou(teacher, name), _iou(student, name)))

    groups = {
        "Costs": [cost_row(*cost) for cost in COSTS if any(number(one.get(cost[1])) for one in facts)],
        "Latency": [latency_row(runtime) for runtime in union(facts, "latency_ms")],
        "Quality": [quality_row(metric) for metric in union(facts, "quality")],
        "IoU of each class": [class_row(name) for name in union(facts, "classes")],
    }
    names = list(networks)
    columns = ("", *names[:place], *(["against teacher"] if compared else []), *names[place:])
    return {name: Table(columns, tuple(rows)) for name, rows in groups.items() if rows}


def cost_cell(value: float | None, unit: str = "") -> Cell:
    """Count with its unit, or a dash."""
    return Cell(NOTHING) if value is None else Cell(si(value, unit), value)


def quality_cell(metric: str, value: float | None) -> Cell:
    """Value of a metric with its unit, or a dash."""
    return Cell(NOTHING) if value is None else Cell(quality_text(metric, value), value)


def _conditions(measured: Facts) -> str:
    words = (("threads", "thread"), ("repeats", "call"))
    known = [f"{measured[key]} {word}{'' if measured[key] == 1 else 's'}" for key, word in words if key in measured]
    return ", ".join(known + ([f"batch {measured['batch']}"] if "batch" in measured else []))


def _latency_cell(measured: Facts, conditions: str) -> Cell:
    middle, low, high = (number(measured.get(key)) for key in ("median", "p10", "p90"))
    if middle is None:
        return Cell(NOTHING)
    spread = f"{plain(low, 3)} to {plain(high, 3)}" if low is not None and high is not None else ""
    return Cell(milliseconds(middle), middle, "; ".join(part for part in (spread, conditions) if part))


def _iou(facts: Facts, name: str) -> float | None:
    """Intersection over union of a class, 0 to 1; None if the class occurs nowhere."""
    return number(mapping(facts.get("classes")).get(name))


def _difference(metric: str, teacher: float | None, student: float | None) -> str:
    if teacher is None or student is None:
        return NOTHING
    text = quality_text(metric, student - teacher, digits=3)
    return text if student < teacher else f"+{text}"
