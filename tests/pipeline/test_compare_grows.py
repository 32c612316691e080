"""A comparison may grow; what its runs share may not change."""

from dataclasses import replace
from pathlib import Path

import pytest

from pocketgan.core.artifact import save_artifact
from pocketgan.data.config import DataConfig
from pocketgan.models import resnet
from pocketgan.pipeline import compare as room
from pocketgan.pipeline.compare import CompareConfig, compare, plan, varied
from pocketgan.pipeline.config import CompressConfig


def test_seeds_and_methods_are_added_but_the_base_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(room, "compress", lambda settings, path, **_: (path.mkdir(exist_ok=True), ran.append(path.name)))
    monkeypatch.setattr(room, "write_report", lambda runs, out: out)
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
    with pytest.raises(ValueError, match=r"'mask' does not say what to vary: write FIELD=a,b"):
        varied("mask")
    with pytest.raises(ValueError, match=r"no field named 'recovery.rl'. Did you mean 'recovery.lr'"):
        plan(CompareConfig(base=base, methods=("dmad",), budgets=("4x",), variants=varied("recovery.rl=1")))
