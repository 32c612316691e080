"""Atomic files: the old or the new content, never half of it, and one line for a disk that refuses."""

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pocketgan.utils.files import atomic, digest, parse_json, read_json, write_json
from small_disk import small_disk


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "facts.json"
    write_json(file, {"a": 1})

    def write_half() -> None:
        with atomic(file) as temporary:
            temporary.write_text("half")
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        write_half()
    assert read_json(file) == {"a": 1}
    assert os.listdir(file.parent) == ["facts.json"]


def test_the_temporary_file_keeps_the_ending(tmp_path: Path) -> None:
    """Libraries choose the format by it."""
    with atomic(tmp_path / "image.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"x")
    assert (tmp_path / "image.png").read_bytes() == b"x"


def test_every_file_has_the_mode_of_a_new_one(tmp_path: Path) -> None:
    """The library for tensors lets the owner alone read its files."""
    (tmp_path / "plain").touch()
    with atomic(tmp_path / "weights.safetensors") as temporary:
        save_file({"a": torch.ones(3)}, temporary)
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, cause in (
        (tmp_path / "file" / "a.json", "(File exists|Not a directory)"),
        (tmp_path / ("x" * 250), "name too long"),
    ):
        with pytest.raises(ValueError, match=rf"^cannot write .*: .*{cause}; what stood there before is kept$"):
            write_json(path, {})


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    write_json(file, {"a": 1})
    with small_disk(1000), pytest.raises(ValueError, match=r"cannot write .*facts\.json: .*; what stood there before is kept"):
        write_json(file, {"a": "x" * 5000})
    assert read_json(file) == {"a": 1}
    assert os.listdir(tmp_path) == ["facts.json"]


def test_a_full_disk_while_tensors_are_written(tmp_path: Path) -> None:
    """The library for tensors has an error class of its own."""
    file = tmp_path / "weights.safetensors"
    save_file({"a": torch.ones(3)}, file)
    before = file.read_bytes()
    with small_disk(1000), pytest.raises(ValueError, match=r"cannot write .*weights\.safetensors"), atomic(file) as temporary:
        save_file({"a": torch.ones(5000)}, temporary)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["weights.safetensors"]


def test_the_cause_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ValueError, match="No space left on device"):
        write_json(tmp_path / "facts.json", {})
    assert os.listdir(tmp_path) == []


def test_json_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    file.write_text('{"a": ')
    with pytest.raises(ValueError, match=r"facts\.json is not JSON"):
        read_json(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"facts\.json is not JSON"):
        read_json(file)


def test_the_checksum(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-4, its first example
    assert digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": \xff}', "byte 6 is no UTF-8"),
        (b'{"a": ', "line 1 column 7"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 300 + b"]" * 300, "deeper than"),
        (b"9" * 5_000, "4300 digits"),
    ],
)
def test_text_that_is_no_usable_json_is_refused_with_its_source(text: bytes, reason: str):
    with pytest.raises(ValueError, match=r"^log\.jsonl, line 3 is") as caught:
        parse_json(text, "log.jsonl, line 3")
    assert reason in str(caught.value)
    assert parse_json('{"a": [1, {"b": null}]}', "x") == {"a": [1, {"b": None}]}


def test_a_pipe_where_a_json_file_should_be_is_refused_without_waiting_for_a_writer(tmp_path: Path):
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(ValueError, match="is a pipe, folder or device"):
        read_json(tmp_path / "result.json")
