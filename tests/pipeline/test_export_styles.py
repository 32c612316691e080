"""A file without what reads a style off an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import pocketgan.pipeline.measure as measure
from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from pocketgan.core.inputs import latent_from_seed
from pocketgan.export import Exported
from zoo import randomized, tiny

MUNIT = tiny("munit", blocks=1, style_dim=6)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """What is given to a format; that its file computes the same is a law."""
    given: list[nn.Module] = []

    def write(model: nn.Module, path: Path, **options: Any) -> Exported:
        given.append(model)
        return Exported(path, "onnx", 0, None)

    monkeypatch.setattr(measure, "FORMATS", {"onnx": write})
    return given


def export(artifact: Path, *flags: str) -> int:
    return main(["export", str(artifact), "--out", str(artifact.with_suffix(".onnx")), *flags])


def test_the_style_encoder_is_dropped_when_asked(tmp_path: Path, exported: list[nn.Module]) -> None:
    whole = randomized(MUNIT)
    save_artifact(tmp_path / "g.safetensors", whole, size=16)
    assert export(tmp_path / "g.safetensors") == 0
    assert export(tmp_path / "g.safetensors", "--drop-style") == 0
    kept, dropped = exported
    assert {name for name, _ in kept.named_children()} - {name for name, _ in dropped.named_children()} == {"style"}
    image, style = torch.rand(1, 3, 16, 16) * 2 - 1, latent_from_seed(0, 6)
    with torch.inference_mode():
        assert dropped(image, style).equal(whole(image, style))
        with pytest.raises(ValueError, match="has no style encoder"):
            dropped(image, image)


def test_what_reads_no_style_has_none_to_drop(
    tmp_path: Path, exported: list[nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, choices in (("resnet", {"blocks": 0}), ("sagan", {"size": 32, "spectral": False})):
        spec = tiny(name, **choices)
        save_artifact(tmp_path / f"{name}.safetensors", spec.build(), size=32)
        assert export(tmp_path / f"{name}.safetensors", "--drop-style") == 2
        assert f"is a {name}, which reads no style: leave --drop-style out" in capsys.readouterr().err
    assert not exported
