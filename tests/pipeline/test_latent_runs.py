"""From latents, and in many styles: a teacher of each task and a student of it, by the commands that users give."""

import json
from pathlib import Path

import pytest
from commands import LATENTS, command, losses, metrics, read, refused, roles
from safetensors.torch import load_file

from pocketgan.core.artifact import load_artifact
from pocketgan.core.run import Run
from pocketgan.core.spec import spec_of
from pocketgan.metrics.cost import CostModel

pytestmark = pytest.mark.xdist_group("pipeline")


def test_a_teacher_from_latents(latent_teacher: Path) -> None:
    config, result = read(latent_teacher, "config.json"), read(latent_teacher)
    assert (config["arch"], config["training"]["lr"], config["training"]["lr_discriminator"]) == ("sagan", 1e-4, 4e-4)
    assert losses(latent_teacher, "train") == {"G/gan", "D/d_adv"}
    assert metrics(result["generator"]["quality"]) == ["frechet", "kernel", "precision", "recall"]
    assert "input" not in result
    assert roles(latent_teacher) == {"image"}
    spec = spec_of(load_artifact(latent_teacher / "generator.safetensors").model)
    assert (spec.size, spec.latent, spec.spectral) == (32, 8, False)  # type: ignore[attr-defined]
    assert any("parametrizations" in name for name in load_file(latent_teacher / "discriminator.safetensors"))


@pytest.mark.filterwarnings("ignore:a search of")
def test_its_student_by_dmad(latent_teacher: Path, features: Path, tmp_path: Path, quick_export: None) -> None:
    run = tmp_path / "student"
    words = ["--task", "unconditional", "--method", "dmad", "--objective", "coattention", "--budget", "2x"]
    more = ("--features", features, "evaluation.generated=9", "search.steps=8")
    command("compress", latent_teacher / "generator.safetensors", "--out", run, *words, *LATENTS, *more)
    result, student = read(run), load_artifact(run / "student.safetensors").model
    assert result["student"]["macs"] == CostModel(student, 32)().macs <= result["budget"]["limit"]
    likeness = ["psnr_to_teacher", "ssim_to_teacher"]
    assert metrics(result["student"]["quality"]) == sorted(["frechet", "kernel", "precision", "recall", *likeness])
    assert metrics(result["teacher"]["quality"]) == ["frechet", "kernel", "precision", "recall"]
    assert result["teacher"]["quality"] == read(latent_teacher)["generator"]["quality"]  # of the same latents
    assert result["notes"] == []
    assert losses(run, "recover") == {"G/gan", "G/l1", "G/coattention", "D/d_adv"}
    assert roles(run) == {"teacher", "student"}
    assert sorted(path.name for path in (run / "images").iterdir())[0] == "000_student.png"


def test_a_teacher_in_styles(multimodal_teacher: Path) -> None:
    assert (read(multimodal_teacher, "config.json")["arch"], read(multimodal_teacher, "config.json")["training"]["decay"]) == (
        "munit",
        "halving",
    )
    assert losses(multimodal_teacher, "train") == {"G/gan", "G/l1", "G/style", "G/content", "D/d_adv"}
    for side in "AB":
        assert spec_of(load_artifact(multimodal_teacher / f"generator_{side}.safetensors").model).name == "munit"
        assert spec_of(load_artifact(multimodal_teacher / f"discriminator_{side}.safetensors").model).name == "ms-image"
    assert roles(multimodal_teacher) == {"input", "image", "image-style2", "image-style3"}


