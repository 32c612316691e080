"""The plan of the house, held over the syntax trees of its files: nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "pocketgan"

LAYERS: list[set[str]] = [
    {"utils"},
    {"core"},
    {"data", "models", "losses", "metrics"},
    {"pretrained", "pruning", "checkpoints"},
    {"foreign", "training", "search"},
    {"tasks", "methods", "export"},
    {"evaluation"},
    {"report"},
    {"pipeline"},
    {"recipes"},
    {"cli"},
]
"""From the bottom up. A package imports from the layers below it, and from itself; packages of one layer do not see each
other."""

SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL = [path for folder in ("src", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a file names in an import, wherever in the file."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, f"line {node.lineno}: a relative import; write the whole name"
                yield from (f"{module}.{alias.name}" for alias in names)


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_every_room_is_on_the_plan() -> None:
    rooms = {room_of(path) for path in SOURCES} - {"__init__", "__main__"}
    assert rooms <= set().union(*LAYERS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    here, below = room_of(path), set[str]()
    if here in ("__init__", "__main__"):
        return  # the front door opens on every room
    for floor in LAYERS:
        if here in floor:
            break
        below |= floor
    for name in imported(ast.parse(path.read_text())):
        if name.startswith("pocketgan."):
            room = name.split(".")[1]
            assert room in below | {here}, f"{here} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_forbidden_is_used(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = set(imported(tree)) | {name for name, _ in calls(tree)}
    assert not {name.split(".")[0] for name in names} & {"cloudpickle", "dill", "joblib", "shelve", "marshal"}
    used = {name for name in names if name.startswith("pickle.")}
    assert used <= {"pickle.UnpicklingError"}, "no pickle is ever trusted; only what torch.load says of one is read"
    for name, call in calls(tree):
        assert name != "print" or room_of(path) == "cli", f"line {call.lineno}: print in library code"
        assert name not in {"eval", "exec"}, f"line {call.lineno}: {name}"
        if name.endswith("torch.load"):
            safe = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert safe.get("weights_only") == "True", f"line {call.lineno}: torch.load without weights_only=True"


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    long = {str(path.relative_to(ROOT)): n for path in ALL if (n := len(path.read_text().splitlines())) > 400}
    assert not long


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_the_walls_hold() -> None:
    """The helpers above see what they shall see."""
    tree = ast.parse("def f():\n    import pickle as p\n    from pocketgan.cli import main\n    torch.load(x)\n    print(1)")
    assert list(imported(tree)) == ["pickle", "pocketgan.cli.main"]
    assert [name for name, _ in calls(tree)] == ["torch.load", "print"]
    with pytest.raises(AssertionError, match="relative import"):
        list(imported(ast.parse("from . import core")))
