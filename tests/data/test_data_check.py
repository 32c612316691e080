"""``check``: unusable files are named, unusual ones are counted."""

import json
import os

import numpy as np
import pytest
from made import flat, noise
from PIL import Image

from pocketgan.cli import main
from pocketgan.data.check import check
from pocketgan.data.config import DataConfig
from pocketgan.data.decode import BadImage, ImageFile
from pocketgan.data.images import guess_task


def reasons(report) -> dict[str, str]:
    """``{file name: reason}`` of the problems."""
    return {problem.path.rsplit("/", 1)[-1]: problem.reason for problem in report.problems}


@pytest.fixture
def pairs(put, tmp_path):
    for split, count in (("train", 6), ("test", 2)):
        for number in range(count):
            put(f"{split}/{number}.jpg", noise(number, (64, 32)))
    return tmp_path


def checked(path, *, task=None, full=True, **fields):
    return check(DataConfig(path=str(path), size=32, **fields), task=task, full=full)


def test_a_good_folder_is_ok(pairs):
    report = checked(pairs)
    assert report.ok
    assert report.task == "paired"
    report.raise_if_bad()
    lines = str(report).splitlines()
    assert [": 6 pairs" in lines[0], ": 2 pairs" in lines[1], lines[2:]] == [True, True, [f"{pairs} (paired): ok"]]


def test_every_bad_file_is_named_with_its_reason(pairs, put):
    (pairs / "train" / "0.jpg").write_bytes(b"")
    (pairs / "train" / "1.jpg").write_text("no image")
    put("train/3.jpg", noise(0, (65, 32)))
    whole = (pairs / "test" / "1.jpg").read_bytes()
    (pairs / "test" / "1.jpg").write_bytes(whole[:-100])
    assert reasons(checked(pairs, task="paired", full=False)) == {
        "0.jpg": "is an empty file (0 bytes)",
        "1.jpg": "is not an image that can be read (BMP, JPEG, PNG, PPM, TIFF, WEBP)",
        "3.jpg": "is 65x32, but the first files are A|B, two images side by side: take it out, or set data.aligned=true if it "
        "is one, too, and data.aligned=false if none is",
    }
    report = checked(pairs, task="paired")
    assert len(report.problems) == 4
    assert "truncated" in report.problems[-1].reason
    assert report.problems[-1].path == str(pairs / "test" / "1.jpg")
    with pytest.raises(ValueError, match=r"4 problems: .*0\.jpg: is an empty .* and 1 more\. .*pocketgan data check") as error:
        report.raise_if_bad()
    assert "\n" not in str(error.value)


def test_images_smaller_than_the_crop(put, tmp_path):
    put("1.png", noise(0, (40, 31)))
    put("2.png", noise(0, (32, 40)))
    report = checked(tmp_path, preprocess="crop")
    assert list(reasons(report)) == ["1.png"]
    assert "is 40x31, smaller than the 32x32 crop" in reasons(report)["1.png"]
    assert checked(tmp_path).notes == ("1 of 2 images are smaller than the crop: enlarged",)


def test_pairs_of_two_folders(put, tmp_path):
    for number in range(3):
        put(f"A/{number}.png", flat("A", number, (32, 32)))
        put(f"B/{number}.png", flat("B", number, (32, 32) if number else (32, 36)))
    report = checked(tmp_path)
    assert report.task == "paired"
    assert list(reasons(report)) == ["0.png"]
    assert "is 32x32 but its partner" in reasons(report)["0.png"]
    put("B/9.png", flat("B", 9))
    assert reasons(checked(tmp_path)) == {"9.png": f"has no partner of its name in {tmp_path}/A (the task unpaired needs none)"}
    assert checked(tmp_path, task="unpaired").ok


def test_an_empty_domain_and_a_missing_folder(put, tmp_path):
    put("trainA/1.png", flat("A", 1, (32, 32)))
    (tmp_path / "trainB").mkdir()
    report = checked(tmp_path, task="unpaired")
    assert [problem.reason.split(" (")[0] for problem in report.problems] == [f"{tmp_path}/trainB holds no images"]
    assert "does not exist" in str(check(str(tmp_path / "nowhere")))


