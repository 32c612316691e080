"""Images that are not square, from data to a small generator: one shape in all files, costs and images."""

import json
from pathlib import Path

import onnx
import pytest
from commands import NETS, TINY, command
from PIL import Image

import pocketgan
from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact, read_header
from pocketgan.metrics.cost import CostModel
from quick import quick_exports

pytestmark = pytest.mark.xdist_group("pipeline")

SHAPE = (16, 32)
OBLONG = ["--size", "32", "--aspect", "2", *TINY[2:]]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a teacher on images of 32 x 16."""
    path = tmp_path_factory.mktemp("oblong") / "teacher"
    command("train", "--task", "paired", "--data", "shapes", "--out", path, *OBLONG, *NETS)
    return path


@pytest.fixture(scope="module")
def student(teacher: Path) -> Path:
    """The run of its student: the size is the teacher's own."""
    path = teacher.parent / "student"
    with quick_exports():
        command("compress", teacher / "generator.safetensors", "--data", "shapes", "--out", path, "--budget", "4x", *TINY[2:])
    return path


def result_of(run: Path) -> dict:
    return json.loads((run / "result.json").read_text())


def test_all_files_of_a_run_state_one_shape(teacher: Path, student: Path) -> None:
    for file in (teacher / "generator.safetensors", teacher / "discriminator.safetensors", student / "student.safetensors"):
        assert read_header(file)["size"] == list(SHAPE)
    assert (json.loads((student / "config.json").read_text())["data"]["aspect"]) == 2.0
    assert (student / "student.onnx").read_text() == "onnx 16x32"
    with Image.open(student / "images" / "000_student.png") as image:
        assert image.size == (32, 16)
    assert "32×16" in (student / "report.html").read_text()


def test_costs_are_of_that_shape(teacher: Path, student: Path) -> None:
    large = load_artifact(teacher / "generator.safetensors").model
    cost = CostModel(large, SHAPE)()
    assert cost.macs * 2 == CostModel(large, 32)().macs
    facts = result_of(student)
    assert (facts["teacher"]["size"], facts["teacher"]["macs"]) == (list(SHAPE), cost.macs)
    assert facts["budget"]["limit"] == cost.macs // 4
    assert facts["student"]["macs"] == CostModel(load_artifact(student / "student.safetensors").model, SHAPE)().macs
    assert facts["student"]["macs"] <= cost.macs // 4
    assert result_of(teacher)["generator"]["macs"] == cost.macs


def test_an_artifact_is_looked_at_in_its_own_shape(
    teacher: Path, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = student / "student.safetensors"
    facts = result_of(student)["student"]
    assert pocketgan.inspect(file)["size"] == SHAPE
    assert pocketgan.inspect(file)["total"]["macs"] == facts["macs"]
    assert pocketgan.inspect(file, size=64)["size"] == (32, 64)
    assert pocketgan.inspect(file, aspect=1)["size"] == 32
    capsys.readouterr()
    command("evaluate", file, "--data", "shapes", "--json")
    assert json.loads(capsys.readouterr().out)["size"] == list(SHAPE)
    command("inspect", file)
    assert "costs of one 32 x 16 image" in " ".join(capsys.readouterr().out.split())
    command("latency", file, teacher / "generator.safetensors", "--runtime", "torch", "--repeats", "1")
    command("export", file, "--out", tmp_path / "small.onnx")
    assert {e.key: e.value for e in onnx.load(tmp_path / "small.onnx").metadata_props}["pocketgan.size"] == "16x32"


def test_a_height_that_the_generator_cannot_generate(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("evaluate", teacher / "generator.safetensors", "--data", "shapes", "--aspect", "1.8")
    assert main([str(word) for word in words]) == 2
    line = "size=32, aspect=1.778 makes images 18 high, no multiple of 4, the generator's stride: take aspect=2 or 1.6, for"
    assert line in " ".join(capsys.readouterr().err.split())
