"""Images that are not square, from data to a small generator: one shape in all files, costs and images."""

from pathlib import Path

import pytest
from commands import NETS, TINY, answer, command, read, refused
from PIL import Image

import pocketgan
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


def test_all_files_of_a_run_state_one_shape(teacher: Path, student: Path) -> None:
    for file in (teacher / "generator.safetensors", teacher / "discriminator.safetensors", student / "student.safetensors"):
        assert read_header(file)["size"] == list(SHAPE)
    assert read(student, "config.json")["data"]["aspect"] == 2.0
    assert (student / "student.onnx").read_text() == "onnx 16x32"
    with Image.open(student / "images" / "000_student.png") as image:
        assert image.size == (32, 16)
    assert "32×16" in (student / "report.html").read_text()


def test_costs_are_of_that_shape(teacher: Path, student: Path) -> None:
    large = load_artifact(teacher / "generator.safetensors").model
    cost = CostModel(large, SHAPE)()
    assert cost.macs * 2 == CostModel(large, 32)().macs
    facts = read(student)
    assert (facts["teacher"]["size"], facts["teacher"]["macs"]) == (list(SHAPE), cost.macs)
    assert facts["budget"]["limit"] == cost.macs // 4
    assert facts["student"]["macs"] == CostModel(load_artifact(student / "student.safetensors").model, SHAPE)().macs
    assert facts["student"]["macs"] <= cost.macs // 4
    assert read(teacher)["generator"]["macs"] == cost.macs


def test_commands_take_the_shape_from_the_artifact(
    teacher: Path, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], quick_export: None
) -> None:
    file = student / "student.safetensors"
    facts = read(student)["student"]
    assert pocketgan.inspect(file)["size"] == SHAPE
    assert pocketgan.inspect(file)["total"]["macs"] == facts["macs"]
    assert pocketgan.inspect(file, size=64)["size"] == (32, 64)
    assert pocketgan.inspect(file, aspect=1)["size"] == 32
    assert answer(capsys, "evaluate", file, "--data", "shapes")["size"] == list(SHAPE)
    command("inspect", file)
    assert "costs of one 32 x 16 image" in " ".join(capsys.readouterr().out.split())
    command("latency", file, teacher / "generator.safetensors", "--runtime", "torch", "--repeats", "1")
    command("export", file, "--out", tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").read_text() == "onnx 16x32"


def test_a_height_that_is_no_multiple_of_the_stride(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "size=32, aspect=1.778 makes images 18 high, no multiple of 4, the generator's stride: take aspect=2 or 1.6, for"
    assert line in refused(capsys, "evaluate", teacher / "generator.safetensors", "--data", "shapes", "--aspect", "1.8")
