"""Numbers that keep the code readable: a limit that is exceeded names every place that counts."""

from __future__ import annotations

import ast
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sources import BENCHMARKS, PACKAGE, SOURCES, TESTS, listed, package_of, short, text, tree

from pocketgan.cli import main
from pocketgan.core.artifact import save_artifact
from pocketgan.models import resnet
from pocketgan.training.optimizers import Adam

SHORT, MOST_SHORT = 60, 35
LONGEST = 350
MOST_CONFIG_PARAMETERS = 8
MOST_TASK_COMPARISONS = 5
MOST_FRAMES = 6


def lines_of(path: Path) -> int:
    return len(text(path).splitlines())


def test_no_file_is_long() -> None:
    long = [f"{short(path)}: {lines_of(path)}" for path in (*SOURCES, *BENCHMARKS, *TESTS) if lines_of(path) > LONGEST]
    assert not long, listed(long)


def test_few_files_are_short() -> None:
    files = [f"{short(path)}: {lines_of(path)}" for path in SOURCES if lines_of(path) < SHORT]
    assert len(files) <= MOST_SHORT, f"at most {MOST_SHORT}; {listed(files)}"


def config_parameters(module: ast.AST) -> Iterator[str]:
    """The functions that take a whole `CompressConfig`: stages take what they need from the plan."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            annotations = [ast.unparse(argument.annotation) for argument in arguments if argument.annotation is not None]
            if any("CompressConfig" in annotation for annotation in annotations):
                yield f"{node.lineno}: {node.name}"


def test_few_functions_take_the_whole_configuration() -> None:
    found = [f"{short(path)}:{line}" for path in SOURCES for line in config_parameters(tree(path))]
    assert len(found) <= MOST_CONFIG_PARAMETERS, f"at most {MOST_CONFIG_PARAMETERS}; {listed(found)}"


def is_task(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "task") or (isinstance(node, ast.Attribute) and node.attr == "task")


def is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.Set | ast.List):
        return bool(node.elts) and all(map(is_literal, node.elts))
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def task_comparisons(module: ast.AST) -> Iterator[str]:
    """Comparisons of a task's name with literals, also as cases of a match and as keys into a dictionary of literals."""
    for node in ast.walk(module):
        match node:
            case ast.Compare(left=left, comparators=comparators):
                sides = [left, *comparators]
                if any(map(is_task, sides)) and any(map(is_literal, sides)):
                    yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Match(subject=subject, cases=cases) if is_task(subject):
                yield from (f"{case.pattern.lineno}: case {ast.unparse(case.pattern)}" for case in cases)
            case ast.Subscript(value=ast.Dict(), slice=key) if is_task(key):
                yield f"{node.lineno}: {ast.unparse(node)}"


def test_tasks_are_compared_by_name_in_their_own_package_only() -> None:
    found = [
        f"{short(path)}:{line}" for path in SOURCES if package_of(path) != "tasks" for line in task_comparisons(tree(path))
    ]
    assert len(found) <= MOST_TASK_COMPARISONS, f"at most {MOST_TASK_COMPARISONS}; {listed(found)}"


def test_the_checks_find_what_they_look_for() -> None:
    module = ast.parse(
        "def f(a: CompressConfig | None, *, task): ...\n"
        "def g(*, config: 'CompressConfig'): ...\n"
        "def h(config): ...\n"
        "task == 'labels'\n"
        "config.task in ('a', 'b')\n"
        "'a' != self.config.task\n"
        "task == other\n"
        "task is None\n"
        "{'a': 1}[task]\n"
        "match task:\n"
        "    case 'a': pass\n"
        "    case _: pass\n"
    )
    assert list(config_parameters(module)) == ["1: f", "2: g"]
    assert sorted(int(line.split(":")[0]) for line in task_comparisons(module)) == [4, 5, 6, 9, 11, 12]


class Reached(SystemExit):
    """Ends a run at its first training step."""


@pytest.mark.parametrize("method", ["uniform", "dmad"], ids=["recovery", "search"])
def test_a_training_step_is_near_the_command(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of this package between the command's function (exclusive) and the function that moves the optimizer."""
    torch.manual_seed(0)
    save_artifact(tmp_path / "generator.safetensors", resnet(4, blocks=0).build(), size=16)
    stack: list[traceback.FrameSummary] = []

    def step(optimizer: torch.optim.Optimizer, closure: object = None) -> None:
        stack.extend(traceback.extract_stack())
        raise Reached

    monkeypatch.setattr(Adam, "step", step)
    arguments = ["compress", str(tmp_path / "generator.safetensors"), "--data", "shapes", "--task", "inputs", "--budget", "2x"]
    arguments += ["--out", str(tmp_path / "run"), "--method", method, "--device", "cpu", "--steps", "1", "--batch", "1"]
    with pytest.raises(Reached):
        main([*arguments, "data.workers=0", "data.limit=2"])
    frames = [frame for frame in stack if Path(frame.filename).is_relative_to(PACKAGE)]
    (command,) = (i for i, frame in enumerate(frames) if frame.name == "compress" and Path(frame.filename).parent.name == "cli")
    names = [f"{short(Path(frame.filename))}:{frame.lineno}: {frame.name}" for frame in frames[command + 1 :]]
    assert 2 <= len(names) <= MOST_FRAMES, f"at most {MOST_FRAMES}; {listed(names)}"
