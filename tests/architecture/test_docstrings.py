"""A docstring begins with a noun or a verb and says more than the name does; public methods have one."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from sources import BENCHMARKS, PACKAGE, SOURCES, listed, short, tree

RIDDLES = {
    *("What", "Who", "Whose", "Which", "Where", "When", "Why", "How", "Whether"),
    *("It", "Its", "They", "Their", "Those", "These", "This", "That", "There", "One", "He", "We"),
}
FEWEST_WORDS = 3
DEFINITIONS = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(module: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and True for the docstring of a module, class or function; False for that of an attribute."""
    for node in ast.walk(module):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        if isinstance(node, DEFINITIONS) and (own := ast.get_docstring(node)) is not None:
            yield body[0].lineno, own, True
        if isinstance(node, ast.Module | ast.ClassDef):
            for before, statement in pairwise(body):
                match before, statement:
                    case ast.AnnAssign() | ast.Assign(), ast.Expr(value=ast.Constant(value=str(attribute))):
                        yield statement.lineno, inspect.cleandoc(attribute), False


def riddles(module: ast.Module, *, attributes: bool) -> Iterator[str]:
    for line, docstring, of_a_definition in docstrings(module):
        first = re.match(r"\w*", docstring)
        if of_a_definition != attributes and first is not None and first.group() in RIDDLES:
            yield f"{line}: {docstring.splitlines()[0]}"


def empty(module: ast.Module) -> Iterator[str]:
    for line, docstring, of_a_definition in docstrings(module):
        if of_a_definition and len(docstring.split()) < FEWEST_WORDS:
            yield f"{line}: {docstring}"


@pytest.mark.parametrize("attributes", [False, True], ids=["definitions", "attributes"])
def test_docstrings_begin_with_a_noun_or_a_verb(attributes: bool) -> None:
    files = (*SOURCES, *BENCHMARKS)
    wrong = [f"{short(path)}:{line}" for path in files for line in riddles(tree(path), attributes=attributes)]
    assert not wrong, listed(wrong)


def test_docstrings_say_more_than_a_name() -> None:
    wrong = [f"{short(path)}:{line}" for path in (*SOURCES, *BENCHMARKS) for line in empty(tree(path))]
    assert not wrong, listed(wrong)


def public_classes() -> Iterator[type]:
    for path in SOURCES:
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        if path.stem != "__main__":
            for kind in vars(importlib.import_module(name)).values():
                if isinstance(kind, type) and kind.__module__ == name and not kind.__name__.startswith("_"):
                    yield kind


def undocumented(kind: type) -> Iterator[str]:
    """The public methods and properties without a docstring that override nothing; of a protocol the class has it."""
    if getattr(kind, "_is_protocol", False):
        return
    for name, member in vars(kind).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
        if name.startswith("_") or not inspect.isfunction(function) or function.__module__ != kind.__module__:
            continue
        if not function.__doc__ and not any(hasattr(base, name) for base in kind.__mro__[1:]):
            yield f"{kind.__module__}:{function.__code__.co_firstlineno}: {kind.__qualname__}.{name}"


def test_public_methods_that_override_nothing_have_a_docstring() -> None:
    wrong = [line for kind in public_classes() for line in undocumented(kind)]
    assert not wrong, listed(wrong)


def test_the_checks_find_what_they_look_for() -> None:
    module = ast.parse(
        '"""Its module."""\n'
        "x = 1\n"
        '"""What x is."""\n'
        "class A:\n"
        '    """The network."""\n'
        "    def f(self):\n"
        '        """Item one is not a riddle."""\n'
        "    def g(self):\n"
        '        """It\'s one."""\n'
    )
    assert list(riddles(module, attributes=False)) == ["1: Its module.", "9: It's one."]
    assert list(riddles(module, attributes=True)) == ["3: What x is."]
    assert list(empty(module)) == ["1: Its module.", "5: The network.", "9: It's one."]

    class Base:
        def known(self) -> None:
            """Do something known."""

    class Derived(Base):
        def known(self) -> None: ...
        def new(self) -> None: ...
        @property
        def value(self) -> int: ...
        @staticmethod
        def fixed() -> None: ...
        def _hidden(self) -> None: ...

    assert [line.rpartition(".")[2] for line in undocumented(Derived)] == ["new", "value", "fixed"]
