"""Untrusted archives write below the target or nowhere, and completely or not at all."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

import pocketgan.utils.archive as module
from pocketgan.utils.archive import unpack
from small_disk import small_disk

Files = dict[str, bytes]

FILES: Files = {"set/train/1.jpg": b"one" * 1000, "set/train/sub/2.jpg": b"", "set/test/3.jpg": os.urandom(70_000)}
INSIDE = {name.removeprefix("set/"): content for name, content in FILES.items()}


def tar_gz(files: Files, *entries: tarfile.TarInfo) -> bytes:
    """A tar with those files, and then those entries without content."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        for entry in entries:
            packed.addfile(entry)
    return raw.getvalue()


def zip_(files: Files, *entries: zipfile.ZipInfo) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
        for entry in entries:
            packed.writestr(entry, "/etc/passwd")
    return raw.getvalue()


PACKERS: dict[str, Callable[[Files], bytes]] = {"a.tar.gz": tar_gz, "a.zip": zip_}
every_kind = pytest.mark.parametrize("kind", PACKERS)


def put(tmp_path: Path, name: str, content: bytes) -> tuple[Path, Path]:
    """The archive, in a folder of its own, and the target beside it."""
    folder = tmp_path / "here"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name, folder / "set"


def read(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuses(archive: Path, target: Path, match: str) -> None:
    """Check that it raises and leaves no file."""
    with pytest.raises(ValueError, match=match):
        unpack(archive, target, folder="set")
    assert os.listdir(archive.parent) == [archive.name]
    assert os.listdir(archive.parent.parent) == ["here"]


@every_kind
def test_the_files_are_there(kind: str, tmp_path: Path) -> None:
    archive, target = put(tmp_path, kind, PACKERS[kind](FILES))
    assert unpack(archive, target, folder="set") == 3
    assert read(target) == INSIDE
    assert sorted(os.listdir(archive.parent)) == sorted([kind, "set"])
    assert stat.S_IMODE((target / "train/1.jpg").stat().st_mode) & 0o111 == 0


@every_kind
def test_more_than_the_folder_is_kept_together(kind: str, tmp_path: Path) -> None:
    archive, target = put(tmp_path, kind, PACKERS[kind](FILES | {"readme.txt": b"!"}))
    unpack(archive, target, folder="set")
    assert read(target) == FILES | {"readme.txt": b"!"}
    archive, _ = put(tmp_path, kind, PACKERS[kind]({"train/1.jpg": b"1"}))
    unpack(archive, target.with_name("train"), folder="set")
    assert read(target.with_name("train")) == {"train/1.jpg": b"1"}, "a folder of another name is content"


@every_kind
def test_what_macos_adds_is_left_out(kind: str, tmp_path: Path) -> None:
    junk = {"__MACOSX/set/train/._1.jpg": b"x", "set/train/._1.jpg": b"x", "._set": b"x", ".DS_Store": b"x"}
    archive, target = put(tmp_path, kind, PACKERS[kind](FILES | junk))
    unpack(archive, target, folder="set")
    assert read(target) == INSIDE


@pytest.mark.parametrize(
    "name",
    ["/etc/evil", "../evil", "set/../../evil", "set/..", "..\\evil", "set\\..\\evil", "C:/evil", "c:evil", "//host/evil"],
)
@every_kind
def test_a_name_that_leads_out_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    archive, target = put(tmp_path, kind, PACKERS[kind](FILES | {name: b"evil"}))
    refuses(archive, target, "hostile: .* would lie outside of the folder")


def of_type(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "entry",
    [
        of_type("set/val", tarfile.SYMTYPE, "test"),
        of_type("set/out", tarfile.SYMTYPE, "/etc"),
        of_type("set/hard", tarfile.LNKTYPE, "/etc/passwd"),
        of_type("set/own", tarfile.LNKTYPE, "set/train/1.jpg"),
        *(of_type("set/device", kind) for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)),
    ],
    ids=["link", "link-out", "hard-link-out", "hard-link", "character", "block", "fifo"],
)
def test_links_and_devices_are_refused(entry: tarfile.TarInfo, tmp_path: Path) -> None:
    refuses(*put(tmp_path, "a.tar.gz", tar_gz(FILES, entry)), "'set/.*' is a link or a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(kind: int, tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("set/link")
    entry.external_attr = (kind | 0o777) << 16
    refuses(*put(tmp_path, "a.zip", zip_(FILES, entry)), "'set/link' is a link or a device")


def test_a_file_behind_a_link_is_not_written(tmp_path: Path) -> None:
    """The old trick: first a link to a folder outside, then a file in it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as packed:
        packed.addfile(of_type("set/out", tarfile.SYMTYPE, str(tmp_path)))
        info = tarfile.TarInfo("set/out/evil")
        info.size = 4
        packed.addfile(info, io.BytesIO(b"evil"))
    refuses(*put(tmp_path, "a.tar.gz", raw.getvalue()), "is a link")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    refuses(*put(tmp_path, "a.tar.gz", tar_gz(FILES, tarfile.TarInfo("set/train/1.jpg"))), "holds 'set/train/1.jpg' twice")
    shutil.rmtree(tmp_path / "here")
    refuses(*put(tmp_path, "a.zip", zip_(FILES, zipfile.ZipInfo("set/train/1.jpg"))), "holds 'set/train/1.jpg' twice")
    shutil.rmtree(tmp_path / "here")
    refuses(*put(tmp_path, "a.zip", zip_(FILES, zipfile.ZipInfo("set/train/1.jpg/x"))), "cannot unpack")


@every_kind
def test_bombs_are_refused_before_they_are_written(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_LIMIT", 1_000_000)
    bomb = PACKERS[kind]({"set/zeros": bytes(3_000_000)})
    with small_disk(2_999_999):  # the error would be that of a full disk if it were written
        refuses(*put(tmp_path, kind, bomb), r"holds more than 1,000,000 bytes in [\d,]+: that is no set of images")
    monkeypatch.setattr(module, "LEAST_LIMIT", 3_000_000)
    archive, target = put(tmp_path, kind, bomb)
    assert unpack(archive, target, folder="set") == 1


@every_kind
def test_many_empty_files_are_a_bomb_too(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_LIMIT", 100 * 4096)
    monkeypatch.setattr(module, "MAX_RATIO", 1)
    refuses(*put(tmp_path, kind, PACKERS[kind]({f"set/{n}": b"" for n in range(101)})), "holds more than 409,600 bytes")


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    archive, target = put(tmp_path, "a.zip", zip_(FILES))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(70_000))
    refuses(archive, target, "more than the 70,000 bytes that are free on the disk")
    monkeypatch.undo()
    with small_disk(50_000):
        refuses(archive, target, "cannot unpack .*File too large")


@every_kind
def test_a_cut_archive_is_refused_wherever_it_was_cut(kind: str, tmp_path: Path) -> None:
    whole = PACKERS[kind](FILES)
    for end in (*range(0, len(whole), 1 + len(whole) // 12), len(whole) - 1):
        archive, target = put(tmp_path, kind, whole[:end])
        refuses(archive, target, "is damaged, or no archive")


@every_kind
def test_a_changed_byte_of_content_is_noticed(kind: str, tmp_path: Path) -> None:
    whole = bytearray(PACKERS[kind](FILES))
    whole[len(whole) // 2] ^= 1  # in the random file, the largest by far
    refuses(*put(tmp_path, kind, bytes(whole)), "is damaged")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK", b"\x1f\x8b", bytes(100)])
def test_what_is_no_archive(content: bytes, tmp_path: Path) -> None:
    refuses(*put(tmp_path, "a.tar.gz", content), "is damaged, or no archive")


def test_a_password(tmp_path: Path) -> None:
    locked = bytearray(zip_({"set/1.jpg": b"1"}))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    refuses(*put(tmp_path, "a.zip", bytes(locked)), "'set/1.jpg' is locked by a password")


def test_what_stands_there_is_kept(tmp_path: Path) -> None:
    archive, target = put(tmp_path, "a.zip", zip_(FILES))
    target.mkdir()
    unpack(archive, target, folder="set")  # an empty folder is nothing
    (target / "mine").write_text("mine")
    with pytest.raises(ValueError, match="set exists: move it away"):
        unpack(archive, target, folder="set")
    assert read(target) == INSIDE | {"mine": b"mine"}


def test_the_rest_of_a_killed_call_is_swept_away(tmp_path: Path) -> None:
    archive, target = put(tmp_path, "a.zip", zip_(FILES))
    rest = target.with_name(".set.unpacking")
    (rest / "set/train").mkdir(parents=True)
    (rest / "set/train/half.jpg").write_bytes(b"half")
    unpack(archive, target, folder="set")
    assert read(target) == INSIDE
    assert not rest.exists()
