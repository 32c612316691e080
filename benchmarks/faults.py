"""Campaign of faults: interrupted runs that must end in the same bytes, and damaged or hostile inputs that must be refused.

    python benchmarks/faults.py --kills 1000 --inputs 10000 --out runs/faults

Every case follows from its kind and seed. A finished case is a line of ``OUT/cases.jsonl`` and is not repeated; the same
command goes on after an interruption, and ``--first 10000`` adds other seeds. Each case is bounded in seconds and memory
(`_fault_sandbox.py`) and watched: programs that it starts and files that it writes elsewhere are faults of the product.

Verdicts. Of inputs: ``ok`` (read, or refused in words that name the file), ``traceback``, ``escaped`` (exit code 70),
``wrong success`` (what no loader may accept was accepted), ``no file named``, ``no reason``, ``program``, ``wrote elsewhere``,
``noise`` (text of a library), ``memory``, ``hang``, ``crash``. Of interrupted runs: ``ok`` (resumed to the same bytes),
``lost`` (other bytes), ``stuck`` (not resumed), ``leftovers``, ``mute`` (a signal or full disk without a word), ``traceback``,
``escaped``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import re
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import torch
from safetensors.torch import load

import _fault_inputs as inputs
from _common import publish
from _fault_runs import CHEAP, STUDENTS, TEACHERS, Campaign, flags_first, interrupted, prepare
from _fault_sandbox import Ran, Watch, command, each_in_child


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


def attacked(campaign: Campaign, kind: str, seed: int, watch: Watch) -> dict[str, Any]:
    """Row of one bad input; run in a child."""
    rng = random.Random(f"{kind} {seed}")
    folder = campaign.path / "attacked" / f"{kind}-{seed}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    attack = KINDS[kind][0](campaign, rng, folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    os.chdir(folder)
    with watch.inside(campaign.path) as events:
        if attack.words[0] == "unpack":
            ran = _unpacked(Path(attack.words[1]), Path(attack.words[2]))
        else:
            ran = command(attack.words, folder / "output.txt")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    verdict, detail = verdict_of(ran, attack, events, grown)
    if verdict == "ok" and ran.code == 0 and attack.same:
        reference = campaign.path / "valid" / "whole" / "run" / attack.same
        if (folder / "run" / attack.same).read_bytes() != reference.read_bytes():
            verdict, detail = "lost", f"{attack.same} has other bytes: {ran.text[-400:]}"
    os.chdir(campaign.path)
    shutil.rmtree(folder, ignore_errors=True)
    row = {"verdict": verdict, "code": ran.code, "seconds": round(ran.seconds, 2), "MiB": grown}
    return row | ({} if verdict == "ok" else {"words": list(attack.words), "detail": detail})


def _unpacked(file: Path, target: Path) -> Ran:
    from pocketgan.utils.archive import unpack

    try:
        unpack(file, target)
    except (ValueError, OSError) as error:
        return Ran(2, f"error: {error}", 0.0)
    except Exception as error:
        return Ran(None, f"Traceback (most recent call last): {error!r}", 0.0)
    return Ran(0, "", 0.0)


NOISE = re.compile(r"^.*(?:Warning:|TIFF\w+:|libpng|Premature end of JPEG|\[E:onnxruntime|\[W:onnx).*$", re.MULTILINE)


def verdict_of(ran: Ran, attack: Attack, events: Iterable[str], grown: int) -> tuple[str, str]:
    """Verdict on a command, and what it rests on."""
    if events := list(events):
        return ("program" if events[0].startswith("program") else "wrote elsewhere"), "; ".join(events)[:500]
    if ran.code is None or "Traceback (most recent" in ran.text:
        return "traceback", ran.text[-1200:]
    if ran.code == 70:
        return "escaped", ran.text[-600:]
    if ran.code == 0 and attack.must_fail:
        return "wrong success", attack.must_fail
    if ran.code not in (0, 2):
        return "exit", f"{ran.code}: {ran.text[-300:]}"
    if grown > 2000:
        return "memory", f"{grown} MiB"
    if noise := NOISE.search(ran.text):
        return "noise", noise[0][:300]
    if ran.code == 2 and attack.names not in ran.text:
        return "no file named", ran.text[-400:]
    if ran.code == 2 and not re.search(r"error: \S|╭─+ \w", ran.text):
        return "no reason", ran.text[-400:]
    return "ok", ""


def _write(file: Path, data: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def _printed(name: str) -> str:
    """The part of a file's name that a terminal shows unchanged."""
    return re.split(r"[^\w.-]", name)[-1]


