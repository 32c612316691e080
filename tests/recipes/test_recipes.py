"""Every recipe is complete: it builds, costs what it says, and runs at toy size."""

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.config import from_json, override, to_json
from pocketgan.core.spec import MODELS
from pocketgan.export import Exported
from pocketgan.metrics.cost import CostModel
from pocketgan.models import resnet
from pocketgan.pipeline import compress as stages
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.recipes import RECIPES, published
from pocketgan.recipes.base import cook
from pocketgan.recipes.quickstart import quickstart

TEACHERS = [name for name, recipe in RECIPES.items() if isinstance(recipe(), TrainConfig)]
COSTS = {
    "maps-teacher": (11_378_179, 49.55e9, 56.80e9),
    "edges2shoes-teacher": (11_378_179, 49.55e9, 56.80e9),
    "horse2zebra-teacher": (11_378_179, 49.55e9, 56.80e9),
    "facades-teacher": (54_413_955, 6.05e9, 18.14e9),
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
    generator = MODELS[config.arch](**config.arch_options).build(device="meta")
    cost = CostModel(generator, config.data.size)()
    params, macs, macs_paper = COSTS[name]
    assert cost.params == params
    assert cost.macs == pytest.approx(macs, rel=1e-3)
    assert cost.macs_paper == pytest.approx(macs_paper, rel=1e-3)
    channels = 6 if config.task == "paired" else 3
    critic = MODELS[config.discriminator](in_channels=channels, **config.discriminator_options).build(device="meta")
    CostModel(critic, config.data.size)  # takes images of that size
    assert config.data.size % generator.stride == 0


def test_the_figures_of_the_header_are_these() -> None:
    assert "11.38 M parameters, 49.55 G exact MACs (published as 56.8 G)" in published.__doc__


TOY = ("data.size=32", "data.limit=4", "data.workers=0", 'judge.runtimes=["torch"]', "judge.repeats=1", "judge.pictures=1")


def toy(config: TrainConfig | CompressConfig, *fields: str) -> TrainConfig | CompressConfig:
    """The same recipe with built-in data, few steps and few channels."""
    data = "textures" if config.task == "unpaired" else "shapes"
    common = (f"data.path={data}", "data.load_size=null", "fit.epochs=null", "fit.steps=2", "fit.batch=2", "device=cpu")
    return override(config, [*TOY, *common, *fields])


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_runs_at_toy_size(name: str, tmp_path: Path) -> None:
    config = RECIPES[name]()
    depth = ("arch_options.depth=4",) if config.arch == "unet" else ("arch_options.blocks=1",)
    cook(toy(config, "arch_options.ngf=4", "discriminator_options.ndf=4", *depth), tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 2
    assert log[-1]["lr"] == pytest.approx(config.fit.lr * min(1, 0.5 / (1 - config.fit.decay_start)))
    assert (tmp_path / "run" / "result.json").exists()


@pytest.fixture
def quick_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes seconds and is tested elsewhere."""

    def export(generator: torch.nn.Module, path: Path, *, size: int) -> Exported:
        path.write_bytes(b"onnx")
        return Exported(path, "onnx", 4, None)

    monkeypatch.setattr(stages, "export_onnx", export)


def test_a_student_runs_at_toy_size(tmp_path: Path, quick_export: None) -> None:
    save_artifact(tmp_path / "teacher.safetensors", resnet(8, blocks=1).build(), size=32)
    config = replace(RECIPES["quickstart-student"](), teacher=str(tmp_path / "teacher.safetensors"), budget="4x")
    cook(toy(config), tmp_path / "run")
    assert load_artifact(tmp_path / "run" / "student.safetensors").provenance["method"] == config.method


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
