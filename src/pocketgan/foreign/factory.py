"""Functions that users name to make their generators: ``path/to/file.py:factory`` or ``package.module:factory``.

Their code runs because they name it, and never because a file that was loaded does.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from torch import nn

from pocketgan.utils.errors import unknown

Factory = Callable[[], nn.Module]

_GIVEN: dict[str, Factory] = {}
"""The factories that were named in this process."""


class NotGiven(ValueError):
    """An artifact of a generator whose factory nobody has named."""


class Reference(NamedTuple):
    """``file.py:factory@weights`` taken apart."""

    factory: str
    """``file.py:factory`` or ``package.module:factory``."""
    weights: str | None
    """The file of its weights, or an artifact of ours; None: as the factory leaves them."""


def parse_reference(text: str) -> Reference | None:
    """The factory and the weights that ``text`` names; None for what is the name of a file."""
    if Path(text).is_file():
        return None
    match = re.fullmatch(r"(.+?:([^\W\d]\w*))(?:@(.*))?", text)  # folders may have an @ in their names
    return Reference(match[1], match[3] or None) if match else None


def joined(reference: str, weights: str | None) -> str:
    """``file.py:factory`` and its weights in one word. Raises ``ValueError`` for weights of what is no factory."""
    if weights is None:
        return reference
    parsed = parse_reference(reference)
    if parsed is None:
        raise ValueError(f"weights={weights}: {reference} is no factory, and a file brings its own; write file.py:factory")
    if parsed.weights is not None:
        raise ValueError(f"weights={weights}: {reference} names its weights already")
    return f"{reference}@{weights}"


def name_of(reference: str) -> str:
    """What artifacts call a factory: its file without the folders, so that a folder may be moved."""
    place, _, name = reference.rpartition(":")
    return f"{Path(place).name if place.endswith('.py') else place}:{name}"


def give(name: str, factory: Factory) -> None:
    """Let artifacts of that name be built by ``factory`` in this process."""
    _GIVEN[name] = factory


def free_name(name: str) -> str:
    """``name``, or with a number behind it where a network of that name was given already: two of a class may differ."""
    numbered = (f"{name}#{count}" for count in itertools.count(2))
    return name if name not in _GIVEN else next(free for free in numbered if free not in _GIVEN)


def given(name: str) -> Factory:
    """The factory of that name. Raises `NotGiven` where none was named in this process."""
    if name not in _GIVEN:
        raise NotGiven(
            f"is cut from a generator that '{name}' makes, whose code is run only when you name it: give it as {name}@FILE, "
            "with the path to both, or in Python load(FILE, factory=...)"
        )
    return _GIVEN[name]


def load_factory(reference: str) -> Factory:
    """The function that ``path/to/file.py:factory`` or ``package.module:factory`` names.

    Raises ``ValueError`` for a file, module or name that is not there, and for a module that fails when it is imported.
    """
    place, _, name = reference.rpartition(":")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_package(place)
    factory = getattr(module, name, None)
    if not callable(factory):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown(f"factory in {place}", name, known)
    return partial(_called_beside, Path(place), factory) if place.endswith(".py") else factory


def made(factory: Factory, name: str) -> nn.Module:
    """What a factory makes. Raises ``ValueError`` where it fails or makes no module."""
    try:
        model = factory()
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise ValueError(
            f"{name}() fails: {type(error).__name__}: {error}; pocketgan calls it without arguments, so write a function "
            "that fills them in"
        ) from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{name}() makes a {type(model).__name__}, not a torch.nn.Module")
    return unwrapped(model)


def unwrapped(model: nn.Module) -> nn.Module:
    """The network in what trains or runs it: ``DataParallel``, ``DistributedDataParallel``, ``torch.compile``."""
    wrapped = model._modules.get("_orig_mod")  # torch.compile's class takes seconds to import
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        wrapped = model.module
    return model if wrapped is None else unwrapped(wrapped)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"pocketgan_given_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for what the file pickles, dataclasses it defines, and the like
    try:
        with _beside(path):
            spec.loader.exec_module(module)
    except SystemExit as error:
        raise ValueError(
            f"{path} ends the program when it is imported (it may read a command line): put that under "
            'if __name__ == "__main__"'
        ) from error
    except Exception as error:
        raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _called_beside(path: Path, factory: Factory) -> nn.Module:
    with _beside(path):  # it may import as it runs
        return factory()


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """What lies beside the file can be imported."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _from_package(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # an installed command does not look where it is run
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"module {name} cannot be imported: {error}; a file is given as path/to/file.py:factory") from None