def input_cases(
    campaign: Campaign, count: int, first: int, watch: Watch
) -> list[tuple[str, int, Callable[[], dict[str, Any]]]]:
    """``count`` cases of all kinds by their shares, from the seed ``first`` on."""
    total = sum(share for _, share in KINDS.values())
    return [
        (kind, first + index, partial(attacked, campaign, kind, first + index, watch))
        for kind, (_, share) in KINDS.items()
        for index in range(round(count * share / total))
    ]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Rows of the finished cases."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


PRELOADED = (
    *("pocketgan.pipeline.compress", "pocketgan.pipeline.train", "pocketgan.report.figures", "optuna", "onnxscript"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "onnx", "onnxruntime", "torch.onnx"),
)
"""Modules that every child would import; none of them starts a thread."""


def main() -> None:
    """Run the cases that are not finished, and print the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 100), ("inputs", 1000), ("first", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--kinds", default="", help="only these kinds of inputs or runs, with commas")
    parser.add_argument("--out", type=Path, default=Path("runs/faults"))
    parser.add_argument("--publish", type=Path, nargs="+", help="folders of campaigns: print their figures as JSON, and stop")
    arguments = parser.parse_args()
    if arguments.publish:
        publish("faults", figures([row for out in arguments.publish for row in rows_of(out / "cases.jsonl")]), None)
        return
    torch.set_num_threads(1)
    campaign, watch = Campaign(arguments.out.resolve()), Watch()
    campaign.path.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, arguments.kinds.split(",")))
    for module in PRELOADED:
        importlib.import_module(module)
    prepare(campaign)
    log = campaign.path / "cases.jsonl"
    done = {(row["kind"], row["seed"]) for row in rows_of(log)}
    start = time.monotonic()

    def write(kind: str, seed: int, row: Mapping[str, Any]) -> None:
        with log.open("a") as file:
            file.write(json.dumps({"kind": kind, "seed": seed, **row}) + "\n")
        if row["verdict"] != "ok":
            print(kind, seed, row["verdict"], str(row.get("detail", ""))[-300:].replace("\n", " | "), flush=True)

    cases = [case for case in input_cases(campaign, arguments.inputs, arguments.first, watch) if case[:2] not in done]
    cases = [case for case in cases if not only or case[0] in only]
    for (kind, seed, _), row in zip(cases, each_in_child([case for *_, case in cases]), strict=True):
        write(kind, seed, row)
    names = [name for name in (*STUDENTS, *(f"train {task}" for task in TEACHERS)) if not only or name in only]
    kills = sum(sum(row["faults"].values()) for row in rows_of(log) if "faults" in row)
    seed = arguments.first
    while kills < arguments.kills and names:
        for name in names:
            if (name, seed) not in done and kills < arguments.kills:
                row = interrupted(campaign, name, seed)
                kills += sum(row["faults"].values())
                write(name, seed, row)
        seed += 1
    rows = rows_of(log)
    _summary(rows, time.monotonic() - start)
    if bad := sum(row["verdict"] != "ok" for row in rows):
        raise SystemExit(f"{bad} of {len(rows)} cases are faults of the product")


def figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Verdicts of inputs by kind and of runs by method or task, and the interruptions."""
    table: dict[str, dict[str, Counter[str]]] = {"inputs": {}, "runs": {}}
    interruptions = Counter[str]()
    for row in rows:
        interruptions.update(row.get("faults", {}))
        table["runs" if "faults" in row else "inputs"].setdefault(row["kind"], Counter())[row["verdict"]] += 1
    return {**table, "interruptions": interruptions}


def _summary(rows: list[dict[str, Any]], seconds: float) -> None:
    table: dict[str, Counter[str]] = {}
    for row in rows:
        table.setdefault(row["kind"], Counter())[row["verdict"]] += 1
    faults = sum((Counter(row["faults"]) for row in rows if "faults" in row), Counter[str]())
    for kind, verdicts in table.items():
        counts = "  ".join(f"{verdict} {count}" for verdict, count in verdicts.most_common())
        print(f"{kind:22} {sum(verdicts.values()):6}  {counts}")
    print(f"interruptions: {dict(faults)}; {seconds:.0f} s in this call")


if __name__ == "__main__":
    main()