def test_its_student_by_gan_compression(multimodal_teacher: Path, features: Path, tmp_path: Path, quick_export: None) -> None:
    """The fast pipeline: a supernet, a search on kernel distances, the recovery; and a page that shows all styles."""
    run = tmp_path / "student"
    words = ["--task", "multimodal", "--method", "gan-compression", "--budget", "2x", "--features", features]
    options = ["method_options.candidates=4", "method_options.images=4", "method_options.fitness=kernel"]
    command(
        "compress", multimodal_teacher / "generator_A.safetensors", "--out", run, *words, *LATENTS, *options, "data.limit=8"
    )
    result, student = read(run), load_artifact(run / "student.safetensors").model
    assert result["student"]["macs"] == CostModel(student, 32)().macs <= result["budget"]["limit"]
    assert metrics(result["student"]["quality"]) == ["frechet", "kernel", "psnr_to_teacher", "ssim_to_teacher"]
    assert set(metrics(result["input"]["quality"])) >= {"frechet", "kernel"}
    assert losses(run, "search") == losses(run, "recover") | {"G/style"}
    assert losses(run, "recover") >= {"G/gan", "G/l1", "G/style", "D/d_adv"}
    candidates = [json.loads(line) for line in (run / "candidates.jsonl").read_text().splitlines()]
    assert len(candidates) == 4
    assert all(line["cost"]["macs"] <= result["budget"]["limit"] for line in candidates)
    generated = {f"{name}{style}" for name in ("teacher", "student") for style in ("", "-style2", "-style3")}
    assert roles(run) == {"input", *generated}
    page = (run / "report.html").read_text()
    assert all(f'alt="{name}, style {number}"' in page for name in ("teacher", "student") for number in (2, 3))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--task", "unconditional", "--arch", "resnet"],
            "task=unconditional: the generator reads images alone; take task=",
        ),
        (["--task", "paired", "--data", "shapes", "--arch", "munit"], "task=paired: the generator reads style as latents"),
        (["--task", "labels", "--data", "shapes", "--arch", "sagan"], "reads input as latents; take task=unconditional"),
        (["--task", "multimodal", 'arch_options={"style_encoder":false}'], "the generator has no style encoder"),
        (["--task", "unconditional", "--size", "48"], "sagan size=48: allowed are powers of two from 32"),
        (["--task", "unconditional", 'arch_options={"size":64}'], "this network generates images of 64x64 only; take size=64"),
        (
            ["--task", "unconditional", "evaluation.generated=1"],
            "generated=1: the least is 2",
        ),
        (["--task", "unconditional", 'latents={"mixing":2}'], "mixing=2.0: a fraction from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_refused_before_a_teacher_is_trained(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = LATENTS if "--data" not in words else LATENTS[: LATENTS.index("--data")]
    assert message in refused(capsys, "train", "--out", tmp_path / "run", *start, "perceptual=none", *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "size", "message"),
    [
        ("paired", "32", "task=paired: the generator reads input as latents; take task=unconditional"),
        ("multimodal", "32", "task=multimodal: the generator reads input as latents; take task=unconditional"),
        ("unconditional", "64", "size=64: this network generates images of 32x32 only; take size=32"),
    ],
)
def test_a_wrong_setting_is_refused_before_a_student_is_cut(
    latent_teacher: Path, task: str, size: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "shapes", "--task", task, "--size", size, "--budget", "2x", "--out", str(tmp_path / "run")]
    assert message in refused(capsys, "compress", latent_teacher / "generator.safetensors", *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:a search of")
@pytest.mark.parametrize(
    ("method", "last", "options"),
    [("dmad", "recover", ()), ("gan-compression", "search", ("method_options.images=1",))],
    ids=["masked", "elastic"],
)
def test_no_mean_of_weights_runs_along_a_network_whose_widths_change(
    method: str,
    last: str,
    options: tuple[str, ...],
    latent_teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor along one that is masked; the recovery, whose network stays as it is, has the mean that is asked for."""
    saved: dict[str, set[str]] = {}
    monkeypatch.setattr(Run, "save_checkpoint", lambda run, stage, step, tensors, facts: saved.update({stage: set(tensors)}))
    command(
        *("compress", latent_teacher / "generator.safetensors", "--task", "unconditional", "--method", method),
        *(
            "--budget",
            "2x",
            "--to",
            last,
            "--out",
            tmp_path / "run",
            *LATENTS,
            "--steps",
            "1",
            'latents={"average":0.5}',
            *options,
        ),
    )
    weights = load_file(latent_teacher / "generator.safetensors").keys()
    means = {stage: {name for name in names if name.startswith("task/mean/")} for stage, names in saved.items()}
    assert means.keys() == {"search", last}
    assert not means["search"]
    assert last == "search" or means["recover"] == {f"task/mean/{weight}" for weight in weights}
