"""Every recipe is complete: it builds, costs what it says, and runs at toy size."""

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from toys import tiny_networks, toy

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.config import from_json, to_json
from pocketgan.core.spec import MODELS
from pocketgan.data.config import has_pairs
from pocketgan.metrics.cost import CostModel
from pocketgan.models import resnet
from pocketgan.models.spectral import plain
from pocketgan.pipeline.common import check_size, check_stride, make_discriminator
from pocketgan.pipeline.config import TrainConfig
from pocketgan.recipes import RECIPES, published
from pocketgan.recipes.base import run_recipe
from pocketgan.recipes.quickstart import quickstart
from pocketgan.tasks import TASKS

TEACHERS = [name for name, recipe in RECIPES.items() if isinstance(recipe(), TrainConfig)]
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


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_one_line_and_json_both_ways(name: str) -> None:
    config = RECIPES[name]()
    assert 20 < len(inspect.getdoc(RECIPES[name]).splitlines()[0]) < 120
    assert from_json(type(config), json.loads(json.dumps(to_json(config)))) == config
    assert re.search(r"^pocketgan ", inspect.getmodule(RECIPES[name]).__doc__, re.MULTILINE)  # the command


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_builds_and_costs_what_is_stated(name: str) -> None:
    config = RECIPES[name]()
    labels = {"cityscapes": 36, "coco-stuff": 184}.get(config.data.classes)  # with edges of instances
    options = config.arch_options if labels is None else {**config.arch_options, "in_channels": labels}
    if config.task == "unconditional":
        options = {**options, "size": config.data.size}
    generator = plain(MODELS[config.arch](**options)).build(device="meta")
    cost = CostModel(generator, config.data.shape)()
    params, macs, macs_paper = COSTS[name]
    assert cost.params == params
    assert cost.macs == pytest.approx(macs, rel=1e-3)
    assert cost.macs_paper == pytest.approx(macs_paper, rel=1e-3)
    channels = 3 + ((labels or 3) if has_pairs(config.task) else 0)
    name = config.discriminator or TASKS[config.task].defaults_for(config.arch).discriminator
    discriminator = make_discriminator(name, config.discriminator_options, channels, config.data.shape)
    check_size("discriminator", discriminator, config.data.shape)
    check_stride(generator, config.data.shape)


@pytest.mark.parametrize("figures", [RESNET, MOBILE, UNET])
def test_the_figures_of_the_header_are_these(figures: tuple[int, float, float]) -> None:
    params, macs, macs_paper = figures
    assert f"| {params / 1e6:.2f} | {macs / 1e9:.2f} | {macs_paper / 1e9:.2f} |" in published.__doc__


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_runs_at_toy_size(name: str, tmp_path: Path) -> None:
    config = RECIPES[name]()
    run_recipe(toy(config, *tiny_networks(config.arch)), tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 2
    decaying = 1 - config.training.decay_start
    assert log[-1]["lr"] == pytest.approx(config.training.lr * (0.5 / decaying if decaying > 0.5 else 1))
    assert (tmp_path / "run" / "result.json").exists()


def test_a_student_runs_at_toy_size(tmp_path: Path, quick_export: None) -> None:
    save_artifact(tmp_path / "teacher.safetensors", resnet(8, blocks=1).build(), size=32)
    config = replace(RECIPES["quickstart-student"](), teacher=str(tmp_path / "teacher.safetensors"), budget="4x")
    run_recipe(toy(config), tmp_path / "run", last="prune")
    assert not (tmp_path / "run" / "student.safetensors").exists()
    run_recipe(toy(config), tmp_path / "run", first="recover")
    assert load_artifact(tmp_path / "run" / "student.safetensors").provenance["method"] == config.method
    with pytest.raises(ValueError, match=r"--from and --to are for the recipes of a compression: this one has no stages"):
        run_recipe(toy(RECIPES["maps-teacher"]()), tmp_path / "other", last="prune")


def test_quickstart_is_its_two_recipes_and_resumes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_export: None
) -> None:
    from pocketgan.recipes import quickstart as module

    small = "arch_options.ngf=8", "arch_options.depth=4", "discriminator_options.ndf=4"
    first, second = toy(module.teacher(), *small), toy(module.student(), "budget=3x")
    monkeypatch.setattr(module, "teacher", lambda: first)
    monkeypatch.setattr(module, "student", lambda: second)
    done = quickstart(tmp_path)
    assert done.path == tmp_path / "student"
    assert done.result["teacher"]["macs"] >= 3 * done.result["student"]["macs"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(before) == 5
    quickstart(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == before
