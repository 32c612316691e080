"""From label maps to a small generator: a teacher of GauGAN's task, and students of two methods."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import command
from PIL import Image
from safetensors import safe_open

import pocketgan
from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.dims import widths_of
from pocketgan.core.spec import spec_of
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import eval_batches
from pocketgan.metrics.cost import CostModel
from pocketgan.models import inception_spade, multiscale
from pocketgan.utils.image_files import to_uint8
from zoo import randomized

pytestmark = pytest.mark.xdist_group("pipeline")

SHAPE = (32, 64)
OBLONG = ["--size", "64", "--aspect", "2"]
TINY = ["--task", "labels", "--data", "shapes", "--steps", "2", "--batch", "2", "--device", "cpu", "perceptual=pixels"]
TINY += ["data.workers=0", "data.limit=4", 'evaluation.runtimes=["torch"]', "evaluation.repeats=1", "evaluation.images=2"]
SHAPES = open_data(DataConfig(path="shapes", size=64, aspect=2, workers=0), "labels", "test")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a SPADE generator, trained with spectral norm."""
    path = tmp_path_factory.mktemp("labels") / "teacher"
    nets = ['arch_options={"ngf":2,"upsamplings":5}', 'discriminator_options={"ndf":3,"layers":2}']
    command("train", "--out", path, *OBLONG, *TINY, *nets)
    return path


def keys(file: Path) -> list[str]:
    with safe_open(file, "pt") as tensors:
        return list(tensors.keys())


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def assert_shipped_folded(run: Path, generator: str, evaluation: str) -> None:
    """The discriminator keeps its spectral norm: a student goes on to play against it."""
    assert not any("parametrizations" in key for key in keys(run / generator))
    assert not spec_of(load_artifact(run / generator).model).spectral  # type: ignore[attr-defined]
    assert any("parametrizations" in key for key in keys(run / evaluation))
    assert spec_of(load_artifact(run / evaluation).model).spectral  # type: ignore[attr-defined]


def assert_colored(run: Path) -> None:
    source = next(iter(eval_batches(SHAPES, batch=1, workers=0))).images["input"]
    expected = to_uint8(SHAPES.labels.colored(source)[0])
    with Image.open(run / "images" / "000_input.png") as image:
        assert np.array_equal(np.array(image), expected)
    assert len({tuple(color) for color in expected.reshape(-1, 3).tolist()} & set(SHAPES.labels.colors)) > 1


def test_a_teacher(teacher: Path) -> None:
    """The published optimizers and losses, and what is left of them where pixels stand for VGG19."""
    assert_shipped_folded(teacher, "generator.safetensors", "discriminator.safetensors")
    assert_colored(teacher)
    config = json.loads((teacher / "config.json").read_text())
    assert (config["arch"], config["training"]["lr"], config["training"]["lr_discriminator"]) == ("spade", 1e-4, 4e-4)
    assert config["training"]["betas"] == [0.0, 0.9]
    assert set(lines(teacher)[-1]["losses"]) == {"G/gan", "G/feature_matching", "G/l1", "D/d_adv"}
    assert load_artifact(teacher / "generator.safetensors").model.in_channels == SHAPES.labels.channels


def test_spectral_norm_is_looked_through(teacher: Path) -> None:
    """Of a file, of a network in memory, and of a name: what counts is what is shipped and can be cut."""
    evaluation = multiscale(3, layers=2, in_channels=SHAPES.labels.channels + 3)
    params = sum(parameter.numel() for parameter in replace(evaluation, spectral=False).build().parameters())
    for given in (teacher / "discriminator.safetensors", evaluation.build()):
        assert pocketgan.inspect(given, size=64)["total"]["params"] == params
    assert pocketgan.inspect("multiscale", size=64)["total"]["params"] == 5_601_410


def test_a_student_of_a_trained_teacher(teacher: Path, tmp_path: Path, quick_export: None) -> None:
    """Within the budget, against the teacher's discriminator, and without VGG19, which the result says."""
    out = tmp_path / "student"
    command("compress", teacher / "generator.safetensors", "--out", out, "--method", "uniform", "--budget", "2x", *TINY)
    assert_shipped_folded(out, "student.safetensors", "student_discriminator.safetensors")
    assert_colored(out)
    result = json.loads((out / "result.json").read_text())
    small = load_artifact(out / "student.safetensors").model
    assert result["student"]["macs"] == CostModel(small, SHAPE)().macs <= result["budget"]["limit"]
    assert result["notes"] == ["trained without VGG19's perceptual loss: perceptual=pixels"]
    assert set(lines(out)[-1]["losses"]) == {"G/gan", "G/feature_matching", "G/l1", "G/output", "G/features", "D/d_adv"}
    assert {"teacher", "student"} <= set(result)
    assert "input" not in result  # a label map is no image


def test_cat_on_parallel_branches(teacher: Path, tmp_path: Path, quick_export: None) -> None:
    """A teacher from elsewhere, the teacher's channels, kernel alignment, and pixels left out, too."""
    spec = inception_spade(2, in_channels=SHAPES.labels.channels, upsamplings=5, kernels=(1,), factor=4)
    save_artifact(tmp_path / "generator.safetensors", randomized(spec), size=SHAPE)
    out, evaluation = tmp_path / "student", teacher / "discriminator.safetensors"
    command(
        *("compress", tmp_path / "generator.safetensors", "--out", out, "--method", "cat", "--budget", "5x"),
        *("--objective", "kernel-alignment", *TINY, "perceptual=none", f"teacher_discriminator={evaluation}"),
    )
    result, log = json.loads((out / "result.json").read_text()), lines(out)
    assert {line["stage"] for line in log} == {"recover"}  # every group has a scale already
    assert set(log[-1]["losses"]) == {"G/gan", "G/feature_matching", "G/kernel-alignment", "D/d_adv"}
    small = load_artifact(out / "student.safetensors").model
    assert [widths_of(small)[group] for group in ("trunk", "up0", "up1", "up2", "up3")] == [16, 8, 4, 2, 1]
    assert result["student"]["macs"] <= result["budget"]["limit"]
    assert (out / "student.onnx").read_text() == "onnx 32x64"
    with torch.no_grad():  # of images that have something to differ in
        assert small(torch.rand(1, SHAPES.labels.channels, *SHAPE)).std() > 0.05


def test_what_cannot_be_is_told_before_any_work(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, small = ("compress", teacher / "generator.safetensors", "--budget", "2x"), '"ngf":2,"upsamplings":'
    for words, line in (
        ((*known, "--objective", "kernel-alignment", "recovery.batch=1"), "batch=1: the objective kernel-alignment"),
        ((*known, "perceptual=vgg19:none.pth"), "no file none.pth: give a file with the VGG19 of torchvision"),
        (("train", *OBLONG, f'arch_options={{{small}5,"in_channels":5}}'), "arch_options.in_channels=5: the label maps"),
        (("train", *OBLONG, f"arch_options={{{small}6}}"), "size=64, aspect=2 makes images 32 high, no multiple of 64"),
    ):
        flags = [word for word in words if "=" not in str(word)]
        assert main([str(word) for word in (*flags, "--out", tmp_path / "no", *TINY, *words[len(flags) :])]) == 2
        assert line in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "no").exists()
