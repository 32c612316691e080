import base64
import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pocketgan.report import write_report

MakeRun = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("without_plots")


class Page(HTMLParser):
    """Numbers, images, elements and text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.source = text
        self.values: list[float] = []
        self.images: list[dict[str, str]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.tags.append((tag, given))
        self.ids += [given["id"]] if "id" in given else []
        if tag == "data":
            self.values.append(float(given["value"]))
        if tag == "img" and "src" in given:
            self.images.append(given)
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in {"meta", "img"}:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text += data


def page_of(*runs: Path) -> Page:
    out = write_report(runs, runs[0].parent / "report.html")
    return Page(out.read_text(encoding="utf-8"))


def measurements(facts: dict[str, Any]) -> list[float]:
    latency = [measured["median"] for measured in facts["latency_ms"].values()]
    return [*(facts[key] for key in ("params", "macs", "macs_paper", "bytes")), *latency, *facts["quality"].values()]


def test_every_number_in_the_page_is_one_of_the_result(make_run: MakeRun) -> None:
    run = make_run()
    result = json.loads((run / "result.json").read_text())
    expected = measurements(result["teacher"]) + measurements(result["student"])
    widths = [*result["widths"]["teacher"].values(), 8, 37, 0]  # block0 is removed: width 0
    assert sorted(page_of(run).values) == sorted([*expected, *widths])


def test_headline_has_the_ratios_and_both_qualities(make_run: MakeRun) -> None:
    text = page_of(make_run()).text
    sentence = "10.1× fewer MACs, 9.4× fewer parameters, 4.0× faster in ONNX Runtime; PSNR to target 27.93 dB, teacher 28.41 dB"
    assert sentence in text
    assert "one thing to know" in text


def test_images_are_embedded_as_they_are_and_in_order(make_run: MakeRun) -> None:
    run = make_run()
    page = page_of(run)
    assert [image["alt"] for image in page.images[:4]] == ["input", "target", "teacher", "student"]

    embedded = [base64.b64decode(image["src"].partition(",")[2]) for image in page.images[:4]]
    files = [run / "images" / f"000_{role}.png" for role in ("input", "target", "teacher", "student")]
    assert embedded == [file.read_bytes() for file in files]


def test_hostile_names_are_text(make_run: MakeRun) -> None:
    evil = '"><script>alert(1)</script>$x_{$'
    run = make_run(evil, directory="evil", loss=evil, method=evil, notes=[evil], versions={evil: evil})
    result = json.loads((run / "result.json").read_text())
    result["student"]["quality"][evil] = 1.5
    result["student"]["latency_ms"][evil] = {"median": 2.5}
    result["widths"]["teacher"][evil] = 7
    (run / "result.json").write_text(json.dumps(result))
    shutil.copy(run / "images" / "000_input.png", run / "images" / "000_<b>evil.png")
    page = page_of(run, make_run("tame"))
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert "<script>alert" not in page.source
    assert "<b>evil" not in page.source
    assert page.text.count(evil) > 5


def test_page_of_an_unfinished_run_names_missing_files(make_run: MakeRun) -> None:
    run = make_run()
    (run / "result.json").write_text('{"name": "dm')
    (run / "student.safetensors").unlink()
    shutil.rmtree(run / "images")
    with open(run / "log.jsonl", "a") as log:
        log.write('{"stage": "recover", "st')
    broken = run / "samples" / "recover_000020.png"
    broken.write_bytes((run / "samples" / "recover_000010.png").read_bytes()[:60])
    page = page_of(run)
    assert "Not finished yet: recover, step 29" in page.text
    assert "result.json cannot be read, it may be half-written" in page.text
    assert "1 of 31 lines of log.jsonl cannot be read" in page.text
    assert "student.safetensors is missing" in page.text
    assert "images/ is missing" in page.text
    assert "recover_000020.png is broken" in page.text
    assert "G/l1" in page.text
    assert [image["alt"] for image in page.images] == ["recover_000010"]


@pytest.mark.parametrize("gone", ["result.json", "config.json", "log.jsonl", "images", "samples"])
def test_any_file_may_be_missing(make_run: MakeRun, gone: str) -> None:
    run = make_run(steps=3)
    path = run / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(run)
    assert (f"{gone} is missing" in page.text) == path.name.endswith(("json", "jsonl"))
    assert ("27.93 dB" in page.text) == (gone != "result.json")


@pytest.mark.parametrize("value", [None, [], 3, "text", {"quality": 3, "latency_ms": [1], "macs": "many"}])
def test_values_of_another_kind_are_left_out(make_run: MakeRun, value: object) -> None:
    run = make_run(
        steps=0, teacher=value, budget=value, widths=value, export={"onnx": value}, seconds=value, machine=value, notes=value
    )
    assert "27.93 dB" in page_of(run).text


def test_infinite_and_missing_numbers_are_shown_as_such(make_run: MakeRun) -> None:
    run = make_run(steps=0)
    result = json.loads((run / "result.json").read_text())
    result["student"]["quality"] = {"psnr": float("inf"), "fid[tiny]": float("nan")}
    (run / "result.json").write_text(json.dumps(result))
    (run / "log.jsonl").write_text(
        '{"stage": "a", "step": NaN, "losses": {"x": 1}}\n{"stage": "a", "step": 1, "losses": {"x": NaN}}'
    )
    text = page_of(run, make_run("other")).text
    assert "inf" in text
    assert "nan" in text


def test_training_run_has_a_page(make_run: MakeRun) -> None:
    run = make_run("teacher")
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({"name": "shapes", "generator": result["teacher"]}))
    (run / "config.json").write_text("{}")
    (run / "student.safetensors").unlink()
    shutil.rmtree(run / "images")
    page = page_of(run)
    assert sorted(page.values) == sorted(measurements(result["teacher"]))
    assert "2.860 M parameters, 1.210 G exact MACs" in page.text
    assert "missing" not in page.text


def test_other_networks_and_roles_are_further_columns(make_run: MakeRun) -> None:
    run = make_run(scratch={"quality": {"psnr": 21.875}})
    shutil.copy(run / "images" / "000_input.png", run / "images" / "000_scratch.png")
    page = page_of(run)
    assert 21.875 in page.values
    assert [image["alt"] for image in page.images[:5]] == ["input", "target", "teacher", "student", "scratch"]


def test_equal_images_of_runs_share_a_column(make_run: MakeRun) -> None:
    first, second = make_run("a"), make_run("b")
    for old, new in (("001", "007"), ("000", "001")):  # the same images under other numbers
        for path in sorted((second / "images").glob(f"{old}_*")):
            path.rename(path.with_name(path.name.replace(old, new, 1)))
    page = page_of(first, second)
    titles = [image["alt"] for image in page.images if not image["alt"].startswith("recover")]
    assert titles == ["input", "target", "teacher", "a", "b"] * 2


def test_students_with_equal_images_have_a_column_each(make_run: MakeRun) -> None:
    first, second = make_run("a"), make_run("b")
    for number in ("000", "001"):
        shutil.copy(first / "images" / f"{number}_student.png", second / "images" / f"{number}_student.png")
    assert [image["alt"] for image in page_of(first, second).images[:5]] == ["input", "target", "teacher", "a", "b"]


def test_page_stays_small_with_large_images(make_run: MakeRun) -> None:
    run = make_run(steps=0)
    noise = Image.effect_noise((1300, 1300), 80).convert("RGB")
    for role in ("input", "target", "teacher", "student"):
        noise.save(run / "images" / f"000_{role}.png", compress_level=0)
        shutil.copy(run / "images" / f"000_{role}.png", run / "images" / f"001_{role}.png")
    page = page_of(run)
    assert sum(image["alt"] == "student" for image in page.images) >= 1
    assert "shown as smaller JPEGs" in page.text
    assert len(page.source) < 10_000_000


def test_paths_that_are_no_runs_are_refused(tmp_path: Path, make_run: MakeRun) -> None:
    with pytest.raises(ValueError, match="no run given"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(ValueError, match="is not a directory: name a run"):
        write_report([tmp_path / "nowhere"], tmp_path / "r.html")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no run: found none of"):
        write_report([tmp_path / "empty"], tmp_path / "r.html")
    with pytest.raises(ValueError, match="is a directory: name the file"):
        write_report([make_run()], tmp_path)


def test_a_note_of_several_runs_is_shown_once_with_their_names(make_run: MakeRun) -> None:
    runs = [
        make_run(directory=name, name=name, notes=[note]) for name, note in (("a", "alike"), ("b", "alike"), ("c", "other"))
    ]
    page = " ".join(page_of(*runs).text.split())
    assert page.count("alike") == page.count("other") == 1
    assert "Note a, b alike" in page
    assert "Note c other" in page
    assert "Note all runs alike" in " ".join(page_of(*runs[:2]).text.split())
    assert "Note other" in " ".join(page_of(runs[2]).text.split())
