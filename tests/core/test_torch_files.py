"""Files of ``torch.save``: the same tensors as ``torch.load`` gives, and no work that the file's size does not allow."""

import pickle
import random
import struct
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketgan.core import torch_files
from pocketgan.core.state_dict import read_states
from pocketgan.core.torch_files import load_torch_file

Weights = dict[str, Tensor]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.pth"


@pytest.fixture
def weights() -> Weights:
    return {"a.weight": torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), "a.bias": torch.arange(4.0)}


def same(found: object, expected: object) -> bool:
    if isinstance(expected, Tensor):
        return isinstance(found, Tensor) and found.dtype == expected.dtype and torch.equal(found, expected)
    if isinstance(expected, dict):
        return isinstance(found, dict) and [*found] == [*expected] and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return type(found) is type(expected) and len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


def contents() -> dict[str, object]:
    base = torch.arange(24.0)
    shared = torch.randn(3, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(nn.Linear(2, 3).parameters())
    return {
        "a network": OrderedDict(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).state_dict()),
        "views": {"part": base[5:11], "turned": base.view(4, 6).t(), "steps": base[::3], "all": base, "scalar": base[3]},
        "names of one tensor": [shared, {"again": shared}, (shared,)],
        "types": [torch.ones(2, dtype=kind) for kind in (torch.half, torch.bfloat16, torch.double, torch.long, torch.bool)],
        "nothing": {"empty": torch.zeros(0, 3), "list": [], "dict": {}, "tuple": ()},
        "parameters": {"one": nn.Parameter(torch.ones(2)).detach(), "epoch": 3, "loss": 0.5, "name": "net", "flag": True},
        "an optimizer": optimizer.state_dict(),
        "numbers": [None, -1, 2**40, 10**30, 1e-9, "\u00fc"],
    }


@pytest.mark.parametrize("modern", [True, False], ids=["archive", "before 1.6"])
@pytest.mark.parametrize("kind", contents())
def test_everything_that_trainings_save_is_read_as_torch_reads_it(kind: str, modern: bool, path: Path) -> None:
    torch.save(contents()[kind], path, _use_new_zipfile_serialization=modern)
    assert same(load_torch_file(path), torch.load(path, weights_only=True))


def test_types_that_have_no_storage_of_their_own(path: Path) -> None:
    numbers = torch.arange(3).to(torch.uint16)
    torch.save(numbers, path)
    assert same(load_torch_file(path), numbers)


def test_parameters_and_tensors_with_attributes_are_plain_tensors(path: Path) -> None:
    one, two = nn.Parameter(torch.ones(2)), torch.ones(3)
    one.note, two.note = "mine", "mine"  # type: ignore[attr-defined]
    torch.save([nn.Parameter(torch.zeros(2)), one, two], path)
    found = load_torch_file(path)
    assert [type(tensor) for tensor in found] == [Tensor] * 3
    assert same(found, [torch.zeros(2), torch.ones(2), torch.ones(3)])


def test_harmless_objects_beside_the_weights_are_left_out(path: Path, weights: Weights) -> None:
    beside = [Counter("ab"), {1, 2}, bytearray(b"x"), 1j, torch.device("cpu"), torch.Size([1]), np.float64(2)]
    torch.save({"G": weights, "beside": beside}, path)
    assert same(load_torch_file(path), {"G": weights, "beside": [None] * len(beside)})


def test_dicts_of_python_2(path: Path) -> None:
    pairs = b"](](U\x01aK\x01e](U\x01bK\x02ee"
    assert written(path, b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R.") == {"a": 1, "b": 2}


def written(path: Path, stream: bytes, data: dict[str, bytes] | None = None, *, pack: int = zipfile.ZIP_STORED) -> Any:
    """Read an archive of that pickle and those storages."""
    with zipfile.ZipFile(path, "w", pack) as archive:
        archive.writestr("net/data.pkl", stream)
        for key, content in (data or {}).items():
            archive.writestr(f"net/data/{key}", content)
    return load_torch_file(path)


def called(module: str, name: str, times: int, argument: bytes) -> bytes:
    """Pickle of a list of the results of a function, each time of the same argument."""
    return b"\x80\x02" + argument + b"\x85q\x00]" + (f"c{module}\n{name}\n".encode() + b"h\x00Ra") * times + b"."


TEXT = b"X" + struct.pack("<I", 2**23) + b"a" * 2**23


@pytest.mark.parametrize("name", ["Counter", "OrderedDict"])
def test_a_long_text_is_not_counted_again_and_again(name: str, path: Path) -> None:
    """Which would take an hour."""
    stream = called("collections", name, 50_000, TEXT)
    if name == "Counter":
        assert written(path, stream) == [None] * 50_000
    else:
        with pytest.raises(ValueError, match=r"net\.pth has a pickle of more than .* steps"):
            written(path, stream)


def test_a_text_is_not_doubled_again_and_again(path: Path) -> None:
    """The last text would have 2**70 letters."""
    call = b"c_codecs\nencode\nh\x00X\x03\x00\x00\x00hex\x86Rq\x00"
    assert written(path, b"\x80\x02C\x02ab" + b"q\x00" + call * 70 + b".") is None


def test_a_pickle_has_a_largest_number_of_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_files, "MAX_STEPS", 1000)
    assert len(written(path, b"\x80\x02](" + b"N" * 900 + b"e.")) == 900
    with pytest.raises(ValueError, match=r"net\.pth has a pickle of more than 1,000 steps"):
        written(path, b"\x80\x02](" + b"N" * 1000 + b"e.")
    with pytest.raises(ValueError, match=r"net\.pth is cut short or damaged"):
        written(path, b"\x80\x02](" + b"N" * 100)


