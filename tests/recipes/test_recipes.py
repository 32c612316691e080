"""All recipes: complete, consistent with their teachers, of the stated costs; one run of each kind at toy size."""

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import cost_of, save_teacher, spec_of_teacher, teacher_of, toy

from pocketgan.core.artifact import load_artifact
from pocketgan.core.config import from_json, to_json
from pocketgan.core.tasks import traits_of
from pocketgan.methods import make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.common import check_size, check_stride, make_discriminator
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.stages import StageName
from pocketgan.pruning.budget import parse_budget
from pocketgan.recipes import RECIPES, published
from pocketgan.recipes import quickstart as quickstart_module
from pocketgan.recipes.base import run_recipe
from pocketgan.recipes.quickstart import quickstart
from pocketgan.tasks import TASKS
from pocketgan.training.objectives import check_objectives
from pocketgan.utils.files import read_json

TEACHERS = [name for name, recipe in RECIPES.items() if isinstance(recipe(), TrainConfig)]
STUDENTS = [
    name for name, recipe in RECIPES.items() if isinstance(recipe(), CompressConfig) and not name.startswith("quickstart")
]
RESNET, MOBILE, UNET = (11_378_179, 49.55e9, 56.83e9), (1_987_075, 11.07e9, 18.37e9), (54_413_955, 6.05e9, 18.14e9)
COSTS = {
    **{f"{name}-teacher": RESNET for name in ("maps", "edges2shoes", "cityscapes", "horse2zebra", "summer2winter")},
    **{f"{name}-mobile-teacher": MOBILE for name in ("horse2zebra", "summer2winter", "edges2shoes", "cityscapes")},
    "horse2zebra-inception-teacher": (8_154_255, 36.24e9, 43.53e9),
    **{f"{name}-inception-teacher": (8_136_389, 36.24e9, 43.53e9) for name in ("zebra2horse", "maps", "cityscapes")},
    "gaugan-cityscapes-inception-teacher": (55_592_325, 109.77e9, 109.89e9),
    "gaugan-cityscapes-teacher": (93_048_003, 281.28e9, 281.36e9),
    "gaugan-coco-teacher": (97_480_899, 191.14e9, 191.18e9),
    **dict.fromkeys(("facades-teacher", "edges2shoes-unet-teacher", "cityscapes-unet-teacher"), UNET),
    **dict.fromkeys(("celeba-teacher", "cats64-teacher"), (3_832_885, 200.28e6, 527.56e6)),
    "cifar10-teacher": (19_947_539, 4.0197e9, 6.6692e9),
    "edges2shoes-munit-teacher": (15_026_187, 77.28e9, 77.31e9),
    "quickstart-teacher": (7_314_755, 94.9e6, 283.7e6),
}
"""Parameters, exact and paper MACs at the recipe's size."""
REVERSED = {"cat-zebra2horse", *(f"dmad-{name}{kind}" for name in ("zebra2horse", "winter2summer") for kind in ("", "-mobile"))}
"""Students of a CycleGAN that are compressed from its generator_B."""


@pytest.mark.parametrize("name", RECIPES)
def test_summary_json_and_command(name: str) -> None:
    config = RECIPES[name]()
    assert 20 < len(inspect.getdoc(RECIPES[name]).splitlines()[0]) < 120
    assert from_json(type(config), json.loads(json.dumps(to_json(config)))) == config
    assert re.search(r"^pocketgan ", inspect.getmodule(RECIPES[name]).__doc__, re.MULTILINE)


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_builds_and_costs_what_is_stated(name: str) -> None:
    config = RECIPES[name]()
    spec, shape = spec_of_teacher(config), config.data.shape
    cost = cost_of(spec, shape)()
    params, macs, macs_paper = COSTS[name]
    assert cost.params == params
    assert cost.macs == pytest.approx(macs, rel=1e-3)
    assert cost.macs_paper == pytest.approx(macs_paper, rel=1e-3)
    generator = spec.build(device="meta")
    check_stride(generator, shape)
    channels = 3
    if traits_of(config.task).has_pairs:
        channels += 36 if config.data.classes == "cityscapes" else generator.in_channels
    discriminator = config.discriminator or TASKS[config.task].defaults_for(config.arch).discriminator
    with torch.device("meta"):
        check_size("discriminator", make_discriminator(discriminator, config.discriminator_options, channels, shape), shape)


