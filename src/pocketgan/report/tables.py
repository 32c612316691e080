"""Tables as data: cells with their text and their exact value, for the page, the terminal and markdown alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pocketgan.report.measures import (
    higher_is_better,
    latency,
    metric_name,
    quality,
    quality_text,
    runtime_name,
    union,
)
from pocketgan.report.numbers import NOTHING, change, milliseconds, plain, si
from pocketgan.report.read import mapping, number

COSTS = (
    ("Parameters", "params", "", ("fewer", "more")),
    ("MACs, exact", "macs", "", ("fewer", "more")),
    ("MACs, paper count", "macs_paper", "", ("fewer", "more")),
    ("File size", "bytes", "B", ("smaller", "larger")),
)


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the exact number behind it, a smaller second line, and whether it is the best of its column."""

    text: str
    value: float | int | None = None
    detail: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Column titles and rows of as many cells; the first cell of a row says what the row is about."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def to_markdown(table: Table) -> str:
    """The table in GitHub's markdown: the first column to the left, numbers to the right, the best in bold."""
    lines = [table.columns, (":--", *("--:" for _ in table.columns[1:]))]
    lines += [tuple(_bold(cell) for cell in row) for row in table.rows]
    return "".join(f"| {' | '.join(_escaped(text) for text in line)} |\n" for line in lines)


def _bold(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.best else cell.text


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def facts_tables(networks: dict[str, dict[str, Any]]) -> dict[str, Table]:
    """Costs, latency and quality of the networks of one run side by side; only those that were measured.

    A column after the student sets it beside the teacher, where both are there.
    """
    paired = {"teacher", "student"} <= networks.keys()
    facts = list(networks.values())
    teacher, student = networks.get("teacher", {}), networks.get("student", {})
    beside = (teacher, student) if paired else None
    groups = {
        "Costs": [_cost_row(facts, beside, *row) for row in COSTS if any(number(one.get(row[1])) for one in facts)],
        "Latency": [_latency_row(facts, beside, runtime) for runtime in union(facts, "latency_ms")],
        "Quality": [_quality_row(facts, beside, metric) for metric in union(facts, "quality")],
        "IoU of each class": [_class_row(facts, beside, name) for name in union(facts, "classes")],
    }
    place = 1 + list(networks).index("student") + 1 if paired else 0
    columns = _insert(("", *networks), place, "beside teacher")
    return {name: Table(columns, tuple(_moved(row, place) for row in rows)) for name, rows in groups.items() if rows}


def _insert(columns: tuple[str, ...], place: int, title: str) -> tuple[str, ...]:
    return (*columns[:place], title, *columns[place:]) if place else columns


def _moved(row: tuple[Cell, ...], place: int) -> tuple[Cell, ...]:
    """The row with its last cell at ``place``; as it is for ``place`` 0."""
    return (*row[:place], row[-1], *row[place:-1]) if place else row


Facts = dict[str, Any]


def _cost_row(
    facts: list[Facts], beside: tuple[Facts, Facts] | None, title: str, key: str, unit: str, words: tuple[str, str]
) -> tuple[Cell, ...]:
    cells = [cost_cell(number(one.get(key)), unit) for one in facts]
    last = [Cell(change(number(beside[0].get(key)), number(beside[1].get(key)), words))] if beside else []
    return (Cell(title), *cells, *last)


def cost_cell(value: float | None, unit: str = "") -> Cell:
    """A count with its unit, or a dash."""
    return Cell(NOTHING) if value is None else Cell(si(value, unit), value)


def _latency_row(facts: list[Facts], beside: tuple[Facts, Facts] | None, runtime: str) -> tuple[Cell, ...]:
    measured = [latency(one, runtime) for one in facts]
    conditions = list(dict.fromkeys(_conditions(one) for one in measured if one))
    # One condition for all stands once, beside the runtime; differing ones stand in their cells.
    own = len(conditions) > 1
    title = Cell(runtime_name(runtime), detail="" if own else "".join(conditions))
    cells = [_latency_cell(one, _conditions(one) if own else "") for one in measured]
    medians = [number(latency(one, runtime).get("median")) for one in beside or ()]
    last = [Cell(change(medians[0], medians[1], ("faster", "slower")))] if beside else []
    return (title, *cells, *last)


def _conditions(measured: Facts) -> str:
    words = (("threads", "thread"), ("repeats", "call"))
    known = [f"{measured[key]} {word}{'' if measured[key] == 1 else 's'}" for key, word in words if key in measured]
    return ", ".join(known + ([f"batch {measured['batch']}"] if "batch" in measured else []))


def _latency_cell(measured: Facts, conditions: str) -> Cell:
    median, low, high = (number(measured.get(key)) for key in ("median", "p10", "p90"))
    if median is None:
        return Cell(NOTHING)
    spread = f"{plain(low, 3)} to {plain(high, 3)}" if low is not None and high is not None else ""
    return Cell(milliseconds(median), median, "; ".join(part for part in (spread, conditions) if part))


def _quality_row(facts: list[Facts], beside: tuple[Facts, Facts] | None, metric: str) -> tuple[Cell, ...]:
    title = Cell(metric_name(metric), detail=direction(metric))
    cells = [quality_cell(metric, quality(one, metric)) for one in facts]
    last = [Cell(_difference(metric, *(quality(one, metric) for one in beside)))] if beside else []
    return (title, *cells, *last)


def _class_row(facts: list[Facts], beside: tuple[Facts, Facts] | None, name: str) -> tuple[Cell, ...]:
    """Intersection over union, 0 to 1; a class that occurs nowhere has a dash."""
    values = [number(mapping(one.get("classes")).get(name)) for one in facts]
    last = []
    if beside is not None:
        last = [Cell(_difference("miou", *(number(mapping(one.get("classes")).get(name)) for one in beside)))]
    return (Cell(name), *(quality_cell("miou", value) for value in values), *last)


def quality_cell(metric: str, value: float | None) -> Cell:
    """A metric's value with its unit, or a dash."""
    return Cell(NOTHING) if value is None else Cell(quality_text(metric, value), value)


def direction(metric: str) -> str:
    """Which way a metric is better, in words; empty where that is not known."""
    return {True: "higher is better", False: "lower is better", None: ""}[higher_is_better(metric)]


def _difference(metric: str, teacher: float | None, student: float | None) -> str:
    if teacher is None or student is None:
        return NOTHING
    text = quality_text(metric, student - teacher, digits=3)
    return text if student < teacher else f"+{text}"
