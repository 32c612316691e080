"""What is read is said; what could be read in two ways is asked, and the advice in the question works."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from made import flat, identify
from PIL import Image

from pocketgan.cli import main
from pocketgan.data.config import DataConfig
from pocketgan.data.images import ImageData, guess_task, open_data

pytestmark = pytest.mark.filterwarnings("ignore:.*has no test images")


def opened(path: object, task: str = "paired", split: str = "train", **fields: object) -> ImageData:
    return open_data(DataConfig(path=str(path), size=16, **fields), task, split)


def contents(data: ImageData) -> list[dict[str, tuple[str, int]]]:
    return [{role: identify(image) for role, image in data.load(index, None).items()} for index in range(len(data))]


def pairs(*numbers: int) -> list[dict[str, tuple[str, int]]]:
    return [{"input": ("A", number), "target": ("B", number)} for number in numbers]


@pytest.fixture
def sides(put):
    """Function that writes two images a side under two names with ``{}`` for the number."""

    def write(first: str, second: str, numbers: tuple[int, ...] = (1, 2)) -> None:
        for side, pattern in (("A", first), ("B", second)):
            for number in numbers:
                put(pattern.format(number), flat(side, number))

    return write


LAYOUTS = {
    "pix2pixHD": ("train_A/{}.png", "train_B/{}.png", "train_A and train_B"),
    "capitals": ("TrainA/{}.png", "TrainB/{}.png", "TrainA and TrainB"),
    "nested": ("A/train/{}.png", "B/train/{}.png", "A/train and B/train"),
    "GoPro": ("train/blur/{}.png", "train/sharp/{}.png", "train/blur and train/sharp"),
    "LoL": ("low/{}.png", "high/{}.png", "low and high"),
    "super-resolution": ("LR/{}.png", "HR/{}.png", "LR and HR"),
    "segmentation": ("images/{}.png", "masks/{}.png", "images and masks"),
    "input": ("input/{}.png", "target/{}.png", "input and target"),
    "source": ("Source/{}.png", "Targets/{}.png", "Source and Targets"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_read_as_pairs_and_said(sides, tmp_path, layout):
    first, second, names = LAYOUTS[layout]
    sides(first, second)
    assert guess_task(DataConfig(path=str(tmp_path))) == "paired"
    data = opened(tmp_path)
    assert contents(data) == pairs(1, 2)
    assert f"(train): 2 pairs, two folders {names}, paired by name, AtoB, of 16x16, scaled to 16x16" in data.describe()


def test_square_images_are_no_pairs(put, tmp_path):
    put("1.png", flat("A", 1))
    with pytest.raises(ValueError, match=r"holds single images \(16x16\), but the task is paired") as error:
        opened(tmp_path)
    assert "data.aligned=true" in str(error.value)
    assert opened(tmp_path, aligned=True).counts == {"input": 1, "target": 1}


def test_a_file_of_another_shape_among_aligned_ones_is_not_halved(put, tmp_path):
    for number in range(9):
        put(f"{number}.png", flat("A", number, (16, 16) if number == 8 else (32, 16)))
    with pytest.raises(ValueError, match=r"8\.png: is 16x16, but the first files are A\|B"):
        opened(tmp_path).load(8, None)


def test_two_folders_anywhere(sides, tmp_path):
    sides("mine/{}.png", "theirs/deep/{}.png")
    data = opened(tmp_path / "mine", targets=str(tmp_path / "theirs" / "deep"))
    assert contents(data) == pairs(1, 2)
    assert "two folders mine and theirs/deep, paired by name" in data.describe()
    back = opened(tmp_path / "mine", targets=str(tmp_path / "theirs" / "deep"), direction="BtoA")
    assert contents(back)[0] == {"input": ("B", 1), "target": ("A", 1)}


def test_two_folders_with_splits_are_read_by_split(sides, tmp_path):
    sides("mine/train/{}.png", "theirs/training/{}.png")
    sides("mine/val/{}.png", "theirs/valid/{}.png", (5,))
    fields = {"targets": str(tmp_path / "theirs")}
    assert contents(opened(tmp_path / "mine", **fields)) == pairs(1, 2)
    assert contents(opened(tmp_path / "mine", split="test", **fields)) == pairs(5)
    sides("mine/test/{}.png", "mine/test/sub/{}.png", (6,))
    with pytest.raises(
        ValueError, match=r"need the same split folders, but .*/mine has train, test, val, .*/theirs has train, val"
    ):
        opened(tmp_path / "mine", **fields)


def test_patterns_are_matched_by_what_their_wildcards_stand_for(sides, put, tmp_path):
    sides("all/s1/{}_in.png", "all/s1/{}_gt.bmp")
    sides("all/s2/{}_in.png", "all/s2/{}_gt.bmp", (3,))
    put("all/s2/3_other.png", flat("A", 99))
    data = opened(f"{tmp_path}/all/*/*_in.png", targets=f"{tmp_path}/all/*/*_gt.*")
    with pytest.raises(ValueError, match="has no partner"):
        opened(f"{tmp_path}/all/*/*_in.png", targets=f"{tmp_path}/all/s2/*_gt.bmp")
    assert data.names == ("s1/1", "s1/2", "s2/3")
    assert contents(data) == pairs(1, 2, 3)


def test_a_pattern_alone_is_images_of_one_kind(put, tmp_path):
    for name in ("a/1.png", "a/sub/2.png", "b/3.png", "c.txt/4.png"):
        put(name, flat("A", int(name[-5])))
    assert [one["input"][1] for one in contents(opened(f"{tmp_path}/[ab]", "inputs"))] == [1, 2, 3]
    with pytest.raises(ValueError, match=r"x\* matches no images"):
        opened(f"{tmp_path}/x*", "inputs")
    with pytest.raises(ValueError, match=r"\*\* is not read"):
        opened(f"{tmp_path}/**/1.png", "inputs")


def test_inputs_and_targets_do_not_overlap(sides, tmp_path):
    sides("all/{}.png", "all/sub/{}.png")
    for targets in ("all", "all/sub"):
        with pytest.raises(ValueError, match="inputs and targets overlap"):
            opened(tmp_path / "all", targets=str(tmp_path / targets))
    with pytest.raises(ValueError, match="inputs and targets overlap"):
        opened(f"{tmp_path}/all/*", "unpaired", targets=f"{tmp_path}/all/1*")
    with pytest.raises(ValueError, match=r"targets=x: the built-in set shapes has its own"):
        opened("shapes", targets="x")


TWO_WAYS = {
    "two kinds of sides": ["low/{}.png high/{}.png", "A/{}.png B/{}.png"],
    "two spellings": ["trainA/{}.png trainB/{}.png", "train_A/{}.png train_B/{}.png"],
    "sides with and without splits": ["trainA/{}.png trainB/{}.png", "input/{}.png target/{}.png"],
    "sides and files": ["trainA/{}.png trainB/{}.png", "train/{}.png train/{}.bmp"],
    "more folders": ["a/{}.png b/{}.png", "c/{}.png d/{}.png"],
    "a class that is called train": ["train/{}.png train/{}.bmp", "car/{}.png car/{}.bmp"],
    "labels and masks": ["images/{}.png masks/{}.png", "labels/{}.png labels2/{}.png"],
}


def test_the_question_names_sides_with_splits_before_a_reading_as_one_folder(sides, tmp_path):
    sides("trainA/{}.png", "trainB/{}.png")
    sides("input/{}.png", "target/{}.png")
    with pytest.raises(ValueError, match=r"as two folders trainA and trainB .*, or as two folders input and target"):
        guess_task(DataConfig(path=str(tmp_path)))


@pytest.mark.parametrize("case", TWO_WAYS)
def test_two_ways_are_asked_and_each_answer_works(sides, put, tmp_path, case):
    for pair in TWO_WAYS[case]:
        sides(*pair.split())
    for path in [*(tmp_path / "labels").glob("*.png"), *(tmp_path / "labels2").glob("*.png")]:
        Image.new("L", (16, 16), 1).save(path)
    with pytest.raises(ValueError, match=r"can be read in two ways: .*, or as") as error:
        guess_task(DataConfig(path=str(tmp_path)))
    advice = [match.strip("(): ") for match in re.findall(r"\((--[^()]*)\)", str(error.value))]
    assert len(advice) == 2
    for flags in advice:
        words = shlex.split(flags)
        given = dict(zip(words[::2], words[1::2], strict=True))
        targets = ["--targets", given["--targets"]] if "--targets" in given else []
        task = ["--task", given.get("--task", "paired" if targets else "inputs")]
        classes = ["--classes", "2"] if given.get("--task") else []
        assert main(["data", "check", given.get("--data", str(tmp_path)), *targets, *task, *classes, "--size", "16"]) == 0


def test_a_layout_further_inside_is_asked_and_each_answer_works(sides, put, tmp_path):
    for scene in ("s1", "s2"):
        sides(scene + "/blur/{}.png", scene + "/sharp/{}.png")
    with pytest.raises(ValueError, match="s1 has folders of a data set, blur and sharp: give") as error:
        opened(tmp_path, "inputs")
    for flags, count in zip(re.findall(r"--data [^,]*?(?=,| for|$)", str(error.value)), (2, 4, 8), strict=True):
        words = shlex.split(flags)
        targets = {"targets": words[3]} if len(words) == 4 else {}
        assert len(opened(words[1], "paired" if targets else "inputs", **targets)) == count


def test_a_split_further_inside_is_asked_unless_it_holds_everything(put, tmp_path):
    put("archive/train/1.png", flat("A", 1))
    assert len(opened(tmp_path, "inputs")) == 1
    put("2.png", flat("A", 2))
    with pytest.raises(ValueError, match=r"archive has folders of a data set, train: give --data .*archive/train, or"):
        opened(tmp_path, "inputs")
    assert len(opened(tmp_path / "archive" / "train", "inputs")) == 1


def test_what_is_not_read_is_said(sides, put, tmp_path):
    sides("trainA/{}.png", "trainB/{}.png")
    put("extra/1.png", flat("A", 1))
    put("cover.png", flat("A", 1))
    for name in ("1.heic", "2.HEIC", "3.exr", "notes.txt"):
        (tmp_path / "trainA" / name).write_bytes(b"")
    line = opened(tmp_path).describe()
    assert "not read: 2 .heic, 1 .exr," in line
    assert "not read: extra, 1 images beside these folders" in line


def test_linked_folders_are_followed_and_loops_found(sides, tmp_path):
    sides("far/low/{}.png", "far/high/{}.png")
    (tmp_path / "here").mkdir()
    for name in ("low", "high"):
        (tmp_path / "here" / name).symlink_to(tmp_path / "far" / name)
    assert contents(opened(tmp_path / "here")) == pairs(1, 2)
    (tmp_path / "far" / "low" / "round").symlink_to(tmp_path / "far")
    with pytest.raises(
        ValueError, match=r"low/round is a link to .*/far, a folder that holds the link itself: remove the link"
    ):
        opened(tmp_path / "here")


def test_two_links_that_lead_in_a_circle_are_found(put, tmp_path):
    put("a/1.png", flat("A", 1))
    put("b/2.png", flat("A", 2))
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")
    with pytest.raises(ValueError, match=r"is a link to .*, a folder that holds the link itself"):
        opened(tmp_path / "a", "inputs")


def test_a_run_says_how_it_read_its_data(sides, tmp_path, capsys):
    sides("x/{}.png", "y/{}.png")
    words = ["data", "check", str(tmp_path / "x"), "--targets", str(tmp_path / "y"), "data.limit=1", "--size", "16"]
    assert main(words) == 0
    assert "1 pairs, two folders x and y" in capsys.readouterr().out
    assert main([*words[:3], "recovery.lr=1"]) == 2
    assert "'recovery.lr=1' is no field of the data" in capsys.readouterr().err


def test_the_working_folder_does_not_matter(sides, tmp_path, monkeypatch):
    sides("x/{}.png", "y/{}.png")
    monkeypatch.chdir(tmp_path)
    assert contents(opened("x", targets="y")) == pairs(1, 2)
    assert contents(opened("x", targets=os.path.join(os.getcwd(), "y"))) == pairs(1, 2)
    assert contents(opened("x/*", targets="./y/*")) == pairs(1, 2)
    assert Path("x").is_dir()


def test_label_maps_in_colors_are_read_as_pairs_by_the_flags_that_are_advised(sides, tmp_path):
    sides("labels/{}.png", "images/{}.png")
    with pytest.raises(ValueError, match="holds label maps and photos, but the task is paired") as error:
        opened(tmp_path)
    words = shlex.split(str(error.value).partition("in colors, ")[2])
    assert words[::2] == ["--data", "--targets"]
    assert contents(opened(words[1], targets=words[3])) == pairs(1, 2)
