"""Tensors with a checksum: what was written comes back, bit for bit, and what has changed since is refused."""

import json
import os
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pocketgan.core.tensor_file import HEADER, DamagedFile, checksum, read_tensors, write_tensors

TENSORS = {
    "weight": torch.linspace(-1, 1, 12).view(3, 4).t(),
    "half": torch.tensor([0.1, 7.0], dtype=torch.bfloat16),
    "step": torch.tensor(3),
    "mask": torch.tensor([True, False]),
    "none": torch.zeros(0, 4),
}
FACTS = {"processes": 2, "note": "\u00e9"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "a.safetensors", TENSORS, FACTS)
    return tmp_path / "a.safetensors"


def equal(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in TENSORS.items()
    )


def test_written_and_read_is_the_same(file: Path) -> None:
    tensors, facts = read_tensors(file)
    assert equal(tensors)
    assert facts == FACTS


def test_every_changed_bit_is_noticed(file: Path) -> None:
    """A bit in the header may leave its meaning; then nothing else has changed."""
    whole, draw, refused = bytearray(file.read_bytes()), random.Random(0), 0
    data = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(data, len(whole)), *draw.sample(range(data), 150)]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randrange(8)
        file.write_bytes(flipped)
        try:
            tensors, facts = read_tensors(file)
        except DamagedFile:
            refused += 1
        else:
            assert place < data
            assert equal(tensors)
            assert facts == FACTS
    assert refused > len(places) - 10


def test_a_file_cut_short_at_any_byte_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        os.truncate(file, length)
        with pytest.raises(DamagedFile, match="is damaged: "):
            read_tensors(file)
        file.write_bytes(whole)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "plain.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name in ("plain", "folder", "pipe", "absent"):
        with pytest.raises(DamagedFile, match=rf"{name}\.safetensors is "):
            read_tensors(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    "facts", ["", "[]", "null", "{", "[" * 3000, '{"facts": 3}', '{"facts": {}, "sha256": 7}', '{"a": "\\ud800"}']
)
def test_headers_that_are_none_are_refused(facts: str, tmp_path: Path) -> None:
    save_file({}, tmp_path / "a.safetensors", metadata={HEADER: facts})
    with pytest.raises(DamagedFile, match=r"a\.safetensors is damaged: its (header|content) ") as caught:
        read_tensors(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


def test_equal_content_is_equal_bytes(file: Path, tmp_path: Path) -> None:
    for name in "bcde":
        write_tensors(tmp_path / name, dict(reversed(TENSORS.items())), FACTS)
        assert (tmp_path / name).read_bytes() == file.read_bytes()


def test_the_sum_depends_on_everything() -> None:
    one = torch.arange(4.0)
    variants = [
        checksum({"a": one}),
        checksum({"b": one}),
        checksum({"a": one.view(2, 2)}),
        checksum({"a": one.view(torch.int32)}),
        checksum({"a": one, "b": one[:0]}),
        checksum({"a": one + 1}),
        checksum({"a": one}, json.dumps({})),
    ]
    assert len(set(variants)) == len(variants)
    assert checksum({"a": one, "b": one + 1}) == checksum({"b": one + 1, "a": one})
