"""DMAD's recipes: the budgets of the header, teachers that a recipe makes, settings as published, runs of every kind."""

import json
import re
import shlex
from pathlib import Path

import pytest
from toys import save_teacher, toy

from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.config import to_json
from pocketgan.core.spec import MODELS
from pocketgan.metrics.cost import CostModel
from pocketgan.models import resnet
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pruning.budget import check_floor, parse_budget
from pocketgan.pruning.fit_budget import floor_widths
from pocketgan.recipes import RECIPES, dmad
from pocketgan.recipes.base import run_recipe
from pocketgan.utils.files import read_json

HEADER = dmad.__doc__
NAMES = ("horse2zebra", "zebra2horse", "summer2winter", "winter2summer", "edges2shoes", "cityscapes")
KINDS = {"dmad-zebra2horse": "resnet", "dmad-cityscapes": "unet", "dmad-horse2zebra-mobile": "mobile-resnet"}
STUDENTS = [f"dmad-{name}{kind}" for name in NAMES for kind in ("", "-mobile")]


def teacher_of(config: CompressConfig) -> TrainConfig:
    """The recipe that makes the teacher of this one, by the place of its file."""
    place = Path(config.teacher)
    assert place.parts[0] == "runs"
    return RECIPES[f"{place.parts[1]}-teacher"]()


def test_the_recipes_are_the_rows_of_the_header() -> None:
    rows = dict(re.findall(r"^\| (dmad-[\w-]+) \| ([\d.]+)", HEADER, re.MULTILINE))
    assert rows == {name: RECIPES[name]().budget.removesuffix("Gpaper") for name in STUDENTS}
    assert list(rows) == [name for name in RECIPES if name in rows]


@pytest.mark.parametrize("name", STUDENTS)
def test_the_published_budget_lies_between_floor_and_teacher(name: str) -> None:
    teacher = teacher_of(RECIPES[name]())
    generator = MODELS[teacher.arch](**teacher.arch_options).build(device="meta")
    cost = CostModel(generator, teacher.data.size)
    budget = parse_budget(RECIPES[name]().budget, cost())  # refuses what the teacher meets already
    assert budget.kind == "macs_paper"
    check_floor(budget, cost, floor_widths(generator, removing=False))  # the method keeps a part of every group
    stated = re.search(r"(ResNet-9|U-Net-256) to ([\d.]+) G", RECIPES[name].__doc__)
    assert float(stated[2]) * 1e9 == budget.limit
    assert (stated[1] == "U-Net-256") == (teacher.arch == "unet")


@pytest.mark.parametrize("name", STUDENTS)
def test_teacher_and_student_know_the_same_data(name: str) -> None:
    config, teacher = RECIPES[name](), teacher_of(RECIPES[name]())
    assert (config.data.path, config.task, config.data.size) == (teacher.data.path, teacher.task, teacher.data.size)
    assert (config.data.load_size, config.data.flip) == (teacher.data.load_size, teacher.data.flip)
    assert ("mobile" in name) == (teacher.arch == "mobile-resnet")
    if config.task == "paired":
        assert Path(config.teacher).name == "generator.safetensors"
        assert config.data.direction == teacher.data.direction
    else:
        there = config.data.direction == teacher.data.direction
        assert Path(config.teacher).name == f"generator_{'A' if there else 'B'}.safetensors"
        assert there == (name.split("-")[1] in ("horse2zebra", "summer2winter"))


@pytest.mark.parametrize("name", STUDENTS)
def test_the_schedule_is_the_published_one(name: str) -> None:
    config = RECIPES[name]()
    assert config.method == "dmad"
    assert config.recovery == config.search
    fit, paired = config.recovery, config.task == "paired"
    assert (fit.epochs, fit.lr, fit.betas, fit.decay, fit.decay_start) == (200, 2e-4, (0.5, 0.999), "linear", 0.5)
    assert fit.batch == (4 if name == "dmad-edges2shoes" else 1)
    assert fit.weights == {"l1": 100.0 if paired else 10.0}
    assert config.gan == ("hinge" if paired else "lsgan")
    assert (config.data.load_size, config.data.flip) == ((None, False) if paired else (286, True))
    if paired:
        expected = {"ndf": 128, "norm": "instance" if "mobile" in name else "batch"}
        assert teacher_of(config).discriminator_options == expected
        assert teacher_of(config).training == fit


@pytest.mark.filterwarnings("ignore:a search of 10 steps")
@pytest.mark.parametrize(("name", "arch"), KINDS.items())
def test_a_student_of_each_kind_runs_at_toy_size(
    name: str, arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_export: None
) -> None:
    monkeypatch.chdir(tmp_path)
    config = RECIPES[name]()
    paired = config.task == "paired"
    save_teacher(Path(config.teacher), arch, paired=paired, norm="batch" if arch == "unet" else "instance")
    run_recipe(toy(config, "budget=3x", "search.steps=10"), tmp_path / "run")
    student = load_artifact(tmp_path / "run" / "student.safetensors")
    assert student.provenance["method"] == "dmad"
    assert student.provenance["teacher"] == config.teacher
    result = read_json(tmp_path / "run" / "result.json")
    assert result["student"]["macs"] * 3 <= result["teacher"]["macs"]
    assert not any("discriminator" in note for note in result["notes"])  # the one beside the teacher was found


def test_the_headers_command_of_the_preset_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = re.findall(r"^pocketgan (compress .*)$", HEADER, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    file = Path("runs/horse2zebra/generator_A.safetensors")
    file.parent.mkdir(parents=True)
    save_artifact(file, resnet(8, blocks=1).build(), size=256)
    assert main([*shlex.split(line), "--dry-run"]) == 0
    printed, recipe = json.loads(capsys.readouterr().out), to_json(RECIPES["dmad-horse2zebra"]())
    assert printed["two_way"] is True
    assert printed["budget_back"] == RECIPES["dmad-zebra2horse"]().budget
    assert all(printed[field] == recipe[field] for field in ("teacher", "data", "budget", "task", "method"))
    assert printed["recovery"]["weights"].items() >= recipe["recovery"]["weights"].items()
    assert all(printed["recovery"][field] == recipe["recovery"][field] for field in ("epochs", "batch", "lr"))
