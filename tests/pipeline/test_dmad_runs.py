"""DMAD by the commands that users give: presets, both ways, what is said where the teacher's discriminator is missing."""

import json
from pathlib import Path

import pytest
from commands import TINY, command

from pocketgan.cli import main
from pocketgan.core.artifact import load_artifact
from pocketgan.core.spec import spec_of
from pocketgan.data.config import DataConfig
from pocketgan.metrics.cost import CostModel
from pocketgan.models import patchgan, resnet, unet
from pocketgan.pipeline.config import CompressConfig, with_preset

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.filterwarnings("ignore:a search of")]


def result_of(run: Path) -> dict:
    return json.loads((run / "result.json").read_text())


def entries(run: Path, stage: str) -> list[dict]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["stage"] == stage]


def test_a_run_with_dmad_logs_its_search_and_lands_in_the_window(teacher: Path, tmp_path: Path, quick_export: None) -> None:
    run = tmp_path / "s"
    command(
        *("compress", teacher / "generator.safetensors", "--data", "shapes", "--method", "dmad", "--budget", "3x"),
        *("--objective", "coattention+discriminator", "--out", run, *TINY, "search.steps=8", "search.log_every=2"),
    )
    facts = [entry["search"]["G"] for entry in entries(run, "search")]
    assert [set(fact) for fact in facts] == [
        {"kind", "cost", "budget", "boundary", "strength", "masks", "closed"} for _ in facts
    ]
    assert facts[-1]["cost"] <= facts[-1]["budget"]
    assert facts[-1]["boundary"] == 0
    assert all(0 <= part <= 1 for part in facts[-1]["closed"].values())
    assert len({sum(fact["masks"]) for fact in facts}) == 1  # every mask is counted
    result = result_of(run)
    assert 0.8 * result["budget"]["limit"] < result["budget"]["reached"] <= result["budget"]["limit"]
    assert result["notes"] == []
    assert set(entries(run, "recover")[-1]["losses"]) == {
        *("D/d_adv", "G/gan", "G/l1", "G/coattention", "G/discriminator"),
    }


def test_without_the_teachers_discriminator_the_objectives_say_what_they_do(
    teacher: Path, tmp_path: Path, quick_export: None
) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((teacher / "generator.safetensors").read_bytes())
    command(
        *("compress", alone, "--data", "shapes", "--budget", "3x", "--objective", "coattention+discriminator"),
        *("--out", tmp_path / "s", *TINY, 'discriminator_options={"ndf": 6, "layers": 1}', "recovery.weights.discriminator=1"),
    )
    assert result_of(tmp_path / "s")["notes"] == [
        "there is no teacher's discriminator: the objective coattention attends to the generator alone",
        "there is no teacher's discriminator: the objective discriminator is left out",
    ]
    assert "G/discriminator" not in entries(tmp_path / "s", "recover")[-1]["losses"]


def test_the_students_discriminator_may_have_another_width(teacher: Path, tmp_path: Path, quick_export: None) -> None:
    """Table VII; the teacher's still guides the objectives."""
    command(
        *("compress", teacher / "generator.safetensors", "--data", "shapes", "--budget", "3x", "--objective", "coattention"),
        *("--out", tmp_path / "s", *TINY, 'discriminator_options={"ndf": 6, "layers": 1}'),
    )
    teacher_discriminator = spec_of(load_artifact(tmp_path / "s" / "student_discriminator.safetensors").model)
    assert teacher_discriminator == patchgan(6, 1, in_channels=6)
    assert result_of(tmp_path / "s")["notes"] == []


