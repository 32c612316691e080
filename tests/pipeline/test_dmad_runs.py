"""DMAD by the commands that users give: presets, both directions, notes where the teacher's discriminator is missing."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import TINY, Killed, command, entries, killed_after, losses, read, refused

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.spec import spec_of
from pocketgan.metrics.cost import CostModel
from pocketgan.models import patchgan, resnet, unet
from quick import quick_exports

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.filterwarnings("ignore:a search of")]


def search_words(teacher: Path, run: Path) -> list[object]:
    start = ["compress", teacher / "generator.safetensors", "--data", "shapes", "--method", "dmad", "--budget", "3x"]
    steps = ["search.steps=8", "search.log_every=2", "search.checkpoint_every=4"]
    return [*start, "--objective", "coattention+discriminator", "--out", run, *TINY, *steps]


@pytest.fixture(scope="module")
def searched(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a student by DMAD."""
    run = tmp_path_factory.mktemp("dmad") / "run"
    with quick_exports():
        command(*search_words(teacher, run))
    return run


def test_a_search_is_logged_and_lands_in_the_window(searched: Path) -> None:
    facts = [entry["search"]["G"] for entry in entries(searched, "search")]
    assert [set(fact) for fact in facts] == [
        {"kind", "cost", "budget", "boundary", "strength", "masks", "closed"} for _ in facts
    ]
    assert facts[-1]["cost"] <= facts[-1]["budget"]
    assert facts[-1]["boundary"] == 0
    assert all(0 <= part <= 1 for part in facts[-1]["closed"].values())
    assert len({sum(fact["masks"]) for fact in facts}) == 1  # every mask is counted
    result = read(searched)
    assert 0.8 * result["budget"]["limit"] < result["budget"]["reached"] <= result["budget"]["limit"]
    assert result["notes"] == []
    assert losses(searched, "recover") == {"D/d_adv", "G/gan", "G/l1", "G/coattention", "G/discriminator"}


def test_a_search_that_is_killed_goes_on_to_the_same_student(searched: Path, teacher: Path, tmp_path: Path) -> None:
    with killed_after("search", 4), pytest.raises(Killed):
        command(*search_words(teacher, tmp_path / "run"))
    assert not (tmp_path / "run" / "pruned.safetensors").exists()
    for last in ("search", "recover"):  # the second command reads the searched network from its file
        command(*search_words(teacher, tmp_path / "run"), "--to", last, "--resume")
    assert [entry["step"] for entry in entries(tmp_path / "run", "search")] == [2, 4, 6, 8]
    for file in ("pruned.safetensors", "student.safetensors"):
        assert (tmp_path / "run" / file).read_bytes() == (searched / file).read_bytes()


def test_notes_on_objectives_without_the_teachers_discriminator(teacher: Path, tmp_path: Path, quick_export: None) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((teacher / "generator.safetensors").read_bytes())
    command(
        *("compress", alone, "--data", "shapes", "--budget", "3x", "--objective", "coattention+discriminator"),
        *("--out", tmp_path / "s", *TINY, 'discriminator_options={"ndf": 6, "layers": 1}', "recovery.weights.discriminator=1"),
    )
    assert read(tmp_path / "s")["notes"] == [
        "there is no teacher's discriminator: the objective coattention attends to the generator alone",
        "there is no teacher's discriminator: the objective discriminator is left out",
    ]
    assert losses(tmp_path / "s", "recover") == {"D/d_adv", "G/gan", "G/l1", "G/coattention"}


def test_the_students_discriminator_may_have_another_width(teacher: Path, tmp_path: Path) -> None:
    """Table VII; the teacher's discriminator still guides the objectives."""
    command(
        *("compress", teacher / "generator.safetensors", "--data", "shapes", "--budget", "3x", "--objective", "discriminator"),
        *("--out", tmp_path / "s", "--to", "recover", *TINY, 'discriminator_options={"ndf": 6, "layers": 1}'),
    )
    discriminator = load_artifact(tmp_path / "s" / "student_discriminator.safetensors").model
    assert spec_of(discriminator) == patchgan(6, 1, in_channels=6)
    assert losses(tmp_path / "s", "recover") == {"D/d_adv", "G/gan", "G/l1", "G/discriminator"}


