"""From numbers, and in many styles: a teacher of each and a student of it, by the commands that users give."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from commands import TINY, command
from safetensors.torch import load_file

from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact
from pocketgan.core.spec import spec_of
from pocketgan.metrics.cost import CostModel
from pocketgan.models import stylegan2
from pocketgan.pipeline.student_tasks import latents_for
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import add_gates_
from pocketgan.tasks import TASKS

pytestmark = pytest.mark.xdist_group("pipeline")

SMALL = [*TINY[: TINY.index("--size")], "--size", "32", *TINY[2:], "--data", "textures"]
ALONE = [
    "--task",
    "unconditional",
    'arch_options={"ngf":4,"latent":8}',
    'discriminator_options={"ndf":4}',
    "evaluation.generated=9",
]
STYLES = ["--task", "multimodal", 'arch_options={"ngf":4,"mlp":8,"blocks":1}']
STYLES += ['discriminator_options={"ndf":2,"layers":2,"scales":2}']


def flags(*words: object) -> list[str]:
    """Flags before fields."""
    return sorted(map(str, words), key=lambda word: "=" in word)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, features: Path) -> Path:
    """The run of a SAGAN."""
    path = tmp_path_factory.mktemp("latents") / "teacher"
    command("train", *flags("--out", path, "--features", features, *SMALL, *ALONE))
    return path


@pytest.fixture(scope="module")
def stylist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a MUNIT, both directions."""
    path = tmp_path_factory.mktemp("styles") / "teacher"
    command("train", *flags("--out", path, *SMALL, *STYLES))
    return path


def read(run: Path, name: str = "result.json") -> dict:
    return json.loads((run / name).read_text())


def losses(run: Path, stage: str) -> set[str]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {name for line in lines if line["stage"] == stage for name in line["losses"]}


def images(run: Path) -> set[str]:
    return {path.stem.partition("_")[2] for path in (run / "images").iterdir()}


def named(quality: dict[str, float]) -> list[str]:
    return sorted(name.partition("[")[0] for name in quality)


def test_a_teacher_from_numbers(alone: Path) -> None:
    config, result = read(alone, "config.json"), read(alone)
    assert (config["arch"], config["training"]["lr"], config["training"]["lr_discriminator"]) == ("sagan", 1e-4, 4e-4)
    assert losses(alone, "train") == {"G/gan", "D/d_adv"}
    assert named(result["generator"]["quality"]) == ["frechet", "kernel", "precision", "recall"]
    assert "input" not in result
    assert images(alone) == {"image"}
    spec = spec_of(load_artifact(alone / "generator.safetensors").model)
    assert (spec.size, spec.latent, spec.spectral) == (32, 8, False)  # type: ignore[attr-defined]
    assert any("parametrizations" in name for name in load_file(alone / "discriminator.safetensors"))


@pytest.mark.filterwarnings("ignore:a search of")
def test_its_student_by_dmad(alone: Path, features: Path, tmp_path: Path, quick_export: None) -> None:
    run = tmp_path / "student"
    words = ["--task", "unconditional", "--method", "dmad", "--objective", "coattention", "--budget", "2x"]
    more = ("--features", features, "evaluation.generated=9", "search.steps=8")
    command("compress", alone / "generator.safetensors", *flags("--out", run, *words, *SMALL, *more))
    result, student = read(run), load_artifact(run / "student.safetensors").model
    assert result["student"]["macs"] == CostModel(student, 32)().macs <= result["budget"]["limit"]
    likeness = ["psnr_to_teacher", "ssim_to_teacher"]
    assert named(result["student"]["quality"]) == sorted(["frechet", "kernel", "precision", "recall", *likeness])
    assert named(result["teacher"]["quality"]) == ["frechet", "kernel", "precision", "recall"]
    assert result["teacher"]["quality"] == read(alone)["generator"]["quality"]  # of the same numbers
    assert result["notes"] == []
    assert losses(run, "recover") == {"G/gan", "G/l1", "G/coattention", "D/d_adv"}
    assert images(run) == {"teacher", "student"}
    assert sorted(path.name for path in (run / "images").iterdir())[0] == "000_student.png"