def test_the_release_preset_searches_both_ways_and_the_way_back_goes_on(
    unpaired_teacher: Path, tmp_path: Path, quick_export: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run, budgets = tmp_path / "s", ("--budget", "4x")
    common = ("--data", "textures", "--task", "unpaired", "--method", "dmad", *TINY)
    small = ("search.steps=6", "search.weights.identity=1", "budget_back=3x", 'discriminator_options={"ndf":4,"layers":1}')
    there, back = (unpaired_teacher / f"generator_{side}.safetensors" for side in "AB")
    command("compress", there, *common, *small, *budgets, "--preset", "release", "--out", run)
    assert {name for entry in entries(run, "search") for name in entry["losses"]} >= {
        *("G/gan", "G/cycle", "G/identity", "D/d_adv"),
    }
    assert set(entries(run, "search")[-1]["search"]) == {"G_A", "G_B"}
    whole = CostModel(load_artifact(there).model, 16)().macs
    for file, ratio in (("pruned.safetensors", 4), ("back/pruned.safetensors", 3)):
        macs = CostModel(load_artifact(run / file).model, 16)().macs
        assert 0.75 * whole / ratio < macs <= whole / ratio
    selected = (run / "back" / "pruned.safetensors").read_bytes()
    command("compress", back, *common, "--direction", "BtoA", "--budget", "3x", "--out", run / "back")
    assert (run / "back" / "pruned.safetensors").read_bytes() == selected
    above = ["compress", str(back), *common, "--direction", "BtoA", "--budget", "9x", "--out", str(tmp_path / "x")]
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "pruned.safetensors").write_bytes(selected)
    assert main([str(word) for word in above]) == 2
    assert "give the budget that it was cut to" in capsys.readouterr().err
    assert spec_of(load_artifact(run / "back" / "student.safetensors").model) == spec_of(
        load_artifact(run / "back" / "pruned.safetensors").model
    )


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--task", "paired", "two_way=true"), "two_way=true: a paired task has one direction; it is for task=unpaired"),
        (("--task", "unpaired", "--method", "uniform", "two_way=true"), "two_way=true: uniform has no search"),
        (("--task", "unpaired", "--method", "dmad", "two_way=true"), "there is no generator of the other direction"),
        (("--method", "dmad", "--preset", "papper"), "no preset of dmad named 'papper'. Did you mean 'paper'?"),
        (("--method", "uniform", "--preset", "paper"), "no preset of uniform named 'paper'. There is: none"),
        (("--method", "dmad", "recovery.weights.coatention=3"), "no loss named 'coatention'"),
        (("--method", "dmad", 'method_options.polarize=["nope"]'), "no group named 'nope'"),
        (
            ("--objective", "coattention", 'objective_options.coattention.discriminator_layers=["conv9"]'),
            "no layer of the discriminator",
        ),
        (("objective_options.coatention.fusion=sum",), "no objective named 'coatention'. Did you mean 'coattention'?"),
    ],
    ids=lambda value: " ".join(value[-1:]) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_said_before_any_work(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: tuple[str, ...], message: str
) -> None:
    flags = [word for word in extra if "=" not in word]
    fields = [word for word in extra if "=" in word]
    data = "textures" if "unpaired" in extra else "shapes"
    arguments = ["compress", str(teacher / "generator.safetensors"), "--data", data, *flags, "--out", str(tmp_path / "s")]
    assert main([*arguments, *TINY, *fields]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_the_presets_are_the_differences_that_are_known() -> None:
    """Settings of the paper and of the released scripts, by task and network."""
    base = CompressConfig(teacher="t", data=DataConfig(path="shapes"), method="dmad", task="unpaired")
    cycle, net = resnet(4, 1).build(), unet(4, 5).build()
    paper = with_preset(base, "paper", cycle)
    assert paper.method_options["strength"] == 0.001
    assert paper.method_options["schedule"] == 1.0
    assert paper.recovery.weights == {"coattention": 100.0, "discriminator": 1e-4}
    assert (paper.objective, paper.search_objective, paper.two_way) == ("coattention+discriminator", "none", False)
    release = with_preset(base, "release", cycle)
    assert release.two_way
    assert release.method_options["polarize"] == ["stem", "down1", "up1", "up2"]
    assert release.objective_options["coattention"] == {"shown": "student", "per_pixel": True}
    paired = CompressConfig(teacher="t", data=DataConfig(path="shapes"), method="dmad")
    capped = with_preset(paired, "release", net)
    assert (capped.method_options["cap"], capped.method_options["scratch"], capped.two_way) == (0.8, 0.75, False)
    assert capped.recovery.weights["coattention"] == 10.0
    assert with_preset(paired, "paper", net).recovery.weights["coattention"] == 50.0
    assert with_preset(base, None, cycle) is base
