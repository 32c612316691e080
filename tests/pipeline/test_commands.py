"""The commands that look at artifacts and runs: each agrees with the run that it looks at."""

from pathlib import Path

import numpy as np
import pytest
from commands import answer, command, read, refused

from pocketgan.core.artifact import save_artifact
from pocketgan.metrics.features import OnnxFeatures
from pocketgan.metrics.statistics import Moments
from pocketgan.models import resnet

pytestmark = pytest.mark.xdist_group("pipeline")


def test_evaluate_agrees_with_the_run(
    teacher: Path, student: Path, folder: Path, features: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On another folder, as the data of the run were limited."""
    sides = ("--data", folder, "--task", "inputs", "--teacher", teacher / "generator.safetensors", "--features", features)
    small = answer(capsys, "evaluate", student / "student.safetensors", *sides)
    name = OnnxFeatures(features).name
    assert set(small["quality"]) == {
        "psnr_to_teacher",
        "ssim_to_teacher",
        f"frechet[{name},teacher]",
        f"kernel[{name},teacher]",
    }
    result = read(student)["student"]
    for key in ("params", "macs", "macs_paper", "size", "bytes"):
        assert small[key] == result[key]
    assert small["quality"][f"frechet[{name},teacher]"] > 0
    itself = answer(capsys, "evaluate", teacher / "generator.safetensors", *sides)
    assert itself["quality"][f"frechet[{name},teacher]"] == pytest.approx(0, abs=1e-9)


def test_metrics_are_chosen_by_name(student: Path, features: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    artifact = student / "student.safetensors"
    only = answer(capsys, "evaluate", artifact, "--data", "shapes", "--metrics", "psnr", "--batch", "50")
    assert set(only["quality"]) == {"psnr"}
    # Distances cannot be had without features, nor statistics without the features that they are of.
    line = refused(capsys, "evaluate", artifact, "--data", "shapes", "--metrics", "psnr,frechet")
    assert line == "error: frechet is measured on features: give --features inception or an ONNX file, or leave it out"
    line = refused(capsys, "evaluate", artifact, "--data", "shapes", "--metrics", "pnsr")
    assert line.startswith("error: no metric named 'pnsr'. Did you mean 'psnr'? There is:")
    assert "has no effect without features" in refused(capsys, "evaluate", artifact, "--data", "shapes", "--stats", "x.npz")
    unpaired = ("evaluate", artifact, "--data", "textures", "--task", "unpaired")
    assert "there is no target to compare with: give --features, or a --teacher" in refused(capsys, *unpaired)
    alone = ("evaluate", artifact, "--data", "shapes", "--task", "inputs", "--features", features)
    assert "inputs alone have no real targets" in refused(capsys, *alone)
    missing = features.with_name("quartres.onnx")
    line = refused(capsys, "evaluate", artifact, "--data", "shapes", "--features", missing)
    assert line == f"error: no feature extractor {missing}; did you mean 'quarters.onnx'?"


def test_statistics_are_made_once_and_used(
    student: Path, folder: Path, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "real.npz"
    command("stats", folder, "--side", "A", "--features", features, "--out", out, "--size", "16", "--split", "train+test")
    extractor = OnnxFeatures(features)
    moments = Moments.load(out, features=extractor.name)
    assert moments.reals == "train+test"
    assert moments.n == 16  # eight images, each in both splits of a folder without any
    measured = answer(
        capsys, "evaluate", student / "student.safetensors", "--data", folder, "--task", "inputs", "--features", features,
        "--stats", out, "--metrics", "frechet",
    )  # fmt: skip
    assert set(measured["quality"]) == {f"frechet[{extractor.name},train+test]"}
    other = tmp_path / "other.npz"
    np.savez(other, mu=np.zeros(12), sigma=np.eye(12), features=np.array("another"))
    line = refused(
        capsys, "evaluate", student / "student.safetensors", "--data", folder, "--task", "inputs", "--features", features,
        "--stats", other, "--metrics", "frechet",
    )  # fmt: skip
    assert "holds features of 'another'" in line


def test_an_unknown_target_is_refused(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "export", student / "student.safetensors", "--out", tmp_path / "g.tflite", "--target", "tflite")
    assert line.startswith("error: no target named 'tflite'. There is: onnxruntime:f32, openvino:bf16, openvino:f32")
    assert not list(tmp_path.iterdir())


def test_latency_of_several_in_one_run(teacher: Path, student: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = (str(teacher / "generator.safetensors"), str(student / "student.safetensors"))
    latencies = answer(capsys, "latency", *files, "--runtime", "torch", "--repeats", "3", "--batch", "2")
    assert set(latencies) == set(files)
    for engines in latencies.values():
        assert set(engines) == {"torch"}
        assert (engines["torch"]["batch"], engines["torch"]["threads"], engines["torch"]["repeats"]) == (2, 1, 3)
        assert 0 < engines["torch"]["p10"] <= engines["torch"]["median"] <= engines["torch"]["p90"]
    assert refused(capsys, "latency") == "error: no artifact given: name at least one"
    assert "no runtime named 'onxruntime'. Did you mean 'onnxruntime'" in refused(
        capsys, "latency", files[0], "--runtime", "onxruntime"
    )


def test_sizes_that_differ_have_to_be_settled(student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_artifact(tmp_path / "large.safetensors", resnet(3, blocks=0).build(), size=32)
    files = (student / "student.safetensors", tmp_path / "large.safetensors")
    assert "the artifacts are for different sizes (16 x 16, 32 x 32): say which with --size and --aspect" in refused(
        capsys, "latency", *files
    )


def test_minutes_are_for_methods_without_a_search(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (teacher / "generator.safetensors", "--data", "shapes", "--minutes", "1", "--out", tmp_path / "run")
    assert "the search of dmad follows a schedule in steps" in refused(capsys, "compress", *words, "--method", "dmad")
    assert not (tmp_path / "run").exists()


def test_inspect_adds_up(student: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = answer(capsys, "inspect", student / "student.safetensors")
    result = read(student)
    assert {group: f["width"] for group, f in facts["groups"].items() if f["width"]} == result["widths"]["student"]
    for count in ("params", "macs", "macs_paper"):
        assert sum(group[count] for group in facts["groups"].values()) == facts["total"][count] == result["student"][count]
        assert 0 < facts["floor"][count] < facts["total"][count]
    named = answer(capsys, "inspect", "resnet", "--size", "256")
    assert (named["total"]["params"], named["uncounted"]) == (11_378_179, [])
    assert "size=3 is too small for the generator" in refused(capsys, "inspect", "resnet", "--size", "3")
    command("inspect", student / "student.safetensors")
    assert "trunk" in capsys.readouterr().out


def test_one_page_of_several_runs(teacher: Path, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("report", student, teacher, "--out", tmp_path / "both.html")
    assert capsys.readouterr().out.split() == [str(tmp_path / "both.html")]
    page = (tmp_path / "both.html").read_text()
    assert "student" in page
    assert "teacher" in page
    assert refused(capsys, "report") == "error: no run given: name at least one run directory"