def test_unusual_files_are_handled_and_counted(put, tmp_path):
    pixels = np.asarray(noise(0, (32, 32)))
    exif = Image.Exif()
    exif[0x0112] = 6
    put("gray1.png", Image.fromarray(pixels[..., 0]))
    put("gray2.jpg", Image.fromarray(pixels[..., 0]))
    put("deep.png", Image.fromarray(pixels[..., 0].astype(np.uint16) * 257))
    put("clear.png", Image.fromarray(np.dstack([pixels, pixels[..., :1]])))
    put("ink.jpg", Image.fromarray(pixels).convert("CMYK"))
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    report = checked(tmp_path)
    assert report.ok
    assert set(report.notes) == {
        "2 of 6 images are grayscale: read as RGB",
        "1 of 6 images have 16 bits: scaled to 8",
        "1 of 6 images are transparent: composited onto white",
        "1 of 6 images are CMYK: converted to RGB",
        "1 of 6 images are rotated as EXIF says",
    }


def test_every_problem_is_listed_and_files_of_both_splits_once(tmp_path, capsys):
    for number in range(30):
        (tmp_path / f"{number}.png").write_bytes(b"")
    report = checked(tmp_path, task="inputs")
    lines = str(report).splitlines()
    assert lines[2:] == [
        *(f"problem: {tmp_path}/{number}.png: is an empty file (0 bytes)" for number in range(30)),
        f"{tmp_path} (inputs): 30 problems",
    ]
    assert main(["data", "check", str(tmp_path), "--task", "inputs", "--size", "32", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found == report.to_json()
    assert (found["ok"], found["task"], len(found["problems"])) == (False, "inputs", 30)
    assert found["problems"][7] == {"path": f"{tmp_path}/7.png", "reason": "is an empty file (0 bytes)"}


def test_a_name_that_no_terminal_can_show_stays_on_one_line(tmp_path):
    name = b"a\nproblem: b\xff\x1b[2J.png"
    with open(bytes(tmp_path) + b"/" + name, "wb"):
        pass
    (problem,) = checked(tmp_path, task="inputs").problems
    assert str(problem) == f"{tmp_path}/a\\nproblem: b\\udcff\\x1b[2J.png: is an empty file (0 bytes)"
    with pytest.raises(BadImage) as caught:
        ImageFile(problem.path)
    assert str(caught.value) == str(problem)


def test_a_reason_that_names_such_a_file_stays_on_one_line_too(put, tmp_path):
    for ending in ("png", "jpg"):
        put(f"trainA/a\nb.{ending}", flat("A", 1))
    put("trainB/1.png", flat("B", 1))
    report = checked(tmp_path, task="paired")
    assert [str(problem).count("\n") for problem in report.problems] == [0]
    assert "have the same name" in report.problems[0].reason


@pytest.mark.parametrize("path", ["~nobody-of-this-name/images", "x" * 300, "x/" * 3000])
def test_a_folder_that_cannot_be_is_a_problem(path):
    assert not check(path).ok
    assert not check(path, task="paired").ok


def test_a_folder_that_cannot_be_listed_is_named(put, tmp_path, monkeypatch):
    put("train/1.png", flat("A", 1))
    listed = os.scandir

    def refuse(path):
        if str(path).endswith("train"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert f"{tmp_path}/train cannot be listed: Permission denied" in str(checked(tmp_path, task="inputs"))


@pytest.mark.parametrize(
    ("files", "task"),
    [
        (["trainA/1", "trainB/2"], "unpaired"),
        (["trainA/1_A", "trainB/1_B"], "paired"),
        (["A/1", "B/1"], "paired"),
        (["trainA/1"], "unpaired"),
        (["test/1"], "inputs"),
    ],
)
def test_the_task_is_guessed_from_the_folders(put, tmp_path, files, task):
    for name in files:
        put(f"{name}.png", flat("A", 0, (32, 32)))
    assert checked(tmp_path).task == task


def test_the_caller_decides_the_task_of_one_side_alone(put, tmp_path):
    """`data check` expects the other side, a student is trained from inputs alone."""
    put("trainA/1.png", flat("A", 0))
    config = DataConfig(path=str(tmp_path))
    assert (guess_task(config), guess_task(config, alone="inputs")) == ("unpaired", "inputs")


def test_built_in_sets_need_no_files():
    assert (check("shapes").ok, check("shapes").task, check("textures").task) == (True, "paired", "unpaired")
