"""Folder trees drawn from the grammar of the layouts: each is read as it is meant, or refused."""

from __future__ import annotations

import io
import tempfile
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.data.layout import SIDE_NAMES, SPLIT_NAMES

SIDE = 4
SPLITS = {"train": 10, "test": 20, "val": 30}
STRAY = 99
"""Blue value of images that are no part of what is meant."""
Content = dict[str, set[tuple[str, int, int]]]
"""Side, number and split of the images of each role."""


@cache
def png(side: str, number: int, split: int, *, aligned: bool = False) -> bytes:
    """Image whose color names its side, number and split; an aligned one has side A on the left and B on the right."""
    sides = "AB" if aligned else side
    pixels = np.concatenate(
        [np.full((SIDE, SIDE, 3), ("AB".index(one) * 100 + 50, number, split), np.uint8) for one in sides], 1
    )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def seen(pixels: np.ndarray) -> tuple[str, int, int]:
    """Side, number and split of an image of `png`."""
    assert (pixels == pixels[0, 0]).all()
    red, green, blue = pixels[0, 0].tolist()
    return "AB"[red // 100], green, blue


@dataclass
class Tree:
    """Files of a folder, and what they mean."""

    files: dict[str, bytes] = field(default_factory=dict)
    two_sides: bool = True
    """True for images of both sides, in two folders or aligned."""
    splits: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    """Folders whose images are read, with all below them."""
    disturbed: set[str] = field(default_factory=set)
    """Kinds of what lies beside, that may be refused."""

    def meaning(self, task: str, split: str, direction: str) -> Content:
        """Images that a task has to get."""
        searched = ("train",) if split == "train" or not self.splits else ("test", "val", "train")
        name = next(name for name in searched if name in self.splits or not self.splits)
        blue, sides = SPLITS[name], ("A", "B") if direction == "AtoB" else ("B", "A")
        if not self.two_sides:
            sides = ("A", "A")
        content = {"input": {(sides[0], number, blue) for number in (1, 2)}}
        if task != "inputs":
            content["target"] = {(sides[1], number, blue) for number in (1, 2)}
        return content


def spelled(draw: st.DrawFn, *words: str) -> str:
    """Name of these words in any capitals, with any separator."""
    cased = [draw(st.sampled_from([word, word.upper(), word.capitalize()])) for word in words]
    return draw(st.sampled_from(["", "-", "_", " "])).join(cased)


def names_of_sides(draw: st.DrawFn, sides: tuple[tuple[str, ...], tuple[str, ...]]) -> dict[str, str]:
    return {side: draw(st.sampled_from(names)) for side, names in zip("AB", sides, strict=True)}


def folders(draw: st.DrawFn, words: dict[str, str], splits: dict[str, str], arrangement: str) -> dict[tuple[str, str], str]:
    """Folder of each side and split."""
    side_names = {side: spelled(draw, word) for side, word in words.items()}
    split_names = {split: spelled(draw, word) for split, word in splits.items()}
    return {
        (side, split): {
            "joined": lambda side=side, split=split: spelled(draw, splits[split], words[side]),
            "reversed": lambda side=side, split=split: spelled(draw, words[side], splits[split]),
            "side first": lambda side=side, split=split: f"{side_names[side]}/{split_names[split]}",
            "split first": lambda side=side, split=split: f"{split_names[split]}/{side_names[side]}",
            "unsplit": lambda side=side: side_names[side],
        }[arrangement]()
        for side in words
        for split in splits
    }


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """A tree of one layout, perhaps with something beside."""
    tree = Tree()
    arrangement = draw(st.sampled_from(["joined", "reversed", "side first", "split first", "unsplit", "files", "aligned"]))
    evaluated = draw(st.sampled_from(["", "test", "val", "both"]))
    unsplit = arrangement == "unsplit" or (arrangement in ("files", "aligned") and draw(st.booleans()))
    chosen = {"train", *({"test", "val"} if evaluated == "both" else {evaluated} if evaluated else ())}
    splits = {
        split: draw(st.sampled_from(SPLIT_NAMES[split])) for split in SPLITS if split in ({"train"} if unsplit else chosen)
    }
    tree.splits = set() if unsplit else set(splits)
    family = draw(st.sampled_from(SIDE_NAMES))
    if arrangement in ("files", "aligned"):
        tree.two_sides = arrangement == "aligned"
        below = draw(st.sampled_from(["", "cats/", "1/2/"]))
        for split, word in splits.items():
            folder = "" if unsplit else spelled(draw, word) + "/"
            tree.read.add(folder)
            for number in (1, 2):
                tree.files[f"{folder}{below}{number}.png"] = png("A", number, SPLITS[split], aligned=tree.two_sides)
    else:
        for (side, split), folder in folders(draw, names_of_sides(draw, family), splits, arrangement).items():
            tree.read.add(folder)
            for number in (1, 2):
                tree.files[f"{folder}/{number}.png"] = png(side, number, SPLITS[split])
    for kind in draw(
        st.sets(st.sampled_from(["none", "harmless", "loose", "extra", "other sides", "other splits", "wrapped"]), max_size=2)
    ):
        disturb(draw, tree, kind, family)
    return tree


def disturb(draw: st.DrawFn, tree: Tree, kind: str, family: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """Put something beside the files of the layout."""
    above = sorted({str(parent) for folder in tree.read for parent in Path(folder).parents})
    if kind == "none" or (kind in ("loose", "extra") and not above):
        return
    if kind == "harmless":
        tree.files |= {".hidden/train/1.png": png("A", 7, STRAY), "notes.txt": b"", "film.gif": b"", "real_stat/A.npz": b""}
        return
    tree.disturbed.add(kind)
    if kind == "loose":
        tree.files[str(Path(draw(st.sampled_from(above)), "loose.png"))] = png("A", 7, STRAY)
    elif kind == "extra":
        parent, name = draw(st.sampled_from(above)), draw(st.sampled_from(["extra", "c", "labels2", "normal"]))
        tree.files[str(Path(parent, name, "1.png"))] = png("A", 7, STRAY)
    elif kind == "other sides":
        parent = draw(st.sampled_from(["", "train"]))
        for side, name in names_of_sides(draw, draw(st.sampled_from([one for one in SIDE_NAMES if one != family]))).items():
            tree.files[str(Path(parent, spelled(draw, name), "1.png"))] = png(side, 7, STRAY)
    elif kind == "other splits":
        split = draw(st.sampled_from(sorted(tree.splits or {"train"})))
        folder = spelled(draw, draw(st.sampled_from(SPLIT_NAMES[split]))) + "/"
        if folder not in tree.read:
            tree.files[f"{folder}7.png"] = png("A", 7, STRAY)
    else:
        tree.files = {f"archive/{name}": content for name, content in tree.files.items()}


def read(root: Path, task: str, split: str, direction: str) -> Content:
    """Images that a task gets."""
    data = open_data(DataConfig(path=str(root), direction=direction, preprocess="none"), task, split)
    content: Content = {}
    for role, count in data.counts.items():
        opened = [data.source.open({role: index}) for index in range(count)]
        content[role] = {seen(one.pixels({role: data.plan(one, role)})[role]) for one in opened}
    if task == "paired":
        for index in range(len(data)):
            pair = {role: seen(image) for role, image in data.load(index, None).items()}
            assert pair["input"][1:] == pair["target"][1:]
    return content


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(trees(), st.sampled_from(["paired", "unpaired", "inputs"]), st.sampled_from(["AtoB", "BtoA"]))
@pytest.mark.filterwarnings("ignore:.*has no test images")
def test_a_tree_is_read_as_meant_or_refused(tree: Tree, task: str, direction: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in tree.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for split in ("train", "test"):
            may_be_refused = bool(tree.disturbed) or (task != "inputs" and not tree.two_sides)
            with suppress(ValueError) if may_be_refused else nullcontext():
                assert read(Path(folder), task, split, direction) == tree.meaning(task, split, direction)
