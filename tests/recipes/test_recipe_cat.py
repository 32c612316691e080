"""CAT's recipes: budgets and weights of the scripts, teachers that a recipe makes, runs of every kind."""

import re
from pathlib import Path

import pytest
import torch
from toys import save_teacher, toy

from pocketgan.core.artifact import load_artifact
from pocketgan.core.spec import MODELS
from pocketgan.methods import MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pruning.budget import parse_budget
from pocketgan.recipes import RECIPES, cat
from pocketgan.recipes.base import run_recipe
from pocketgan.utils.files import read_json

HEADER = cat.__doc__
ROWS = dict(re.findall(r"^\| (cat-[\w-]+) \| ([\d.]+) \|", HEADER, re.MULTILINE))

# The released scripts: epochs at the full rate and of its decay, weight of the alignment, of L1 (teacher, student), norm.
SCRIPTS = {
    "cat-horse2zebra": ((500, 500), 1.0, (None, 5.0), "instance_affine"),
    "cat-zebra2horse": ((500, 500), 0.1, (None, 5.0), "batch"),
    "cat-maps": ((500, 1000), 1.3, (10.0, 100.0), "batch"),
    "cat-cityscapes": ((500, 750), 0.5, (100.0, 100.0), "batch"),
}
PAINTERS = ["cat-gaugan-cityscapes", "cat-gaugan-cityscapes-small"]


def teacher_of(config: CompressConfig) -> TrainConfig:
    """The recipe that makes the teacher of this one, by the place of its file."""
    runs, name, _ = Path(config.teacher).parts
    assert runs == "runs"
    return RECIPES[f"{name}-teacher"]()


def test_the_recipes_are_the_rows_of_the_header() -> None:
    assert {name: RECIPES[name]().budget.removesuffix("Gpaper") for name in (*SCRIPTS, *PAINTERS)} == ROWS


def test_what_was_not_verified_is_marked() -> None:
    """Of the figures that were remembered none stands alone; those that were seen are marked so, too."""
    table = [line for line in HEADER.splitlines() if line.startswith("| cat-")]
    for line in table:
        for cell in line.strip("|").split("|")[2:]:
            assert re.search(r"\((a|b|a; [\d.]+ b)\)", cell), line
    assert "(b) As remembered, not verified" in " ".join(HEADER.split())


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_settings_are_the_published_ones(name: str) -> None:
    config, (epochs, alignment, l1, norm) = RECIPES[name](), SCRIPTS[name]
    teacher = teacher_of(config)
    for fit, batch in ((teacher.training, 32), (config.recovery, 80)):
        assert (fit.epochs, fit.batch, fit.lr, fit.betas) == (sum(epochs), batch, 2e-4, (0.5, 0.999))
        assert fit.decay_start * fit.epochs == pytest.approx(epochs[0])
    assert teacher.training.weights == ({} if l1[0] is None else {"l1": l1[0]})
    assert config.recovery.weights == {"l1": l1[1], "kernel-alignment": pytest.approx(4 * alignment)}
    assert (config.method, config.method_options, config.objective, config.weights) == ("cat", {}, "kernel-alignment", "fresh")
    assert (teacher.arch, teacher.arch_options) == ("inception", {"ngf": 64, "norm": norm})
    paired = name in ("cat-maps", "cat-cityscapes")
    assert teacher.discriminator_options == {"ndf": 128 if paired else 64, "norm": norm}
    assert config.discriminator_options is None  # the teacher's goes on
    assert config.gan == teacher.gan == ("hinge" if paired else "lsgan")
    assert config.data.direction == ("AtoB" if name == "cat-horse2zebra" else "BtoA")


@pytest.mark.parametrize("name", PAINTERS)
def test_gaugans_settings_are_the_published_ones(name: str) -> None:
    config = RECIPES[name]()
    teacher = teacher_of(config)
    for fit in (teacher.training, config.recovery):
        assert (fit.epochs, fit.batch, fit.decay_start) == (200, 16, 0.5)
        assert (fit.lr, fit.lr_discriminator, fit.betas) == (1e-4, 4e-4, (0.0, 0.9))
    assert config.recovery.weights == {"kernel-alignment": 0.5}
    assert (teacher.arch, teacher.data, teacher.task) == ("inception-spade", config.data, config.task)
    assert config.data.shape == (256, 512)


@pytest.mark.parametrize("name", SCRIPTS)
def test_teacher_and_student_know_the_same_data(name: str) -> None:
    config, teacher = RECIPES[name](), teacher_of(RECIPES[name]())
    assert (config.data.path, config.data.load_size, config.data.flip) == (teacher.data.path, 286, True)
    side = {"cat-horse2zebra": "_A", "cat-zebra2horse": "_B"}.get(name, "")
    assert Path(config.teacher).name == f"generator{side}.safetensors"
    assert teacher.data.direction == ("AtoB" if side else "BtoA")


@pytest.mark.parametrize("name", ["cat-horse2zebra", *PAINTERS])
def test_a_fresh_teacher_is_cut_to_the_budget(name: str) -> None:
    """At the true size; the trunk of SPADE and all that goes with it keep their proportions, and the scripts' least width."""
    config = RECIPES[name]()
    teacher = teacher_of(config)
    model = MODELS[teacher.arch](**teacher.arch_options).build()
    cost = CostModel(model, config.data.shape)
    budget = parse_budget(config.budget, cost())
    context = MethodContext(budget, cost, config.multiple, images=lambda: [torch.zeros(1, model.in_channels, 64, 64)])
    method = make_method(config.method, config.method_options)
    method.check(model, context, features=False)
    assert not method.needs_search(model)  # every group has a scale, or goes along with one
    widths = {group: len(kept) for group, kept in method.select(method.prepare(model, context), context).items()}
    assert 0.97 * budget.limit <= cost(widths).macs_paper <= budget.limit
    if name in PAINTERS:
        assert widths["trunk"] >= 256
        assert [widths["trunk"] // widths[f"up{k}"] for k in range(4)] == [2, 4, 8, 16]
    else:
        assert min(widths[group] for group in ("stem", "down1", "trunk", "up1", "up2")) >= 16


@pytest.mark.parametrize("name", ["cat-horse2zebra", "cat-zebra2horse", "cat-maps"])
def test_a_student_of_each_kind_runs_at_toy_size(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_export: None
) -> None:
    monkeypatch.chdir(tmp_path)
    config = RECIPES[name]()
    norm = teacher_of(config).arch_options["norm"]
    save_teacher(Path(config.teacher), "inception", paired=config.task == "paired", norm=norm)
    run_recipe(toy(config, "budget=3x"), tmp_path / "run")
    student = load_artifact(tmp_path / "run" / "student.safetensors")
    assert (student.provenance["method"], student.provenance["teacher"]) == ("cat", config.teacher)
    result = read_json(tmp_path / "run" / "result.json")
    assert result["student"]["macs"] * 3 <= result["teacher"]["macs"]
    assert not any("discriminator" in note for note in result["notes"])  # the one beside the teacher was found
