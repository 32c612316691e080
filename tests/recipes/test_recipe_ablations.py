"""Ablations of DMAD: variants, their settings, a comparison of two of them at toy size."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from toys import SHORT, SMALL, save_teacher

from pocketgan.cli import main
from pocketgan.core.config import to_json
from pocketgan.methods import make_method
from pocketgan.pipeline.compare import plan
from pocketgan.pipeline.config import CompressConfig
from pocketgan.recipes import RECIPES, dmad_ablations
from pocketgan.training.objectives import check_objectives
from pocketgan.utils.files import read_json

NAME = "dmad-ablations"
TWO = ("scratch", "layers 3")


@pytest.fixture(scope="module")
def runs() -> dict[str, CompressConfig]:
    """Planned runs of the recipe."""
    return plan(RECIPES[NAME]())


def test_every_variant_is_a_different_run(runs: dict[str, CompressConfig]) -> None:
    assert len(runs) == len(dmad_ablations.VARIANTS) == 19
    assert len({json.dumps(to_json(replace(settings, variant=""))) for settings in runs.values()}) == len(runs)
    for name, settings in runs.items():
        assert re.fullmatch(r"dmad-10x-[\w-]+-s0", name)
        make_method(settings.method, settings.method_options)
        check_objectives(settings.objective, settings.objective_options)
        assert settings.search_objective == "output+features"
        assert settings.recovery.weights == settings.search.weights == {"l1": 10.0}


def test_the_tables_of_the_paper_are_the_variants(runs: dict[str, CompressConfig]) -> None:
    runs = {settings.variant: settings for settings in runs.values()}
    assert runs["default"].method_options == {}
    assert runs["linear mask"].method_options == {"mask": "linear"}  # II
    assert [runs[f"group rule {rule}"].method_options for rule in ("off", "paper")] == [
        {"group_rule": "off"},
        {"group_rule": "paper"},
    ]  # III
    components = ("scratch", "finetune", "generator attention", "co-attention", "discriminator features", "all")  # IV
    objectives = ["none", "none", "attention", "coattention", "discriminator", "coattention+discriminator"]
    assert [runs[name].objective for name in components] == objectives
    assert [runs[name].weights for name in components] == ["fresh", *["inherit"] * 5]
    options = {name: runs[name].objective_options.get("coattention", {}) for name in runs}
    assert [options[name] for name in ("all", "product", "convolution")] == [{}, {"fusion": "product"}, {"fusion": "conv"}]  # V
    discriminators = {count: options[f"layers {count}"]["discriminator_layers"] for count in (2, 3, 4)}  # VI
    assert all(len(layers) == count for count, layers in discriminators.items())
    assert set(discriminators[2]) < set(discriminators[3]) < set(discriminators[4]) == {"conv1", "conv2", "conv3", "conv4"}
    assert [runs[f"ndf {n}"].discriminator_options for n in (128, 64, 32, 16)] == [{"ndf": n} for n in (128, 64, 32, 16)]  # VII
    for name in runs:
        assert f"`{name}`" in dmad_ablations.__doc__


def small_run(out: Path, *more: str) -> list[str]:
    """Arguments of the command, with two of the variants at toy size."""
    trainings = (f"{training}.{field}" for training in ("recovery", "search") for field in SHORT)
    base = [*SMALL, "data.path=shapes", *trainings]
    two = json.dumps({name: dmad_ablations.VARIANTS[name] for name in TWO})
    fields = [*(f"base.{field}" for field in base), f"variants={two}", 'budgets=["3x"]']
    return ["recipes", NAME, "--out", str(out), *more, *fields]


@pytest.mark.filterwarnings("ignore:a search of 2 steps")
def test_the_comparison_runs_with_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_teacher(RECIPES[NAME]().base, RECIPES["maps-teacher"]())
    out = tmp_path / "run"
    assert main(small_run(out, "--seed", "5")) == 0, capsys.readouterr().err
    runs = [out / f"dmad-3x-{name}-s5" for name in ("scratch", "layers-3")]
    assert sorted(path for path in out.iterdir() if path.is_dir()) == sorted(runs)
    results = [read_json(run / "result.json") for run in runs]
    assert [(result["variant"], result["seed"]) for result in results] == [(name, 5) for name in TWO]
    assert results[0]["widths"] == results[1]["widths"]  # one search, different recoveries
    assert (out / "report.html").exists()


@pytest.mark.filterwarnings("ignore:a search of 2 steps")
def test_failed_runs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    save_teacher(RECIPES[NAME]().base, RECIPES["maps-teacher"]())
    assert main([*small_run(tmp_path / "run"), 'budgets=["5000x"]']) == 2
    error = capsys.readouterr().err
    assert "2 of 2 runs failed" in error
    assert "below the floor" in error
