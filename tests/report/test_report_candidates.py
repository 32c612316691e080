"""Candidates of a search: points, selected candidate, table of the best, unreadable lines."""

import json
from pathlib import Path

import pytest

from pocketgan.report import write_report
from pocketgan.report.read import read_run
from pocketgan.report.searches import candidates_view, scored, selected

pytestmark = pytest.mark.usefixtures("without_plots")


def line(number: int, score: float, macs: int, width: int) -> str:
    return json.dumps(
        {
            "number": number,
            "generation": number // 5,
            "configuration": f"{width}_8",
            "widths": {"stem": width, "trunk": 8},
            "cost": {"params": 1, "macs": macs, "macs_paper": macs},
            "scores": [score],
        }
    )


def written(path: Path, lines: list[str]) -> Path:
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "log.jsonl").write_text('{"stage": "search", "step": 1, "losses": {"G/gan": 1.0}}\n')
    (path / "result.json").write_text(json.dumps({"widths": {"teacher": {"stem": 16}, "student": {"stem": 7, "trunk": 8}}}))
    (path / "candidates.jsonl").write_text("\n".join(lines))
    return path


def test_candidates_are_read_and_the_students_is_selected(tmp_path: Path) -> None:
    run = read_run(written(tmp_path / "run", [line(n, 1 / (n + 1), 1000 + 10 * n, n) for n in range(12)]))
    found = scored(run)
    assert [one.score for one in found] == [1 / (n + 1) for n in range(12)]
    assert [one.generation for one in found] == [0] * 5 + [1] * 5 + [2] * 2
    chosen = selected(found, {"stem": 7, "trunk": 8})
    assert chosen is not None
    assert chosen.configuration == "7_8"
    assert selected(found, {"stem": 99}) is None
    view = candidates_view(run, name="x")
    assert view is not None
    assert "12 candidates" in view["panel"].caption
    assert "the star is the selected candidate" in view["panel"].caption
    assert view["best"].columns == ("configuration", "score", "MACs", "stem", "trunk")
    assert [row[0].text for row in view["best"].rows] == [f"{n}_8" for n in range(11, 1, -1)]
    assert [row[3].text for row in view["best"].rows][:2] == ["11", "10"]


def test_estimates_are_not_among_the_best(tmp_path: Path) -> None:
    lines = [json.loads(line(n, 1 / (n + 1), 1000 + 10 * n, n)) | {"images": 64 if n < 4 else 16} for n in range(12)]
    view = candidates_view(read_run(written(tmp_path / "run", [json.dumps(one) for one in lines])), name="x")
    assert view is not None
    assert "4 of them were scored on all 64 images, the pale ones on fewer." in view["panel"].caption
    assert [row[0].text for row in view["best"].rows] == ["3_8", "2_8", "1_8", "0_8"]


def test_standard_errors_of_the_best(tmp_path: Path) -> None:
    path = written(tmp_path / "run", [line(n, n + 1.0, 1000, n) for n in range(3)])
    rivals = [{"configuration": f"{n}_8", "score": n + 1.0, "error": 0.25} for n in range(2)]
    (path / "search.json").write_text(json.dumps({"images": 64, "groups": 10, "tied": 2, "rivals": rivals}))
    view = candidates_view(read_run(path), name="x")
    assert view is not None
    assert [row[1].detail for row in view["best"].rows] == ["± 0.25", "± 0.25", ""]
    assert "2 of the best 2 lie within two standard errors" in view["noise"]
    assert view["noise"] in " ".join(write_report([path], tmp_path / "report.html").read_text().split())


@pytest.mark.parametrize("text", ["{torn", "[]", '{"rivals": 3}', '{"rivals": [{"error": "x"}], "images": []}', "{}"])
def test_unreadable_standard_errors_are_left_out(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "run", [line(0, 0.5, 900, 3)])
    (path / "search.json").write_text(text)
    view = candidates_view(read_run(path), name="x")
    assert view is not None
    assert view["noise"] == ""
    assert view["best"].rows[0][1].detail == ""


def test_of_equal_scores_the_cheaper_is_first(tmp_path: Path) -> None:
    run = read_run(written(tmp_path / "run", [line(0, 0.5, 900, 3), line(1, 0.5, 800, 2), line(2, 0.4, 999, 4)]))
    view = candidates_view(run, name="x")
    assert view is not None
    assert [row[0].text for row in view["best"].rows] == ["4_8", "2_8", "3_8"]


def test_unreadable_lines_are_left_out(tmp_path: Path) -> None:
    strange = ['{"torn', "[]", '{"scores": []}', '{"scores": ["x"], "cost": {"macs": 4}}', '{"scores": [1.0], "cost": 3}']
    run = read_run(written(tmp_path / "run", [*strange, line(3, 0.5, 800, 2)]))
    assert [one.configuration for one in scored(run)] == ["2_8"]
    page = write_report([tmp_path / "run"], tmp_path / "report.html").read_text()
    assert "The best candidates" in page
    assert "2_8" in page


def test_a_run_without_candidates_has_no_table_of_them(tmp_path: Path) -> None:
    run = written(tmp_path / "run", [])
    assert candidates_view(read_run(run), name="x") is None
    assert "The best candidates" not in write_report([run], tmp_path / "report.html").read_text()