def test_a_tensor_holds_its_own_numbers(path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1).expand(2**20, 2**20)}, path)
    with pytest.raises(ValueError, match=r"a tensor of 1,099,511,627,776 numbers in a place of 1: weights are stored whole"):
        load_torch_file(path)


def test_an_archive_is_not_larger_inside(path: Path) -> None:
    torch.save(torch.zeros(2**20), path)
    with zipfile.ZipFile(path) as archive:
        stream, data = archive.read("net/data.pkl"), archive.read("net/data/0")
    with pytest.raises(ValueError, match=r"net\.pth holds .* bytes in .*: no weights can be packed so tightly"):
        written(path, stream, {"0": data}, pack=zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize("announced", [5, 3, 2**40, 2**62])
def test_storages_of_other_lengths(announced: int, path: Path) -> None:
    torch.save(torch.arange(4.0), path)
    with zipfile.ZipFile(path) as archive:
        stream, data = archive.read("net/data.pkl"), archive.read("net/data/0")
    assert written(path, stream, {"0": data}).tolist() == [0, 1, 2, 3]
    size = b"\x8a\x08" + struct.pack("<q", announced)
    with pytest.raises(ValueError, match=r"net\.pth is cut short or damaged"):
        written(path, stream.replace(b"K\x04tq\x05Q", size + b"tq\x05Q"), {"0": data})
    with pytest.raises(ValueError, match=r"net\.pth is cut short or damaged"):
        written(path, stream, {"1": data})


def test_the_last_storage_of_an_older_file_is_missing(path: Path) -> None:
    torch.save(torch.arange(4.0), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-24] + struct.pack("<q", 2**50))
    with pytest.raises(ValueError, match=r"net\.pth is cut short or damaged: .*bytes of weights are announced"):
        load_torch_file(path)


def test_a_dict_inside_itself_is_searched_once(path: Path, weights: Weights) -> None:
    loop: dict[str, object] = {"G": weights}
    loop |= {f"again{i}": loop for i in range(1000)}
    torch.save(loop, path)
    found, _ = read_states(path)
    assert [*found] == ["G"]


def test_one_changed_bit_is_noticed(path: Path, weights: Weights) -> None:
    torch.save(weights, path)
    content = bytearray(path.read_bytes())
    content[content.index(weights["a.weight"].numpy().tobytes()) + 7] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.pth is cut short or damaged: .*CRC"):
        load_torch_file(path)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit",)


def test_nothing_is_called(path: Path, weights: Weights) -> None:
    for modern in (True, False):
        torch.save({**weights, "b": Bomb()}, path, _use_new_zipfile_serialization=modern)
        with pytest.raises(ValueError, match=r"net\.pth is more than weights \((__builtin__|builtins)\.exec\)"):
            load_torch_file(path)


@pytest.mark.parametrize("modern", [True, False], ids=["archive", "before 1.6"])
def test_any_damage_is_an_error_of_one_line_or_none(modern: bool, path: Path, weights: Weights) -> None:
    torch.save({"G": weights, "epoch": 3}, path, _use_new_zipfile_serialization=modern)
    whole, data, draw, errors = path.read_bytes(), {}, random.Random(0), []
    if modern:  # whose checksums would notice every change of the archive itself
        with zipfile.ZipFile(path) as archive:
            whole, data = archive.read("net/data.pkl"), {key: archive.read(f"net/data/{key}") for key in "01"}
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(draw.choice((1, 1, 3))):
            content[draw.randrange(min(len(content), 700))] = draw.randrange(256)
        content = content[: draw.choice((len(content), draw.randrange(len(content))))]
        path.write_bytes(content)
        try:
            written(path, bytes(content), data) if modern else load_torch_file(path)
        except ValueError as error:
            errors.append(str(error))
    assert len(errors) > 50
    assert all(error.startswith(str(path)) and "\n" not in error for error in errors)


def test_the_magic_number_is_torchs() -> None:
    assert pickle.dumps(torch.serialization.MAGIC_NUMBER, 2)[2:] == torch_files._LEGACY
