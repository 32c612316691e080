"""Damaged and hostile files in a run directory: the page says what is wrong and shows the rest."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketgan.report import write_report
from pocketgan.report.curves import Series
from pocketgan.report.figures import Point, curve_figure, pareto_figure

MakeRun = Callable[..., Path]


def png(width: int, height: int) -> bytes:
    """PNG that claims a size and has no pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def content(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


UNREADABLE = {
    "deep": content(b"[" * 3000 + b"]" * 3000),
    "not UTF-8": content(b'{"name": \xff}'),
    "long integer": content(b'{"a": ' + b"9" * 5000 + b"}"),
    "list": content(b"[1]"),
    "null": content(b"null"),
    "pipe": replace_by_pipe,
    "folder": replace_by_folder,
}


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize("damage", UNREADABLE)
@pytest.mark.parametrize("name", ["result.json", "config.json", "log.jsonl", "search.json", "candidates.jsonl"])
def test_a_file_that_cannot_be_read_is_named(name: str, damage: str, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    (run / name).touch()
    UNREADABLE[damage](run / name)
    text = write_report([run], tmp_path / "report.html").read_text()
    assert "<h2>Images</h2>" in text
    assert f"{name} " in text or name == "candidates.jsonl"


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize(
    "damage",
    [replace_by_pipe, replace_by_folder, content(png(30_000, 30_000)), content(png(10_000, 10_000)), content(b"\x89PNG")],
    ids=["pipe", "folder", "bomb", "small bomb", "half"],
)
@pytest.mark.parametrize("name", ["images/000_student.png", "samples/recover_000010.png"])
def test_an_image_that_cannot_be_shown_is_named(
    name: str, damage: Callable[[Path], None], make_run: MakeRun, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    run = make_run()
    damage(run / name)
    assert name in write_report([run], tmp_path / "report.html").read_text()
    assert not recwarn.list


def test_half_a_character_does_not_stop_the_page(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(notes=["before \ud800 after"])
    assert json.loads((run / "result.json").read_text())["notes"] == ["before \ud800 after"]
    assert "before ? after" in write_report([run], tmp_path / "report.html").read_text()


@pytest.mark.parametrize("value", [1e308, -1e308, 1e101, 5e-324, float("inf"), float("nan")])
def test_any_number_can_be_drawn(value: float, make_run: MakeRun, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    run = make_run(steps=1)
    with open(run / "log.jsonl", "a") as log:
        for step in (1, 10**18, 10**90):
            log.write(json.dumps({"stage": "recover", "step": step, "losses": {"G/l1": value}}) + "\n")
    assert "G/l1" in write_report([run], tmp_path / "report.html").read_text()
    small, tiny = min(max(value, -1e99), 1e99) if value == value else 0.0, 5e-324
    curve_figure([(Series(False, [10**18, 10**18 + 1], [small, tiny]), 0)], name="x", levels=[1e99], ratio=2.0)
    pareto_figure([Point(tiny, small, 0), Point(1e99, 1.0, 0)], [], cost_text=str, higher_is_better=True, name="y")
    assert not recwarn.list