def test_a_teacher_in_styles(stylist: Path) -> None:
    assert (read(stylist, "config.json")["arch"], read(stylist, "config.json")["training"]["decay"]) == ("munit", "halving")
    assert losses(stylist, "train") == {"G/gan", "G/l1", "G/style", "G/content", "D/d_adv"}
    for side in "AB":
        assert spec_of(load_artifact(stylist / f"generator_{side}.safetensors").model).name == "munit"
        assert spec_of(load_artifact(stylist / f"discriminator_{side}.safetensors").model).name == "ms-image"
    assert images(stylist) == {"input", "image", "image-style2", "image-style3"}


def test_its_student_by_gan_compression(stylist: Path, features: Path, tmp_path: Path, quick_export: None) -> None:
    """The fast pipeline: a supernet, a search on kernel distances, the recovery; and a page that shows all styles."""
    run = tmp_path / "student"
    words = ["--task", "multimodal", "--method", "gan-compression", "--budget", "2x", "--features", features]
    options = ["method_options.candidates=4", "method_options.images=4", "method_options.fitness=kernel"]
    command("compress", stylist / "generator_A.safetensors", *flags("--out", run, *words, *SMALL, *options, "data.limit=8"))
    result, student = read(run), load_artifact(run / "student.safetensors").model
    assert result["student"]["macs"] == CostModel(student, 32)().macs <= result["budget"]["limit"]
    assert named(result["student"]["quality"]) == ["frechet", "kernel", "psnr_to_teacher", "ssim_to_teacher"]
    assert set(named(result["input"]["quality"])) >= {"frechet", "kernel"}
    assert losses(run, "search") == losses(run, "recover") | {"G/style"}
    assert losses(run, "recover") >= {"G/gan", "G/l1", "G/style", "D/d_adv"}
    candidates = [json.loads(line) for line in (run / "candidates.jsonl").read_text().splitlines()]
    assert len(candidates) == 4
    assert all(line["cost"]["macs"] <= result["budget"]["limit"] for line in candidates)
    roles = {f"{name}{style}" for name in ("teacher", "student") for style in ("", "-style2", "-style3")}
    assert images(run) == {"input", *roles}
    page = (run / "report.html").read_text()
    assert all(f'alt="{name}, style {number}"' in page for name in ("teacher", "student") for number in (2, 3))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--task", "unconditional", "--arch", "resnet"],
            "task=unconditional: the generator reads images alone; take task=",
        ),
        (["--task", "paired", "--data", "shapes", "--arch", "munit"], "task=paired: the generator reads style as latents"),
        (["--task", "labels", "--data", "shapes", "--arch", "sagan"], "reads input as latents; take task=unconditional"),
        (["--task", "multimodal", 'arch_options={"style_encoder":false}'], "the generator has no style encoder"),
        (["--task", "unconditional", "--size", "48"], "sagan size=48: allowed are powers of two from 32"),
        (["--task", "unconditional", 'arch_options={"size":64}'], "this network knows images of 64x64 only; take size=64"),
        (
            ["--task", "unconditional", "evaluation.generated=1"],
            "generated=1: the least that a distance can be measured on is 2",
        ),
        (["--task", "unconditional", 'latents={"mixing":2}'], "mixing=2.0: a fraction from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_told_before_a_teacher_is_trained(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = SMALL if "--data" not in words else SMALL[: SMALL.index("--data")]
    assert main(["train", *flags("--out", tmp_path / "run", *start, "perceptual=none", *words)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "size", "said"),
    [
        ("paired", "32", "task=paired: the generator reads input as latents; take task=unconditional"),
        ("multimodal", "32", "task=multimodal: the generator reads input as latents; take task=unconditional"),
        ("unconditional", "64", "size=64: this network knows images of 32x32 only; take size=32"),
    ],
)
def test_what_does_not_fit_is_told_before_a_student_is_cut(
    alone: Path, task: str, size: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "shapes", "--task", task, "--size", size, "--budget", "2x", "--out", str(tmp_path / "run")]
    assert main(["compress", str(alone / "generator.safetensors"), *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_no_mean_runs_along_what_changes_its_widths_or_is_masked() -> None:
    teacher = stylegan2(8, channel_max=4, latent=4, style=4, mapping=1).build()
    student, masked = copy.deepcopy(teacher), copy.deepcopy(teacher)
    add_gates_(masked)
    defaults = TASKS["unconditional"].defaults_for("stylegan2").latents
    assert latents_for(defaults, student) == defaults
    for changing in (Elastic(student), masked):
        assert latents_for(defaults, changing) == replace(defaults, average=0.0)
