"""From label maps to a small generator: a teacher of SPADE's task, and students by three methods."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import LABELS, command, losses, read, refused
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

import pocketgan
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.config import to_json
from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec, spec_of
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.loader import eval_batches
from pocketgan.metrics.cost import CostModel
from pocketgan.models import inception, inception_spade, mobile_resnet, mobile_spade, multiscale, resnet, spade, unet
from pocketgan.models.layers import plain
from pocketgan.training.config import GAUGAN
from pocketgan.utils.images import to_uint8
from zoo import randomized

pytestmark = pytest.mark.xdist_group("pipeline")

SHAPE = (32, 64)
OBLONG = ["--size", "64", "--aspect", "2"]
SHAPES = open_data(DataConfig(path="shapes", size=64, aspect=2, workers=0), "labels", "test")


def keys(file: Path) -> list[str]:
    with safe_open(file, "pt") as tensors:
        return list(tensors.keys())


def assert_spectral_norm_is_folded(run: Path, generator: str, discriminator: str) -> None:
    """In the generator; the discriminator keeps its spectral norm, for the student is trained against it."""
    assert not any("parametrizations" in key for key in keys(run / generator))
    assert not spec_of(load_artifact(run / generator).model).spectral  # type: ignore[attr-defined]
    assert any("parametrizations" in key for key in keys(run / discriminator))
    assert spec_of(load_artifact(run / discriminator).model).spectral  # type: ignore[attr-defined]


def assert_colored(run: Path) -> None:
    labels = next(iter(eval_batches(SHAPES, batch=1, workers=0))).images["input"]
    expected = to_uint8(SHAPES.labels.colored(labels)[0])
    with Image.open(run / "images" / "000_input.png") as image:
        assert np.array_equal(np.array(image), expected)
    assert len({tuple(color) for color in expected.reshape(-1, 3).tolist()} & set(SHAPES.labels.colors)) > 1


def test_a_teacher(label_teacher: Path) -> None:
    """The published optimizers, and the published losses but for VGG19's, which pixels stand for."""
    assert_spectral_norm_is_folded(label_teacher, "generator.safetensors", "discriminator.safetensors")
    assert_colored(label_teacher)
    config = read(label_teacher, "config.json")
    assert (config["arch"], config["training"]["lr"], config["training"]["lr_discriminator"]) == ("spade", 1e-4, 4e-4)
    assert config["training"]["betas"] == [0.0, 0.9]
    assert losses(label_teacher, "train") == {"G/gan", "G/feature_matching", "G/l1", "D/d_adv"}
    assert load_artifact(label_teacher / "generator.safetensors").model.in_channels == SHAPES.labels.channels


def test_costs_are_without_spectral_norm(label_teacher: Path) -> None:
    """Those of a file, of a network in memory, and of a name: the norm is folded into the files that users get."""
    discriminator = multiscale(3, layers=2, in_channels=SHAPES.labels.channels + 3)
    params = sum(parameter.numel() for parameter in replace(discriminator, spectral=False).build().parameters())
    for given in (label_teacher / "discriminator.safetensors", discriminator.build()):
        assert pocketgan.inspect(given, size=64)["total"]["params"] == params
    assert pocketgan.inspect("multiscale", size=64)["total"]["params"] == 5_601_410


def test_a_student_of_a_trained_teacher(label_teacher: Path, tmp_path: Path, quick_export: None) -> None:
    """Within the budget, against the teacher's discriminator, and without VGG19, which the result says."""
    out = tmp_path / "student"
    command("compress", label_teacher / "generator.safetensors", "--out", out, "--method", "uniform", "--budget", "2x", *LABELS)
    assert_spectral_norm_is_folded(out, "student.safetensors", "student_discriminator.safetensors")
    assert_colored(out)
    result = read(out)
    small = load_artifact(out / "student.safetensors").model
    assert result["student"]["macs"] == CostModel(small, SHAPE)().macs <= result["budget"]["limit"]
    assert result["notes"] == ["trained without VGG19's perceptual loss: perceptual=pixels"]
    assert losses(out, "recover") == {"G/gan", "G/feature_matching", "G/l1", "G/output", "G/features", "D/d_adv"}
    assert {"teacher", "student"} <= set(result)
    assert "input" not in result  # a label map is no image


