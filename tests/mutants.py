"""Plant faults in the source, one at a time, and report which of them the tests catch.

    pip install pytest-cov
    python tests/mutants.py --out mutants.json                          # this tree
    python tests/mutants.py --root OTHER_CHECKOUT --packages core,...   # another one

The suite runs once under coverage, which records the tests that execute each line. Each fault is then planted in a copy of the
source, and the tests that execute its line run against that copy, the quickest first, until one fails; then the tests of
the same group, which use what the first of them built. Faults are drawn with a fixed seed; results are written after each
fault, and a second call goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = "core,pruning,losses,metrics,training,search,data"
SEED = 0
SWAPPED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)
SECONDS = 60.0
"""Recorded duration of the tests that are tried on one fault, at most."""


@dataclass(frozen=True)
class Fault:
    """One change of one place in the source."""

    file: str
    """Relative to the source folder."""
    line: int
    kind: str
    start: int
    """Offset in the file's bytes."""
    end: int
    before: str
    after: str


def faults(source: Path, file: Path) -> Iterator[Fault]:
    """Every fault that could be planted in ``file``."""
    data = file.read_bytes()
    starts = [0]
    for row in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))

    def span(node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    def text(node: ast.expr) -> str:
        start, end = span(node)
        return data[start:end].decode()

    def fault(kind: str, node: ast.expr, after: str) -> Fault:
        start, end = span(node)
        return Fault(str(file.relative_to(source)), node.lineno, kind, start, end, text(node), after)

    for node in _code(ast.parse(data)):
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                sign = ast.unparse(ast.BinOp(ast.Name("a"), op, ast.Name("b")))[1:-1]
                if isinstance(op, SWAPPED) and ast.unparse(left) != ast.unparse(right):
                    yield fault("swapped operands", node, f"(({text(right)}){sign}({text(left)}))")
                if isinstance(op, ast.Add | ast.Sub):
                    yield fault("dropped term", node, f"({text(left)})")
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                yield fault("off by one", node, f"({value + 1})")
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield fault("negated condition", test, f"(not ({text(test)}))")
            case ast.Call(keywords=keywords):
                for keyword in keywords:
                    if keyword.arg in ("dim", "axis") and isinstance(keyword.value, ast.Constant):
                        value = keyword.value.value
                        if isinstance(value, int):
                            yield fault("wrong axis", keyword.value, str(0 if value else -1))


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below ``node`` that are executed as the program's own arithmetic: no annotations, subscripts of types."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr) or not isinstance(child, ast.AST):
                continue
            if (
                isinstance(child, ast.Assign)
                and isinstance(child.value, ast.Subscript)
                and "Literal" in ast.unparse(child.value)
            ):
                continue
            yield child
            yield from _code(child)


def drawn(source: Path, packages: list[str], count: int, seed: int) -> list[Fault]:
    """``count`` faults, spread evenly over packages and kinds as far as each has them."""
    rng = random.Random(seed)
    pots: dict[tuple[str, str], list[Fault]] = {}
    for package in packages:
        for file in sorted((source / "pocketgan" / package).rglob("*.py")):
            for fault in faults(source, file):
                pots.setdefault((package, fault.kind), []).append(fault)
    for pot in pots.values():
        rng.shuffle(pot)
    order = sorted(pots)
    rng.shuffle(order)
    found: list[Fault] = []
    while len(found) < count and any(pots.values()):
        found.extend(pots[key].pop() for key in order if pots[key])
    return found[:count]


PLUGIN = """
import json, os, pathlib
durations = {}
def pytest_runtest_logreport(report):
    durations[report.nodeid] = durations.get(report.nodeid, 0.0) + report.duration
    if report.failed:
        durations[report.nodeid] = float("inf")  # a test that fails anyway catches nothing
def pytest_sessionfinish(session):
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        pathlib.Path(os.environ["MUTANTS_DURATIONS"]).write_text(json.dumps(durations))
"""


class Coverage(NamedTuple):
    """One run of the unchanged tree."""

    durations: dict[str, float]
    """``{test: seconds}``; infinite for a test that fails."""
    lines: dict[str, dict[int, list[str]]]
    """``{file: {line: tests that execute it}}``."""
    groups: dict[str, list[str]]
    """``{test: the tests of its group of xdist}``: they share networks and runs that only the first of them makes."""


def mapped(root: Path, cache: Path) -> Coverage:
    """Run the suite once under coverage, or read what an earlier call left in ``cache``."""
    cache.mkdir(parents=True, exist_ok=True)
    data = cache / "coverage"
    if not (cache / "durations.json").exists():
        (cache / "mutants_plugin.py").write_text(PLUGIN)
        (cache / "rc").write_text("[run]\nbranch = False\n")
        environment = _environment(root / "src") | {
            "COVERAGE_FILE": str(data),
            "MUTANTS_DURATIONS": str(cache / "durations.json"),
        }
        environment["PYTHONPATH"] += f":{cache}"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "mutants_plugin"]
        command += [
            f"--cov={root / 'src' / 'pocketgan'}",
            "--cov-context=test",
            f"--cov-config={cache / 'rc'}",
            "--cov-report=",
        ]
        subprocess.run(command, cwd=root, env=environment, check=False)
    import coverage

    stored = coverage.CoverageData(str(data))
    stored.read()
    lines: dict[str, dict[int, list[str]]] = {}
    for file in stored.measured_files():
        lines[str(Path(file).relative_to(root / "src"))] = {
            line: sorted({_plain(context.split("|")[0]) for context in contexts if context})
            for line, contexts in stored.contexts_by_lineno(file).items()
        }
    recorded: dict[str, float] = json.loads((cache / "durations.json").read_text())
    members: dict[str, list[str]] = {}
    for test in recorded:
        if (plain := _plain(test)) != test:
            members.setdefault(test.removeprefix(plain), []).append(plain)
    groups = {test: tests for tests in members.values() for test in tests}
    return Coverage({_plain(test): taken for test, taken in recorded.items()}, lines, groups)


