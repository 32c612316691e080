import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketgan.report import comparison_table
from pocketgan.report.comparison import folded, over_seeds
from pocketgan.report.headline import headline
from pocketgan.report.read import read_runs
from pocketgan.report.tables import Cell, Table, facts_tables

MakeRun = Callable[..., Path]


def student(run: Path, **changes: float) -> None:
    """Change measurements of the student: ``psnr`` and ``ssim`` in quality, others beside it."""
    result = json.loads((run / "result.json").read_text())
    for key, value in changes.items():
        (result["student"]["quality"] if key in {"psnr", "ssim"} else result["student"])[key] = value
    (run / "result.json").write_text(json.dumps(result))


def column(table: Table, title: str) -> list[Cell]:
    return [row[table.columns.index(title)] for row in table.rows]


def test_one_row_for_the_teacher_and_one_for_each_run(make_run: MakeRun) -> None:
    runs = [make_run("a"), make_run("b", method="uniform", seed=3)]
    student(runs[1], psnr=26.5, macs=60_000_000)
    table = comparison_table(runs)
    assert [row[0].text for row in table.rows] == ["teacher", "a", "b"]
    assert [cell.value for cell in column(table, "MACs")] == [1_210_456_789, 119_845_672, 60_000_000]
    assert [cell.value for cell in column(table, "PSNR to target")] == [28.41, 27.934, 26.5]
    assert [cell.best for cell in column(table, "PSNR to target")] == [False, True, False]
    assert column(table, "MACs ratio")[2].value == pytest.approx(1_210_456_789 / 60_000_000)
    assert [cell.text for cell in column(table, "method")] == ["–", "dmad", "uniform"]
    assert column(table, "ONNX Runtime")[1] == Cell("3.22 ms", 3.217, "4.0× faster")
    assert column(table, "time")[1] == Cell("2 min 23 s", pytest.approx(142.6))


def test_lower_is_best_for_distances_and_unknown_metrics_have_no_best(make_run: MakeRun) -> None:
    runs = [make_run("a"), make_run("b")]
    for run, value in zip(runs, (3.0, 2.0), strict=True):
        result = json.loads((run / "result.json").read_text())
        result["student"]["quality"] |= {"frechet[tiny@12]": value, "taste": value}
        (run / "result.json").write_text(json.dumps(result))
    table = comparison_table(runs)
    assert [cell.best for cell in column(table, "Fréchet distance [tiny@12]")] == [False, False, True]
    assert not any(cell.best for cell in column(table, "taste"))


def test_two_teachers_have_a_row_each(make_run: MakeRun) -> None:
    other = make_run("b")
    result = json.loads((other / "result.json").read_text())
    result["teacher"]["macs"] = 5_000_000_000
    (other / "result.json").write_text(json.dumps(result))
    table = comparison_table([make_run("a"), other])
    assert [row[0].text for row in table.rows] == ["teacher 1", "teacher 2", "a", "b"]
    assert [cell.text for cell in column(table, "MACs")[:2]] == ["1.210 G", "5.000 G"]


def test_an_unfinished_run_is_a_row_of_dashes_and_labels_are_unique(make_run: MakeRun) -> None:
    runs = [make_run("a", directory="one"), make_run("a", directory="two"), make_run("c")]
    (runs[2] / "result.json").unlink()
    table = comparison_table(runs)
    assert [row[0].text for row in table.rows] == ["teacher", "a (one)", "a (two)", "c"]
    assert {cell.text for cell in table.rows[3][1:]} == {"–"}


def test_folded_keeps_every_figure(make_run: MakeRun) -> None:
    table = comparison_table([make_run("a"), make_run("b")])
    small = folded(table)
    assert len(small.columns) == len(table.columns) - 4
    assert small.rows[1][0] == Cell("a", detail="dmad · features · seed 0")
    assert column(small, "MACs")[1].detail == "10.1× fewer"
    for title in small.columns:
        assert [cell.value for cell in column(small, title)] == [cell.value for cell in column(table, title)]


def test_mean_and_deviation_over_seeds(make_run: MakeRun) -> None:
    values = [27.1, 27.9, 28.3]
    runs = [make_run(f"s{i}", seed=i) for i in range(3)]
    for run, value in zip(runs, values, strict=True):
        student(run, psnr=value)
    alone = make_run("alone", method="uniform")
    student(alone, psnr=28.0)
    table = over_seeds(read_runs([*runs, alone]))
    assert table is not None
    assert [cell.value for cell in column(table, "seeds")] == [3, 1]
    several, one = column(table, "PSNR to target")
    assert several.value == pytest.approx(sum(values) / 3)
    assert several.detail == f"± {statistics.stdev(values):.2f} dB"
    assert one.detail == ""
    # The best single seed is not the headline: 27.77 on average is below 28.0.
    assert headline(read_runs([*runs, alone])) == "Best PSNR to target of 4 runs: 28.00 dB by alone at 10.1× fewer MACs"
    assert over_seeds(read_runs([runs[0], alone])) is None


def test_iou_of_each_class() -> None:
    """Networks and real photos side by side; a class that occurs nowhere has a dash."""
    measured = {
        "teacher": {"macs": 8, "classes": {"sky": 0.9, "road": 0.5, "bus": None}},
        "student": {"macs": 1, "classes": {"sky": 0.8, "road": 0.625, "bus": None}},
        "real": {"classes": {"sky": 0.95, "road": 0.7, "bus": 0.1}},
    }
    table = facts_tables(measured)["IoU of each class"]
    assert table.columns == ("", "teacher", "student", "against teacher", "real")
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["sky", "0.9000", "0.8000", "−0.100", "0.9500"],
        ["road", "0.5000", "0.6250", "+0.125", "0.7000"],
        ["bus", "–", "–", "–", "0.1000"],
    ]
    assert "IoU of each class" not in facts_tables({"student": {"macs": 1}})