def test_cat_on_parallel_branches(label_teacher: Path, tmp_path: Path, quick_export: None) -> None:
    """A teacher from elsewhere, the teacher's channels, kernel alignment, and pixels left out, too."""
    spec = inception_spade(2, in_channels=SHAPES.labels.channels, upsamplings=5, kernels=(1,), factor=4)
    save_artifact(tmp_path / "generator.safetensors", randomized(spec), size=SHAPE)
    out, discriminator = tmp_path / "student", label_teacher / "discriminator.safetensors"
    command(
        *("compress", tmp_path / "generator.safetensors", "--out", out, "--method", "cat", "--budget", "5x"),
        *("--objective", "kernel-alignment", *LABELS, "perceptual=none", f"teacher_discriminator={discriminator}"),
    )
    result = read(out)
    stages = {json.loads(line)["stage"] for line in (out / "log.jsonl").read_text().splitlines()}
    assert stages == {"recover"}  # every group has a scale already
    assert losses(out, "recover") == {"G/gan", "G/feature_matching", "G/kernel-alignment", "D/d_adv"}
    small = load_artifact(out / "student.safetensors").model
    assert [widths_of(small)[group] for group in ("trunk", "up0", "up1", "up2", "up3")] == [16, 8, 4, 2, 1]
    assert result["student"]["macs"] <= result["budget"]["limit"]
    assert (out / "student.onnx").read_text() == "onnx 32x64"
    with torch.no_grad():  # of images that have something to differ in
        assert small(torch.rand(1, SHAPES.labels.channels, *SHAPE)).std() > 0.05


def test_a_wrong_setting_is_refused_before_any_work(
    label_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known, small = ("compress", label_teacher / "generator.safetensors", "--budget", "2x"), '"ngf":2,"upsamplings":'
    for words, message in (
        ((*known, "--objective", "kernel-alignment", "recovery.batch=1"), "batch=1: the objective kernel-alignment"),
        ((*known, "perceptual=vgg19:none.pth"), "no file none.pth: give a file with the VGG19 of torchvision"),
        (("train", *OBLONG, f'arch_options={{{small}5,"in_channels":5}}'), "arch_options.in_channels=5: the label maps"),
        (("train", *OBLONG, f"arch_options={{{small}6}}"), "size=64, aspect=2 makes images 32 high, no multiple of 64"),
    ):
        assert message in refused(capsys, *words[:1], "--out", tmp_path / "no", *LABELS, *words[1:])
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("dense", "mobile"),
    [
        (resnet(24, blocks=5, norm="batch", in_channels=2, out_channels=1), mobile_resnet(24, 5, "batch", 2, 1)),
        (spade(24, 7, 1, 5, "instance", spectral=False), mobile_spade(24, 7, 1, 5, "instance")),
        (spade(16, upsamplings=7), mobile_spade(16, upsamplings=7)),
    ],
)
def test_the_mobile_form_is_as_wide_and_made_for_the_same_data(dense: Spec, mobile: Spec) -> None:
    form = dense.mobile()
    assert form is not None
    assert form.spec() == mobile
    assert mobile.widths == dense.widths
    assert mobile.mobile() is None
    wider = dense.mobile(32)
    assert wider is not None
    assert wider.spec().widths == type(dense).mobile(dense, 32).spec().widths != dense.widths
    assert json.loads(json.dumps(form.options)) == form.options  # the options of a training's configuration


@pytest.mark.parametrize("spec", [inception(16), inception_spade(16), unet(8, depth=5)])
def test_others_have_no_mobile_form(spec: Spec) -> None:
    assert spec.mobile() is None


def test_a_plain_spec_has_no_spectral_norm() -> None:
    assert plain(mobile_spade(8)) == mobile_spade(8, spectral=False)
    assert plain(resnet(8)) == resnet(8)


def test_the_full_pipeline(label_teacher: Path, tmp_path: Path) -> None:
    """A mobile network trained by SPADE's task, half of it distilled, a supernet of that."""
    out = tmp_path / "run"
    command(
        *("compress", label_teacher / "generator.safetensors", "--out", out, "--method", "gan-compression", "--budget", "8x"),
        *("--objective", "features", "--pipeline", "full", "--to", "search", *LABELS, "perceptual=none"),
        "method_options.images=1",
        'full.discriminator_options={"ndf":4,"layers":1,"scales":1}',
    )
    dense = spec_of(load_artifact(label_teacher / "generator.safetensors").model)
    mobile, narrow = (
        spec_of(load_artifact(out / name).model) for name in ("mobile/generator.safetensors", "distilled/student.safetensors")
    )
    channels = dense.in_channels  # type: ignore[attr-defined]
    assert mobile == plain(mobile_spade(4, channels, upsamplings=5))
    assert narrow == plain(mobile_spade(2, channels, upsamplings=5))
    supernet = load_file(out / "searched.safetensors")
    assert {key.removeprefix("G/model.") for key in supernet if key.startswith("G/")} == narrow.build().state_dict().keys()
    trained, own = read(out / "mobile", "config.json"), read(out, "config.json")
    assert (trained["perceptual"], trained["task"], trained["arch"]) == ("none", "labels", "mobile-spade")
    published = {**to_json(GAUGAN), "steps": 2, "batch": 2}
    assert trained["training"] == own["search"] == own["recovery"] == published
    assert own["full"]["teacher"] == own["full"]["distill"] == published
