"""Headers of artifacts, and other files."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pocketgan.core.artifact import FORMAT, HEADER, load_artifact, read_header, save_artifact
from pocketgan.core.spec import spec_of
from pocketgan.models import resnet


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "student.safetensors"
    save_artifact(path, resnet(3, blocks=1).build(), size=48, provenance={"method": "uniform", "seed": 7})
    return path


def test_the_header_describes_the_network(file: Path) -> None:
    header = read_header(file)
    assert len(bytes.fromhex(header.pop("sha256"))) == 32
    assert header == {
        "format": 1,
        "spec": {
            "architecture": "resnet",
            "widths": {"stem": 3, "down1": 6, "trunk": 12, "block0": 12, "up1": 6, "up2": 3},
            "blocks": 1,
            "in_channels": 3,
            "out_channels": 3,
            "norm": "instance",
            "dropout": 0.0,
            "separable": False,
            "depthwise_norm": "instance",
        },
        "size": 48,
        "provenance": {"method": "uniform", "seed": 7},
    }


def test_any_safetensors_reader_gets_the_weights(file: Path) -> None:
    artifact = load_artifact(file)
    with safe_open(file, "pt") as opened:
        assert set(opened.keys()) == set(artifact.model.state_dict())
    assert (artifact.size, artifact.provenance) == (48, {"method": "uniform", "seed": 7})
    assert not artifact.model.training
    assert spec_of(artifact.model) == resnet(3, blocks=1)


@pytest.mark.parametrize(("size", "stated", "read"), [(48, 48, 48), ((48, 48), 48, 48), ((24, 48), [24, 48], (24, 48))])
def test_a_square_is_stated_by_one_number_and_another_shape_by_two(
    size: int | tuple[int, int], stated: object, read: object, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_artifact(path, resnet(3, blocks=1).build(), size=size)
    assert read_header(path)["size"] == stated
    assert load_artifact(path).size == read


def test_saving_leaves_the_network_alone(tmp_path: Path) -> None:
    model = resnet(3, blocks=1).build().train()
    save_artifact(tmp_path / "a.safetensors", model, size=16)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert load_artifact(tmp_path / "a.safetensors").provenance == {}


def test_a_network_without_a_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Linear was not built from a spec"):
        save_artifact(tmp_path / "a.safetensors", torch.nn.Linear(2, 2), size=16)
    assert not list(tmp_path.iterdir())


def test_somebody_elses_file(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.ones(2)}, path, metadata={"format": "pt"})
    assert read_header(path) is None
    with pytest.raises(ValueError, match="no pocketgan header"):
        load_artifact(path)


@pytest.mark.parametrize("kept", [1, 4, 200, -1])
def test_a_file_cut_short(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"student\.safetensors is not a whole safetensors file"):
        load_artifact(file)


def test_no_file_and_no_safetensors_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        read_header(tmp_path / "nothing.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is text and not tensors")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_artifact(tmp_path / "text.safetensors")


def test_a_newer_format_asks_for_an_update(file: Path) -> None:
    with safe_open(file, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    save_file(tensors, file, metadata={HEADER: json.dumps({**read_header(file), "format": FORMAT + 1})})
    with pytest.raises(ValueError, match=f"format {FORMAT + 1}; this version reads up to {FORMAT}: update pocketgan"):
        load_artifact(file)
