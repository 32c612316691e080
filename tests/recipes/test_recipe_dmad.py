"""DMAD's recipes: budgets of the header, settings as published, the command of the header."""

import json
import re
import shlex
from pathlib import Path

import pytest
from toys import cost_of, spec_of_teacher, teacher_of

from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from pocketgan.core.config import to_json
from pocketgan.models import resnet
from pocketgan.pruning.allocation import floor_widths
from pocketgan.pruning.budget import check_floor, parse_budget
from pocketgan.recipes import RECIPES, dmad

HEADER = dmad.__doc__
NAMES = ("horse2zebra", "zebra2horse", "summer2winter", "winter2summer", "edges2shoes", "cityscapes")
STUDENTS = [f"dmad-{name}{kind}" for name in NAMES for kind in ("", "-mobile")]


def test_the_recipes_are_the_rows_of_the_header() -> None:
    rows = dict(re.findall(r"^\| (dmad-[\w-]+) \| ([\d.]+)", HEADER, re.MULTILINE))
    assert rows == {name: RECIPES[name]().budget.removesuffix("Gpaper") for name in STUDENTS}
    assert list(rows) == [name for name in RECIPES if name in rows]


@pytest.mark.parametrize("name", STUDENTS)
def test_the_published_budget_lies_between_floor_and_teacher(name: str) -> None:
    teacher = teacher_of(RECIPES[name]())
    assert ("mobile" in name) == (teacher.arch == "mobile-resnet")
    spec = spec_of_teacher(teacher)
    cost = cost_of(spec, teacher.data.shape)
    budget = parse_budget(RECIPES[name]().budget, cost())  # refuses a budget that the teacher meets
    assert budget.kind == "macs_paper"
    check_floor(budget, cost, floor_widths(spec.build(device="meta"), removing=False))  # the method keeps a part of every group
    stated = re.search(r"(ResNet-9|U-Net-256) to ([\d.]+) G", RECIPES[name].__doc__)
    assert float(stated[2]) * 1e9 == budget.limit
    assert (stated[1] == "U-Net-256") == (teacher.arch == "unet")


@pytest.mark.parametrize("name", STUDENTS)
def test_the_schedule_is_the_published_one(name: str) -> None:
    config = RECIPES[name]()
    assert config.method == "dmad"
    assert config.recovery == config.search
    training, paired = config.recovery, config.task == "paired"
    assert (training.epochs, training.lr, training.betas, training.decay, training.decay_start) == (
        200,
        2e-4,
        (0.5, 0.999),
        "linear",
        0.5,
    )
    assert training.batch == (4 if name == "dmad-edges2shoes" else 1)
    assert training.weights == {"l1": 100.0 if paired else 10.0}
    assert config.gan == ("hinge" if paired else "lsgan")
    assert (config.data.load_size, config.data.flip) == ((None, False) if paired else (286, True))
    if paired:
        expected = {"ndf": 128, "norm": "instance" if "mobile" in name else "batch"}
        assert teacher_of(config).discriminator_options == expected
        assert teacher_of(config).training == training


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
