"""Headers of artifacts, and other files."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

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
    save_file(load_file(file), file, metadata={HEADER: json.dumps({**read_header(file), "format": FORMAT + 1})})
    with pytest.raises(ValueError, match=f"format {FORMAT + 1}; this version reads up to {FORMAT}: update pocketgan"):
        load_artifact(file)


def test_a_changed_bit_or_fact_is_noticed(file: Path) -> None:
    whole, draw = file.read_bytes(), random.Random(0)
    for place in [whole.index(b"uniform"), *(draw.randrange(len(whole) - 4000, len(whole)) for _ in range(20))]:
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
        with pytest.raises(ValueError, match=r"student\.safetensors is damaged: header and tensors do not have the checksum"):
            load_artifact(file)
    file.write_bytes(whole)
    assert load_artifact(file).provenance == {"method": "uniform", "seed": 7}


def rewritten(file: Path, tensors: dict[str, torch.Tensor], header: Any) -> Path:
    """The file with other tensors and another header, which has no checksum, as files of older versions."""
    if isinstance(header, dict):
        header.pop("sha256", None)
    save_file(tensors, file, metadata={HEADER: header if isinstance(header, str) else json.dumps(header)})
    return file


Change = Callable[[torch.Tensor], torch.Tensor | None]
CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (lambda bias: None, "1 missing: stem.conv.bias"),
    "of another shape": (lambda bias: bias[1:], "1 of another shape: stem.conv.bias is 2 instead of 3"),
    "as a matrix": (lambda bias: bias[None], "stem.conv.bias is 1x3 instead of 3"),
    "nan": (lambda bias: bias.fill_(torch.nan), "numbers in stem.conv.bias that are not finite"),
    "infinite": (lambda bias: bias.fill_(-torch.inf), "numbers in stem.conv.bias that are not finite"),
    "too large": (lambda bias: bias.double().fill_(1e300), "numbers in stem.conv.bias that are not finite"),
    "bool": (lambda bias: bias > 0, "has stem.conv.bias as strided bool: only dense floating-point weights are read"),
    "integer": (lambda bias: bias.int(), "has stem.conv.bias as strided int32"),
    "complex": (lambda bias: bias.to(torch.complex64), "has stem.conv.bias as strided complex64"),
    "float8": (lambda bias: bias.to(torch.float8_e5m2), "has stem.conv.bias as strided float8_e5m2"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_tensors_are_exactly_those_of_the_network(kind: str, file: Path) -> None:
    change, message = CHANGES[kind]
    tensors = load_file(file)
    changed = change(tensors.pop("stem.conv.bias"))
    rewritten(file, tensors | ({} if changed is None else {"stem.conv.bias": changed}), read_header(file))
    with pytest.raises(ValueError, match=message) as caught:
        load_artifact(file)
    assert str(caught.value).startswith(str(file))


def test_tensors_of_another_network_beside_its_own(file: Path) -> None:
    rewritten(file, load_file(file) | {"D.weight": torch.ones(2)}, read_header(file))
    with pytest.raises(
        ValueError, match=r"student\.safetensors does not hold the tensors of its network\. 1 unknown: D\.weight"
    ):
        load_artifact(file)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_are_converted(kind: torch.dtype, file: Path) -> None:
    tensors = {name: tensor.to(kind) for name, tensor in load_file(file).items()}
    state = load_artifact(rewritten(file, tensors, read_header(file))).model.state_dict()
    assert all(torch.equal(state[name], tensor.float()) for name, tensor in tensors.items())


WRONG = (None, True, -1, 0, 1.5, 10**400, "resnet", [], [1, 2, 3], [-1, 4], {}, {"a": 1}, [[[]]], 100_000, [16, 100_000])


@pytest.mark.parametrize("key", ["format", "size", "spec", "provenance", "architecture", "widths", "blocks", "stem", "norm"])
def test_headers_of_wrong_types(key: str, file: Path) -> None:
    """Every wrong value is named with the file, unless it happens to be a right one."""
    tensors, whole, errors = load_file(file), read_header(file), []
    assert whole is not None
    for wrong in WRONG:
        header = json.loads(json.dumps(whole))
        place = header if key in header else header["spec"] if key in header["spec"] else header["spec"]["widths"]
        if place.get(key) == wrong or (key == "provenance" and isinstance(wrong, dict)):
            continue
        place[key] = wrong
        try:
            load_artifact(rewritten(file, tensors, header))
        except ValueError as error:
            errors.append(str(error))
        else:
            assert key == "size", wrong
    assert len(errors) >= len(WRONG) - 2
    assert not [error for error in errors if "student.safetensors" not in error or "\n" in error]


@pytest.mark.parametrize(
    "text", ["", "[]", "7", '"text"', "{", "[" * 3000 + "]" * 3000, '{"format": 1e999}', '{"format": NaN}']
)
def test_headers_that_are_no_headers(text: str, file: Path) -> None:
    rewritten(file, load_file(file), text)
    with pytest.raises(ValueError, match=r"student\.safetensors"):
        load_artifact(file)
