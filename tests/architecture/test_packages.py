"""The layers of the packages and the calls that no library code makes, held over the syntax trees: nothing is imported."""

import ast

from sources import BENCHMARKS, PACKAGE, SOURCES, calls, imported, listed, package_of, short, tree

LAYERS: list[set[str]] = [
    {"utils"},
    {"core"},
    {"data", "models", "losses", "metrics"},
    {"pretrained", "pruning", "checkpoints"},
    {"foreign", "training", "search"},
    {"tasks", "methods", "deploy"},
    {"evaluation"},
    {"report"},
    {"pipeline"},
    {"recipes"},
    {"api"},
    {"cli"},
]
"""From the bottom up. A package imports from itself and from the layers below; packages of one layer do not import each
other."""

TOP = {"__init__", "__main__"}
"""Modules beside the packages, which may import all of them."""

PICKLES = {"cloudpickle", "dill", "joblib", "shelve", "marshal"}


def upward_imports(package: str, module: ast.AST) -> list[str]:
    """The imports of one file of ``package`` that do not point down."""
    below: set[str] = set()
    for layer in LAYERS:
        if package in layer:
            break
        below |= layer
    names = [(line, name.split(".")) for line, name in imported(module)]
    return [
        f"{line}: {package} imports {'.'.join(parts)}"
        for line, parts in names
        if parts[0] == "pocketgan" and parts[1] not in below | {package}
    ]


def forbidden(package: str, module: ast.AST) -> list[str]:
    """Pickles, prints outside the command line, evaluated strings, and files loaded without ``weights_only=True``."""
    lines = [
        f"{line}: imports {name}"
        for line, name in imported(module)
        if name.split(".")[0] in PICKLES or (name.startswith("pickle.") and name != "pickle.UnpicklingError")
    ]
    lines += [
        f"{node.lineno}: uses {ast.unparse(node)}"
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle" and node.attr != "UnpicklingError"
    ]
    for name, call in calls(module):
        safe = {word.arg: ast.unparse(word.value) for word in call.keywords}.get("weights_only") == "True"
        if name in ("eval", "exec") or (name == "print" and package != "cli") or (name.endswith("torch.load") and not safe):
            lines.append(f"{call.lineno}: calls {name}")
    return lines


def test_every_package_has_a_layer() -> None:
    packages = {package_of(path) for path in SOURCES} - TOP
    assert packages == set().union(*LAYERS)
    assert sum(map(len, LAYERS)) == len(packages)
    assert all((PACKAGE / package / "__init__.py").is_file() for package in packages - {"api"})


def test_imports_point_down() -> None:
    wrong = [
        f"{short(path)}:{line}"
        for path in SOURCES
        if package_of(path) not in TOP
        for line in upward_imports(package_of(path), tree(path))
    ]
    assert not wrong, listed(wrong)


def test_imports_are_absolute() -> None:
    wrong = [
        f"{short(path)}:{line}: {name}"
        for path in (*SOURCES, *BENCHMARKS)
        for line, name in imported(tree(path))
        if name.startswith(".")
    ]
    assert not wrong, listed(wrong)


def test_nothing_forbidden_is_called() -> None:
    wrong = [f"{short(path)}:{line}" for path in SOURCES for line in forbidden(package_of(path), tree(path))]
    assert not wrong, listed(wrong)


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_the_checks_find_what_they_look_for() -> None:
    module = ast.parse(
        "def f():\n"
        "    import dill\n"
        "    from pocketgan.cli import main\n"
        "    from pocketgan.utils import files\n"
        "    from . import core\n"
        "    torch.load(x)\n"
        "    torch.load(x, weights_only=True)\n"
        "    print(1)\n"
        "    from pickle import UnpicklingError, loads\n"
        "    pickle.loads(x)\n"
        "    pickle.UnpicklingError\n"
    )
    assert upward_imports("core", module) == ["3: core imports pocketgan.cli.main"]
    assert upward_imports("cli", module) == []
    assert [name for _, name in imported(module) if name.startswith(".")] == ["..core"]
    assert forbidden("core", module) == [
        *("2: imports dill", "9: imports pickle.loads", "10: uses pickle.loads", "6: calls torch.load", "8: calls print"),
    ]
    assert "8: calls print" not in forbidden("cli", module)
