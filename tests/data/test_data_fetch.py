"""Downloads of public sets: a folder ready for training, or one line of advice."""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import noise

import pocketgan.utils.download as downloading
from loopback import Web, serve
from pocketgan.cli import main
from pocketgan.data.published import MIRROR, PUBLISHED, STATED, PublishedFile, fetch, published
from pocketgan.pretrained.extractors import published_statistics


def image(seed: int, size: tuple[int, int]) -> bytes:
    raw = io.BytesIO()
    noise(seed, size).save(raw, "JPEG")
    return raw.getvalue()


def pairs(name: str) -> bytes:
    """As the pix2pix archives are: ``name/train/1.jpg``, A and B side by side."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as packed:
        for split in ("train", "val"):
            info, content = tarfile.TarInfo(f"./{name}/{split}/1.jpg"), image(1, (512, 256))
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def sides(name: str) -> bytes:
    """As the CycleGAN archives are: ``name/trainA/1.jpg``."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as packed:
        for folder in ("trainA", "trainB", "testA", "testB"):
            packed.mkdir(f"{name}/{folder}")
            packed.writestr(f"{name}/{folder}/1.jpg", image(2, (256, 256)))
    return raw.getvalue()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A mirror, and an empty current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(downloading, "PAUSES", (0.0,))
    with serve() as server:
        monkeypatch.setenv(MIRROR, f"{server.address}/")
        server.files = {"facades.tar.gz": pairs("facades"), "mini.zip": sides("mini")}
        yield server


def run(capsys: pytest.CaptureFixture[str], command: str, status: int = 0) -> tuple[str, str]:
    assert main(shlex.split(command)) == status, capsys.readouterr().err
    return capsys.readouterr()


def test_pairs_by_name(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "data download facades")
    assert sorted(os.listdir("datasets")) == [".lock", "facades", "facades.tar.gz.sha256"]
    assert sorted(os.listdir("datasets/facades")) == ["train", "val"]
    assert "datasets/facades (paired): ok" in out
    command = out.splitlines()[-1]
    assert command == "next: pocketgan train --task paired --data datasets/facades --direction BtoA --out runs/facades"
    assert '"path": "datasets/facades"' in run(capsys, f"{command.removeprefix('next: pocketgan ')} --dry-run")[0]


def test_sides_by_name(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "data download mini --out 'elsewhere/my set'")
    assert sorted(os.listdir("elsewhere/my set")) == ["testA", "testB", "trainA", "trainB"]
    assert out.splitlines()[-1] == "next: pocketgan train --task unpaired --data 'elsewhere/my set' --out runs/mini"


