"""A comparison may grow; what its runs share may not change."""

from dataclasses import replace
from pathlib import Path

import pytest

from pocketgan.core.artifact import save_artifact
from pocketgan.data.config import DataConfig
from pocketgan.models import resnet
from pocketgan.pipeline import compare as room
from pocketgan.pipeline.compare import CompareConfig, compare
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
