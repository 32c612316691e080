"""Comparisons: a table of runs that resumes; it may grow, and the settings that its runs share may not change."""

from dataclasses import replace
from pathlib import Path

import pytest
from commands import TINY, refused, words

from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from pocketgan.data.config import DataConfig
from pocketgan.models import resnet
from pocketgan.pipeline import compare as module
from pocketgan.pipeline.compare import CompareConfig, compare, plan, varied
from pocketgan.pipeline.config import CompressConfig

pytestmark = pytest.mark.xdist_group("pipeline")


def test_a_comparison_is_a_table_and_resumes(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], quick_export: None
) -> None:
    """One of the two runs is below the floor, and does not stop the other."""
    out = tmp_path / "c"
    arguments = ("compare", teacher / "generator.safetensors", "--data", "shapes", "--methods", "uniform", "--out", out)
    settings = ("--budgets", "1000x,3x", *TINY, "recovery.steps=1", "recovery.sample_every=0")
    assert main(words(*arguments, *settings)) == 2
    captured = capsys.readouterr()
    line = captured.err.strip().splitlines()[-1]
    assert line.startswith("error: 1 of 2 runs failed: uniform-1000x-s0: budget '1000x'")
    assert "below the floor" in line
    assert sorted(path.name for path in out.iterdir()) == [".lock", "config.json", "report.html", "uniform-3x-s0"]
    assert "uniform" in captured.out
    (out / "report.html").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert "1 of 2 runs failed" in refused(capsys, *arguments, *settings, "--resume")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before
    assert (out / "report.html").exists()


def test_the_plan_of_a_comparison_has_whole_comparisons_first() -> None:
    base = CompressConfig(teacher="t", data=DataConfig(path="shapes"), seed=5)
    runs = plan(
        CompareConfig(base=base, methods=("uniform", "magnitude"), budgets=("2x", "4x"), weights=("inherit", "fresh"), seeds=2)
    )
    assert len(runs) == 16
    assert list(runs)[:3] == ["uniform-2x-inherit-s5", "uniform-2x-fresh-s5", "uniform-4x-inherit-s5"]
    assert [config.seed for config in runs.values()] == [5] * 8 + [6] * 8
    for name, config in runs.items():
        assert name == f"{config.method}-{config.budget}-{config.weights}-s{config.seed}"


def test_seeds_and_methods_are_added_but_the_base_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(module, "compress", lambda settings, path, **_: (path.mkdir(exist_ok=True), ran.append(path.name)))
    monkeypatch.setattr(module, "write_report", lambda runs, out: out)
    save_artifact(tmp_path / "teacher.safetensors", resnet(4, 1).build(), size=16)
    base = CompressConfig(teacher=str(tmp_path / "teacher.safetensors"), data=DataConfig(path="shapes", size=16))
    config = CompareConfig(base=base, methods=("uniform",), budgets=("4x",))
    compare(config, tmp_path / "runs")
    assert ran == ["uniform-4x-s0"]
    ran.clear()
    compare(replace(config, methods=("uniform", "magnitude"), seeds=2), tmp_path / "runs", resume=True)
    assert ran == ["uniform-4x-s0", "magnitude-4x-s0", "uniform-4x-s1", "magnitude-4x-s1"]
    with pytest.raises(ValueError, match="objective"):
        compare(replace(config, base=replace(base, objective="none")), tmp_path / "runs", resume=True)


def test_a_plan_names_every_variant_and_gives_it_its_fields() -> None:
    base = CompressConfig(teacher="t.safetensors", data=DataConfig(path="shapes", size=16))
    variants = varied("method_options.mask=quadratic,linear;recovery.lr=1e-4,2e-4")
    runs = plan(CompareConfig(base=base, methods=("dmad",), budgets=("4x",), variants=variants))
    assert list(runs) == [f"dmad-4x-mask-{mask}-lr-{lr}-s0" for mask in ("quadratic", "linear") for lr in ("1e-4", "2e-4")]
    chosen = runs["dmad-4x-mask-linear-lr-2e-4-s0"]
    assert (chosen.method_options, chosen.recovery.lr, chosen.variant) == ({"mask": "linear"}, 2e-4, "mask linear lr 2e-4")
    assert varied("") == {}
    objects = varied('discriminator_options={"ndf":8,"layers":1},{"ndf":4}')
    assert [only for (only,) in objects.values()] == [
        'discriminator_options={"ndf":8,"layers":1}',
        'discriminator_options={"ndf":4}',
    ]
    with pytest.raises(ValueError, match=r"'mask' names no values to vary: write FIELD=a,b"):
        varied("mask")
    with pytest.raises(ValueError, match=r"no field named 'recovery.rl'. Did you mean 'recovery.lr'"):
        plan(CompareConfig(base=base, methods=("dmad",), budgets=("4x",), variants=varied("recovery.rl=1")))