def test_the_release_preset_searches_both_directions_and_the_other_one_goes_on(
    unpaired_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "s"
    common = ("--data", "textures", "--task", "unpaired", "--method", "dmad", "--to", "recover", *TINY)
    small = ("search.steps=6", "search.weights.identity=1", "budget_back=3x", 'discriminator_options={"ndf":4,"layers":1}')
    forward, backward = (unpaired_teacher / f"generator_{side}.safetensors" for side in "AB")
    command("compress", forward, *common, *small, "--budget", "4x", "--preset", "release", "--out", run)
    assert losses(run, "search") >= {"G/gan", "G/cycle", "G/identity", "D/d_adv"}
    assert set(entries(run, "search")[-1]["search"]) == {"G_A", "G_B"}
    original = CostModel(load_artifact(forward).model, 16)().macs
    for file, ratio in (("pruned.safetensors", 4), ("back/pruned.safetensors", 3)):
        macs = CostModel(load_artifact(run / file).model, 16)().macs
        assert 0.75 * original / ratio < macs <= original / ratio
    selected = (run / "back" / "pruned.safetensors").read_bytes()
    command("compress", backward, *common, "--direction", "BtoA", "--budget", "3x", "--out", run / "back")
    assert (run / "back" / "pruned.safetensors").read_bytes() == selected
    student, pruned = (load_artifact(run / "back" / f"{name}.safetensors").model for name in ("student", "pruned"))
    assert spec_of(student) == spec_of(pruned)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "pruned.safetensors").write_bytes(selected)
    above = ("compress", backward, *common, "--direction", "BtoA", "--budget", "9x", "--out", tmp_path / "x")
    assert "give the budget that it was cut to" in refused(capsys, *above)


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
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_a_wrong_setting_is_refused_before_any_work(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: tuple[str, ...], message: str
) -> None:
    data = "textures" if "unpaired" in extra else "shapes"
    start = ("compress", teacher / "generator.safetensors", "--data", data, "--out", tmp_path / "s", *TINY)
    assert message in refused(capsys, *start, *extra)
    assert not (tmp_path / "s").exists()


def test_presets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings of the paper and of the released scripts, by task and network."""
    for name, spec in (("resnet", resnet(4, 1)), ("unet", unet(4, 5))):
        save_artifact(tmp_path / f"{name}.safetensors", spec.build(), size=32)

    def resolved(network: str, task: str, *preset: str) -> dict[str, Any]:
        start = ("compress", tmp_path / f"{network}.safetensors", "--task", task, "--data", "shapes")
        capsys.readouterr()
        command(*start, "--method", "dmad", "--out", tmp_path / "run", "--dry-run", *preset)
        return json.loads(capsys.readouterr().out)

    paper = resolved("resnet", "unpaired", "--preset", "paper")
    assert paper["method_options"]["strength"] == 0.001
    assert paper["method_options"]["schedule"] == 1.0
    assert paper["recovery"]["weights"] == {"coattention": 100.0, "discriminator": 1e-4}
    assert (paper["objective"], paper["search_objective"], paper["two_way"]) == ("coattention+discriminator", "none", False)
    release = resolved("resnet", "unpaired", "--preset", "release")
    assert release["two_way"]
    assert release["method_options"]["polarize"] == ["stem", "down1", "up1", "up2"]
    assert release["objective_options"]["coattention"] == {"shown": "student", "per_pixel": True}
    capped = resolved("unet", "paired", "--preset", "release")
    assert (capped["method_options"]["cap"], capped["method_options"]["scratch"], capped["two_way"]) == (0.8, 0.75, False)
    assert capped["recovery"]["weights"]["coattention"] == 10.0
    assert resolved("unet", "paired", "--preset", "paper")["recovery"]["weights"]["coattention"] == 50.0
    assert resolved("resnet", "unpaired")["method_options"] == {}
    assert not (tmp_path / "run").exists()
