"""``pocketgan export --drop-style``: a file without the style encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import command, refused
from torch import nn

from pocketgan.core.artifact import save_artifact
from pocketgan.core.inputs import latent_from_seed
from zoo import randomized, tiny

MUNIT = tiny("munit", blocks=1, style_dim=6)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The networks that a format is given; that the file computes the same is law 7."""
    given: list[nn.Module] = []

    def to_onnx(generator: nn.Module, size: tuple[int, int]) -> bytes:
        given.append(generator)
        return b"onnx"

    monkeypatch.setattr("pocketgan.deploy.formats.to_onnx", to_onnx)
    return given


def export(artifact: Path, *flags: str) -> list[object]:
    return ["export", artifact, "--out", artifact.with_suffix(".onnx"), "--no-verify", *flags]


def test_the_style_encoder_is_dropped_when_asked(tmp_path: Path, exported: list[nn.Module]) -> None:
    original = randomized(MUNIT)
    save_artifact(tmp_path / "g.safetensors", original, size=16)
    command(*export(tmp_path / "g.safetensors"))
    command(*export(tmp_path / "g.safetensors", "--drop-style"))
    kept, dropped = exported
    assert {name for name, _ in kept.named_children()} - {name for name, _ in dropped.named_children()} == {"style"}
    image, style = torch.rand(1, 3, 16, 16) * 2 - 1, latent_from_seed(0, 6)
    with torch.inference_mode():
        assert dropped(image, style).equal(original(image, style))
        with pytest.raises(ValueError, match="has no style encoder"):
            dropped(image, image)


def test_a_network_without_styles_has_none_to_drop(
    tmp_path: Path, exported: list[nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, choices in (("resnet", {"blocks": 0}), ("sagan", {"size": 32, "spectral": False})):
        spec = tiny(name, **choices)
        save_artifact(tmp_path / f"{name}.safetensors", spec.build(), size=32)
        line = refused(capsys, *export(tmp_path / f"{name}.safetensors", "--drop-style"))
        assert f"is a {name}, which reads no style: leave --drop-style out" in line
    assert not exported