@pytest.mark.parametrize("figures", [RESNET, MOBILE, UNET])
def test_the_figures_of_the_header(figures: tuple[int, float, float]) -> None:
    params, macs, macs_paper = figures
    assert f"| {params / 1e6:.2f} | {macs / 1e9:.2f} | {macs_paper / 1e9:.2f} |" in published.__doc__


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_has_its_teachers_data_and_a_budget_below_it(name: str) -> None:
    config, teacher = RECIPES[name](), teacher_of(RECIPES[name]())
    assert config.task == teacher.task
    assert config.latents == teacher.latents
    if name in REVERSED:
        assert (config.data.direction, teacher.data.direction) == ("BtoA", "AtoB")
    assert config.data == replace(teacher.data, direction=config.data.direction)
    assert (config.data.direction == teacher.data.direction) == (name not in REVERSED)
    suffix = "_B" if name in REVERSED else "_A" if config.task in ("unpaired", "multimodal") else ""
    assert Path(config.teacher).name == f"generator{suffix}.safetensors"
    cost = cost_of(spec_of_teacher(teacher), config.data.shape)()
    assert parse_budget(config.budget, cost).limit > 0  # refuses a budget that the teacher meets
    make_method(config.method, config.method_options)
    check_objectives(config.objective, config.objective_options)


def test_a_teacher_is_trained_at_toy_size(tmp_path: Path) -> None:
    config = RECIPES["maps-teacher"]()
    assert config.training.decay_start == pytest.approx(1 / 3)
    run_recipe(toy(config, "arch_options.ngf=8", "arch_options.blocks=2", "discriminator_options.ndf=4"), tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 2
    assert log[-1]["lr"] == pytest.approx(2e-4 * (1 - 1 / 2) / (1 - 1 / 3))  # half of the steps are done
    assert (tmp_path / "run" / "result.json").exists()


@pytest.mark.filterwarnings("ignore:a search of 4 steps")
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("cat-horse2zebra", ("budget=3x",)),  # unpaired, without a search
        ("dmad-cityscapes", ("budget=3x", "search.steps=4")),  # paired, with a search
        ("dmad-celeba-4x", ("search.steps=4", "evaluation.generated=2")),  # from latents
        (
            "gan-compression-gaugan-cityscapes-fast",  # label maps, with a supernet
            (
                *("budget=4x", "method_options.images=2", "method_options.candidates=2", "method_options.fitness=teacher"),
                *("method_options.space=parts", "discriminator_options.ndf=4"),
            ),
        ),
    ],
)
def test_a_student_of_each_kind_is_made_at_toy_size(
    name: str, fields: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full pipeline is run in ``test_recipe_gan_compression.py``."""
    monkeypatch.chdir(tmp_path)
    config = RECIPES[name]()
    save_teacher(config)
    run, small = tmp_path / "run", toy(config, *fields)
    first: StageName | None = None
    last: StageName = "recover" if config.task == "labels" else "report"
    if name == "cat-horse2zebra":
        run_recipe(small, run, last="prune")
        assert not (run / "student.safetensors").exists()
        first = "recover"
    run_recipe(small, run, first=first, last=last)
    provenance = load_artifact(run / "student.safetensors").provenance
    assert (provenance["method"], provenance["teacher"]) == (config.method, config.teacher)
    before, after = (
        CostModel(load_artifact(file).model, small.data.shape)().macs
        for file in (Path(config.teacher), run / "student.safetensors")
    )
    assert after * float(small.budget.removesuffix("x")) <= before
    if last == "recover":
        return
    result = read_json(run / "result.json")
    assert (result["teacher"]["macs"], result["student"]["macs"]) == (before, after)
    assert not any("discriminator" in note for note in result["notes"])  # the one beside the teacher was loaded


def test_stages_are_refused_for_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--from and --to are for the recipes of a compression: this one has no stages"):
        run_recipe(RECIPES["maps-teacher"](), tmp_path / "run", last="prune")


def test_quickstart_is_its_two_recipes_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = "arch_options.ngf=8", "arch_options.depth=4", "discriminator_options.ndf=4"
    first, second = toy(quickstart_module.teacher(), *small), toy(quickstart_module.student(), "budget=3x")
    monkeypatch.setattr(quickstart_module, "teacher", lambda: first)
    monkeypatch.setattr(quickstart_module, "student", lambda: second)
    done = quickstart(tmp_path)
    assert done.path == tmp_path / "student"
    assert done.result["teacher"]["macs"] >= 3 * done.result["student"]["macs"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(before) == 5
    quickstart(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == before
