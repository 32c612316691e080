"""Label maps through GAN Compression's two pipelines: every network's mobile form, and whole runs by their command."""

import json
from pathlib import Path

import pytest
import torch
from commands import TINY, bytes_of, command
from safetensors.torch import load_file
from torch import Tensor

from pocketgan.core.artifact import load_artifact
from pocketgan.core.config import to_json
from pocketgan.core.spec import Spec, spec_of
from pocketgan.models import inception, inception_spade, mobile_resnet, mobile_spade, resnet, spade, unet
from pocketgan.models.spectral import plain
from pocketgan.pipeline.config import training_configs_of
from pocketgan.training.config import GAUGAN

pytestmark = pytest.mark.xdist_group("pipeline")

LABELS = ["--task", "labels", *(word if word != "16" else "64" for word in TINY), "perceptual=none"]
JUDGE = '{"ndf":4,"layers":1,"scales":1}'


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
    assert json.loads(json.dumps(form.options)) == form.options  # it becomes a training's configuration


@pytest.mark.parametrize("spec", [inception(16), inception_spade(16), unet(8, depth=5)])
def test_others_have_none(spec: Spec) -> None:
    assert spec.mobile() is None


def test_what_is_plain_stays_what_it_is() -> None:
    assert plain(mobile_spade(8)) == mobile_spade(8, spectral=False)
    assert plain(resnet(8)) is not None
    assert plain(resnet(8)) == resnet(8)


def test_every_training_of_label_maps_has_two_time_scales() -> None:
    fits = training_configs_of("labels")
    assert fits["recovery"] == fits["search"] == fits["full"].teacher == fits["full"].distill == GAUGAN
    assert training_configs_of("paired")["full"].teacher.lr_discriminator is None


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a GauGAN on the built-in shapes."""
    path = tmp_path_factory.mktemp("streets") / "teacher"
    nets = ('arch_options={"ngf":4,"upsamplings":5}', f"discriminator_options={JUDGE}")
    command("train", "--data", "shapes", "--arch", "spade", "--out", path, *LABELS, *nets)
    return path


def words(teacher: Path, out: Path, *more: str) -> list[str]:
    flags, fields = [word for word in more if "=" not in word], [word for word in more if "=" in word]
    search = ("--method", "gan-compression", "--budget", "8x", "--objective", "features")
    few = ("method_options.candidates=3", "method_options.images=2", "data.limit=4")
    start = ["compress", str(teacher / "generator.safetensors"), "--data", "shapes", "--out", str(out), *search, *flags]
    return [*start, *LABELS, *few, *fields]


def teacher_widths(run: Path) -> Spec:
    return spec_of(load_artifact(run / "generator.safetensors").model)


def test_the_full_pipeline(streets: Path, tmp_path: Path, quick_export: None) -> None:
    """A mobile GauGAN, half of it distilled, a supernet of that, a student of that; again from the middle."""
    out, more = tmp_path / "run", ["--pipeline", "full", f"full.discriminator_options={JUDGE}"]
    command(*words(streets, out, *more))
    dense = teacher_widths(streets)
    mobile, narrow, student = (
        spec_of(load_artifact(out / name).model)
        for name in ("mobile/generator.safetensors", "distilled/student.safetensors", "student.safetensors")
    )
    assert mobile == plain(mobile_spade(4, dense.in_channels, upsamplings=5))
    assert narrow == plain(mobile_spade(2, dense.in_channels, upsamplings=5))
    assert student.separable
    trained = json.loads((out / "mobile" / "config.json").read_text())
    assert (trained["perceptual"], trained["task"], trained["arch"]) == ("none", "labels", "mobile-spade")
    assert trained["training"] == {**to_json(GAUGAN), "steps": 3, "batch": 2}
    result = json.loads((out / "result.json").read_text())
    assert 0 < result["budget"]["reached"] <= result["budget"]["limit"] == result["teacher"]["macs"] // 8
    before = bytes_of(out)
    command(*words(streets, out, *more, "--from", "search"))
    after = bytes_of(out)
    for name in ("searched", "pruned", "student"):
        assert after[f"{name}.safetensors"] == before[f"{name}.safetensors"]


def test_the_fast_pipeline_from_a_fresh_mobile_network(streets: Path, tmp_path: Path) -> None:
    """Its weights are as published, Xavier with a gain of 0.02 and no spectral norm, and the seed's."""
    out = tmp_path / "run"
    command(*words(streets, out, "start=mobile", "search.lr=0", "search.lr_discriminator=0", "--to", "search"))
    fitted = {name: value for name, value in load_file(out / "searched.safetensors").items() if name.startswith("G/")}
    assert not any("parametrizations" in name for name in fitted)
    name, first = next((name, value) for name, value in fitted.items() if name.endswith("head.conv0.weight"))
    assert deviation(first) == pytest.approx(0.02 * (2 / (9 * (first.shape[0] + first.shape[1]))) ** 0.5, rel=0.05), name


def deviation(weight: Tensor) -> float:
    return float(torch.std(weight))