def test_a_cut_connection_is_resumed(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    web.cuts = [1000]
    _, err = run(capsys, "data download mini")
    assert web.sent == len(web.files["mini.zip"])
    assert web.asked == [("mini.zip", None), ("mini.zip", "bytes=1000-")]
    assert "the connection ended after 1,000 of" in err


def test_a_folder_that_is_there_is_kept(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "data download mini")
    Path("datasets/mini/trainA/mine.jpg").write_bytes(image(3, (256, 256)))
    _, err = run(capsys, "data download mini")
    assert "datasets/mini already exists and is kept" in err
    assert len(web.asked) == 1
    assert Path("datasets/mini/trainA/mine.jpg").exists()


def test_an_archive_brought_by_hand(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    Path("datasets").mkdir()
    Path("datasets/mini.zip").write_bytes(web.files["mini.zip"])
    run(capsys, "data download mini")
    assert web.asked == []
    assert sorted(os.listdir("datasets")) == [".lock", "mini", "mini.zip.sha256"]
    Path("datasets/horse2zebra.zip").write_bytes(web.files["mini.zip"])
    _, err = run(capsys, "data download horse2zebra", 2)
    digest = hashlib.sha256(web.files["mini.zip"]).hexdigest()[:8]
    assert f"is not the published file: its SHA-256 begins with {digest}, the published one with a74d9d39; delete it" in err
    assert Path("datasets/horse2zebra.zip").exists()


def test_without_a_published_checksum_the_first_one_seen_is_recorded_and_compared(
    web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    first = hashlib.sha256(web.files["mini.zip"]).hexdigest()
    note = Path("datasets/mini.zip.sha256")
    _, err = run(capsys, "data download mini")
    assert f"no whole SHA-256 is published; {first[:8]}... is recorded in {note} and compared" in " ".join(err.split())
    assert note.read_text() == f"{first}  mini.zip\n"
    shutil.rmtree("datasets/mini")
    run(capsys, "data download mini")

    shutil.rmtree("datasets/mini")
    web.files["mini.zip"] += b"\0"
    second = hashlib.sha256(web.files["mini.zip"]).hexdigest()
    _, err = run(capsys, "data download mini", 2)
    assert f"begins with {second[:8]}, the one in {note} (delete that file if the new one is right) with {first[:8]}" in err
    assert sorted(os.listdir("datasets")) == [".lock", "mini.zip.sha256"]
    note.write_text("else")
    assert f"{note} does not begin with a SHA-256: delete it" in run(capsys, "data download mini", 2)[1]
    note.unlink()
    run(capsys, "data download mini")
    assert note.read_text().startswith(second)


def test_another_file_than_the_published_one_is_refused(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    web.files["horse2zebra.zip"] = sides("horse2zebra")
    _, err = run(capsys, "data download horse2zebra", 2)
    assert "the published one has 116,867,962. By hand: save https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/" in err
    assert "horse2zebra.zip as datasets/horse2zebra.zip, and run this again" in err
    assert os.listdir("datasets") == [".lock"]


def test_without_a_mirror_the_address_is_the_published_one(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR)
    content = web.files["mini.zip"]
    facts = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    archive = PublishedFile(url=web.url("mini.zip"), **facts)  # type: ignore[arg-type]
    fetch(replace(published("mini"), archive=archive), tmp_path / "mini")
    assert (tmp_path / "mini/trainA/1.jpg").exists()


def test_a_hostile_archive_leaves_nothing(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as packed:
        packed.writestr("mini/trainA/1.jpg", b"1")
        packed.writestr("../../evil", b"1")
    web.files["mini.zip"] = raw.getvalue()
    _, err = run(capsys, "data download mini", 2)
    assert "'../../evil' would lie outside of the folder; nothing of it is kept" in err
    assert sorted(os.listdir("datasets")) == [".lock", "mini.zip"]
    assert not Path("evil").exists()


def test_an_unusable_set_is_reported(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    web.files["mini.zip"] = sides("mini").replace(b"mini/testB/", b"mini/spare/")
    assert "testB" in "".join(run(capsys, "data download mini", 2))


def test_statistics_lie_where_evaluation_looks(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    raw = io.BytesIO()
    np.savez(raw, mu=np.zeros(2), sigma=np.zeros((2, 2)))
    web.files["facades_A.npz"] = raw.getvalue()
    out, _ = run(capsys, "data download facades --stats")
    folder = Path("datasets/facades")
    assert published_statistics(folder, "A") == folder / "real_stat/facades_A.npz"
    assert (folder / "real_stat/facades_A.npz").read_bytes() == raw.getvalue()
    assert "datasets/facades (paired): ok" in out
    run(capsys, "data download facades --stats")
    assert len(web.asked) == 2
    _, err = run(capsys, "data download mini --stats", 2)
    assert err == "error: no statistics were published for unpaired mini: leave out --stats\n"
    assert not Path("datasets/mini").exists()


def test_unknown_sets_and_tasks(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    assert "prepare-cityscapes datasets/cityscapes-origin" in run(capsys, "data download cityscapes", 2)[1]
    assert "Did you mean 'horse2zebra'?" in run(capsys, "data download horses2zebras", 2)[1]
    assert run(capsys, "data download", 2)[1] == "error: data download needs a name: pocketgan data download NAME\n"
    assert run(capsys, "data download mini --task paired", 2)[1] == "error: there is no paired mini: it is unpaired\n"
    assert web.asked == []


def test_two_sets_of_one_name() -> None:
    assert (published("maps").archive.name, published("maps", "unpaired").archive.name) == ("maps.tar.gz", "maps.zip")
    assert published("maps", "paired") == published("maps")
    assert published("summer2winter") == published("summer2winter_yosemite")


def test_the_list_names_all_sets(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "data list")
    assert all(entry.name in out and entry.holds in out for entry in PUBLISHED)
    assert "117 MB" in out


def test_the_entries_are_sound() -> None:
    assert len({(entry.name, entry.task) for entry in PUBLISHED}) == len(PUBLISHED)
    files = [file for entry in PUBLISHED for file in (entry.archive, *entry.statistics.values())]
    assert len({file.name for file in files}) == len(files), "a mirror has them in one folder"
    assert all(file.url.startswith("https://") for file in files)
    assert all(file.sha256 == "" or len(bytes.fromhex(file.sha256)) == 32 for file in files)
    assert set(STATED) <= {file.name for file in files}
    for entry in PUBLISHED:
        assert entry.archive.name.removesuffix(".tar.gz").removesuffix(".zip") == entry.name
        assert all(file.name == f"{entry.name}_{side}.npz" for side, file in entry.statistics.items())
