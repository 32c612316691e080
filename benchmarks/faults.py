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
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import torch

from _common import publish
from _fault_attacks import KINDS, Attack
from _fault_runs import STUDENTS, TEACHERS, Campaign, interrupted, prepare
from _fault_sandbox import Ran, Watch, command, each_in_child


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
    tempfile.gettempdir()  # writes a file when it is called first
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