def _plain(test: str) -> str:
    """A test without the name of its group, which xdist appends."""
    head, at, group = test.rpartition("@")
    return head if at and "]" not in group and "/" not in group else test


def _environment(source: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}


def _quickest_first(tests: Iterable[str], durations: dict[str, float]) -> list[str]:
    """The tests that pass, sorted by duration."""
    passing = [test for test in tests if math.isfinite(durations.get(test, 1.0))]
    return sorted(passing, key=lambda test: (durations.get(test, 1.0), test))


def tried(root: Path, fault: Fault, tests: list[str], covered: Coverage) -> dict[str, object]:
    """Run the tests, and then those of their groups, on a copy with the fault; which of them failed first, if any."""
    durations = covered.durations
    sharing = {other for test in tests for other in covered.groups.get(test, ())} - set(tests)
    chosen: list[str] = []
    spent = 0.0
    for test in (*_quickest_first(tests, durations), *_quickest_first(sharing, durations)):
        spent += durations.get(test, 1.0)
        if spent > SECONDS and chosen:
            break
        chosen.append(test)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(root / "src", copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        file = copy / fault.file
        data = file.read_bytes()
        file.write_bytes(data[: fault.start] + fault.after.encode() + data[fault.end :])
        failed, code = None, 5
        names = Path(folder) / "tests"
        names.write_text("\n".join(chosen))
        if chosen:
            command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", f"@{names}"]
            try:
                done = subprocess.run(
                    command, cwd=root, env=_environment(copy), capture_output=True, text=True, timeout=5 * SECONDS
                )
                code = done.returncode
                failed = next((row for row in done.stdout.splitlines() if row.startswith(("FAILED", "ERROR"))), None)
            except subprocess.TimeoutExpired:
                code, failed = 1, "no end within the time limit"
    return {
        **asdict(fault),
        "caught": code not in (0, 5),
        "by": failed,
        "covering": len(tests),
        "run": len(chosen),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    """Parse the flags, plant the faults, print a line for each and the share that was caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--packages", default=PACKAGES)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("runs/mutants"))
    parser.add_argument("--out", type=Path, default=Path("runs/mutants/mutants.json"))
    given = parser.parse_args()
    root, out = given.root.resolve(), given.out.resolve()
    covered = mapped(root, given.cache.resolve())
    found: list[dict[str, object]] = json.loads(out.read_text()) if out.exists() else []
    done = {(row["file"], row["start"], row["kind"]) for row in found}
    waiting = [
        fault
        for fault in drawn(root / "src", given.packages.split(","), given.count, given.seed)
        if (fault.file, fault.start, fault.kind) not in done
    ]

    def job(fault: Fault) -> dict[str, object]:
        lines = covered.lines.get(fault.file, {})
        # A line that runs at import belongs to no test: then those of the whole file.
        tests = lines.get(fault.line) or sorted({test for tests in lines.values() for test in tests})
        return tried(root, fault, tests, covered)

    with ThreadPoolExecutor(given.jobs) as pool:
        for row in pool.map(job, waiting):
            found.append(row)
            out.write_text(json.dumps(found, indent=1) + "\n")
            verdict = "caught  " if row["caught"] else "SURVIVED"
            print(
                f"{verdict} {row['file']}:{row['line']} {row['kind']}: {row['before']} -> {row['after']} ({row['by']})",
                flush=True,
            )
    caught = sum(bool(row["caught"]) for row in found)
    print(f"{caught} of {len(found)} faults caught")


if __name__ == "__main__":
    main()
