"""Bad inputs of the campaign of faults: for each kind, a file drawn from a seed and the command that reads it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load

import _fault_inputs as inputs
from _fault_runs import CHEAP, TEACHERS, Campaign, flags_first


@dataclass(frozen=True)
class Attack:
    """A command on a bad input."""

    words: Sequence[str]
    names: str = ""
    """Text that a refusal has to contain."""
    must_fail: str = ""
    """Fault of the input, if no reading of it is right."""
    same: str = ""
    """File of the run whose bytes are those of the undamaged run if the command succeeds."""


def checkpoint(campaign: Campaign, rng: random.Random, folder: Path) -> Attack:
    """A published checkpoint of ``torch.save``: damaged, rewritten, or with weights that are none."""
    valid = (campaign.path / "valid" / "latest_net_G.pth").read_bytes()
    wrong, how = "", rng.randrange(10)
    if how < 4:
        data = inputs.damaged(valid, rng)
    elif how < 7:
        data = inputs.pickle_attack(valid, rng)
    elif how < 8:
        data, wrong = inputs.bare_pickle(rng), "no checkpoint"
    else:
        state = torch.load(campaign.path / "valid" / "latest_net_G.pth", weights_only=True)
        spoiled, wrong = inputs.spoiled_state(state, rng, pickled=True)
        data = inputs.saved(spoiled, rng)
    file = _write(folder / f"{rng.choice(('a', *inputs.HOSTILE_NAMES)).replace('/', '')}_net_G.pth", data)
    return Attack(_reader(rng, file, folder), _printed(file.name), wrong)


def artifact(campaign: Campaign, rng: random.Random, folder: Path) -> Attack:
    """An artifact: damaged, with a twisted header, or with weights that are none."""
    files = map(campaign.teacher, ("paired", "labels", "unconditional", "multimodal"))
    valid = rng.choice([file for file in files if file.exists()]).read_bytes()
    wrong, how = "", rng.randrange(10)
    if how < 3:
        data = inputs.damaged(valid, rng)
    elif how < 7:
        data = inputs.header_attack(valid, rng)
    else:
        spoiled, wrong = inputs.spoiled_state(load(valid), rng, pickled=False)
        data = inputs.artifact_of(spoiled, valid)
    file = _write(folder / "net.safetensors", data)
    words = _reader(rng, file, folder)
    return Attack(words, file.name, "" if words[0] == "inspect" else wrong)


def _reader(rng: random.Random, file: Path, folder: Path) -> list[str]:
    """A command that reads a generator; ``inspect`` of an artifact reads its header only."""
    name, out = str(file), str(folder / "out")
    compress = ["compress", name, "--data", "shapes", "--out", out, "--objective", "output", *CHEAP]
    convert = ["convert", name, "--out", f"{out}{'.pth' if file.suffix == '.safetensors' else '.safetensors'}"]
    draw = ["generate", name, "--out", f"{out}.png", "--seeds", "0"]
    return flags_first(rng.choice((["inspect", name], convert, convert, draw, [*compress, "--dry-run"])))


def image(campaign: Campaign, rng: random.Random, folder: Path) -> Attack:
    """A folder of two good images and a bad one: hostile, damaged, or odd but right."""
    ending = rng.choice(list(inputs.FORMATS))
    how = rng.randrange(4)
    data = inputs.hostile_image(rng) if how == 0 else inputs.image_bytes(rng, ending)
    data = inputs.damaged(data, rng) if how > 1 and data else data
    for index in range(2):
        _write(folder / "images" / f"good{index}.png", inputs.image_bytes(rng, "png"))
    file = _write(folder / "images" / f"bad.{rng.choice((ending, ending, 'png', 'jpg'))}", data)
    words = ["data", "check", str(file.parent), "--size", "16"]
    return Attack([*words, *rng.choice(([], ["--task", "inputs"], ["--task", "unconditional"]))])


def archive(campaign: Campaign, rng: random.Random, folder: Path) -> Attack:
    """An archive with hostile entries."""
    data, ending = inputs.hostile_archive(rng)
    file = _write(folder / f"data{ending}", data)
    return Attack(["unpack", str(file), str(folder / "images")], file.name)


def configuration(campaign: Campaign, rng: random.Random, folder: Path) -> Attack:
    """Fields, flags and environment with values of wrong types and sizes."""
    compress = rng.random() < 0.6
    out = str(folder / "run")
    words = ["compress", str(campaign.teacher("paired")), "--data", "shapes", "--out", out, *CHEAP]
    if not compress:
        words = ["train", "--task", rng.choice(list(TEACHERS)), "--data", "shapes", "--out", out, *CHEAP]
    fields = _fields(compress=compress)
    for _ in range(rng.randrange(1, 4)):
        value = rng.choice(inputs.ODD_VALUES)
        text = rng.choice((json.dumps(value, ensure_ascii=False), str(value), "[" * rng.choice((1, 5_000)), "-1e400", "1e400"))
        if rng.random() < 0.7:
            words.append(f"{rng.choice(fields)}={text}")
        else:
            flag = rng.choice(
                ("--size", "--steps", "--batch", "--seed", "--device", *(["--budget", "--method"] if compress else []))
            )
            words.append(f"{flag}={text}")
    clean = [word.replace("\x00", "0").encode("utf-8", "replace").decode() for word in words]
    return Attack(flags_first([*clean, "--dry-run"]))


def _fields(*, compress: bool) -> list[str]:
    """Dotted names of all fields of a configuration, and some that are none."""
    from pocketgan.core.config import to_json
    from pocketgan.recipes import RECIPES

    config = to_json(RECIPES["quickstart-student" if compress else "quickstart-teacher"]())
    named = [".".join(map(str, path)) for path in inputs.places(config)[1:]]
    return [*named, "", "=", "a.b.c", "method_options.least", "arch_options.ngf", "fit.decay", "recovery..lr"]


def run_directory(campaign: Campaign, rng: random.Random, folder: Path) -> Attack:
    """A run with a damaged file: killed in its search or recovery and resumed up to its student, or finished and reported."""
    state = rng.choice(("search", "recover", "whole"))
    run = folder / "run"
    shutil.copytree(campaign.path / "valid" / state / "run", run)
    file = rng.choice(sorted(file for file in run.rglob("*") if file.is_file() and file.name != ".lock"))
    _damage_file(file, rng)
    if state == "whole":
        return Attack(["report", "run", "--out", str(folder / "report.html")])
    words = campaign.run_words("gan-compression")
    return Attack([words[0], "--resume", "--to", "recover", *words[1:]], same="student.safetensors")


def _damage_file(file: Path, rng: random.Random) -> None:
    how = rng.randrange(6)
    if how == 0:
        file.unlink()
        os.mkfifo(file)
    elif file.suffix in (".json", ".jsonl") and how < 4:
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        place = rng.randrange(len(lines))
        twisted = inputs.twisted_text(json.loads(lines[place]), rng)
        file.write_bytes(b"\n".join(twisted if n == place else line.encode() for n, line in enumerate(lines)))
    elif file.suffix == ".png" and how < 3:
        file.write_bytes(inputs.hostile_image(rng))
    else:
        file.write_bytes(inputs.damaged(file.read_bytes(), rng))


def onnx(campaign: Campaign, rng: random.Random, folder: Path) -> Attack:
    """An ONNX file, damaged, as an extractor of features."""
    file = _write(folder / "net.onnx", inputs.damaged((campaign.path / "valid" / "model.onnx").read_bytes(), rng))
    return Attack(["stats", "textures", "--side", "A", "--features", str(file), "--out", str(folder / "s.npz"), "--size", "16"])


def _write(file: Path, data: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def _printed(name: str) -> str:
    """The part of a file's name that a terminal shows unchanged."""
    return re.split(r"[^\w.-]", name)[-1]


Kind = Callable[[Campaign, random.Random, Path], Attack]
KINDS: Mapping[str, tuple[Kind, int]] = {
    "checkpoint": (checkpoint, 24),
    "artifact": (artifact, 24),
    "image": (image, 24),
    "archive": (archive, 8),
    "configuration": (configuration, 12),
    "run_directory": (run_directory, 6),
    "onnx": (onnx, 2),
}
"""Kinds of inputs, and their shares in a hundred."""
