"""Functions that make users' generators: ``path/to/file.py:factory`` or ``package.module:factory``.

Their code runs because the user names it, and never because a file that was loaded does.
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
from torch.optim.swa_utils import AveragedModel

from pocketgan.utils.registry import unknown

Factory = Callable[[], nn.Module]

_FACTORIES: dict[str, Factory] = {}
"""The factories that were named in this process."""


class Reference(NamedTuple):
    """Parts of ``file.py:factory@weights``."""

    factory: str
    """``file.py:factory`` or ``package.module:factory``."""
    weights: str | None
    """A file of weights, or an artifact of pocketgan; None for the weights that the factory sets."""


def parse_reference(text: str) -> Reference | None:
    """The factory and the weights in ``text``; None for the name of a file."""
    if Path(text).is_file():
        return None
    match = re.fullmatch(r"(.+?:([^\W\d]\w*))(?:@(.*))?", text)  # folders may have an @ in their names
    return Reference(match[1], match[3] or None) if match else None


def with_weights(reference: str, weights: str | None) -> str:
    """``file.py:factory`` and its weights as one reference. Raises ``ValueError`` for weights of anything else."""
    if weights is None:
        return reference
    parsed = parse_reference(reference)
    if parsed is None:
        raise ValueError(f"weights={weights}: {reference} is no factory, and a file brings its own; write file.py:factory")
    if parsed.weights is not None:
        raise ValueError(f"weights={weights}: {reference} names its weights already")
    return f"{reference}@{weights}"


def factory_name(reference: str) -> str:
    """Name of a factory in artifacts: without the folders of its file, so that the file may be moved."""
    place, _, name = reference.rpartition(":")
    return f"{Path(place).name if place.endswith('.py') else place}:{name}"


def register_factory(name: str, factory: Factory) -> None:
    """Let artifacts of that name be built by ``factory`` in this process."""
    _FACTORIES[name] = factory


def unused_name(name: str) -> str:
    """``name``, with a number if it is registered already: two networks of one class may differ."""
    names = itertools.chain([name], (f"{name}#{count}" for count in itertools.count(2)))
    return next(candidate for candidate in names if candidate not in _FACTORIES)


def registered_factory(name: str) -> Factory:
    """The factory of that name. Raises ``ValueError`` if none was named in this process."""
    if name not in _FACTORIES:
        raise ValueError(
            f"it is cut from a generator that '{name}' makes, whose code is run only when you name it: give it as {name}@FILE, "
            "with the path to both, or in Python load(FILE, factory=...)"
        )
    return _FACTORIES[name]


def load_factory(reference: str) -> Factory:
    """The function of ``path/to/file.py:factory`` or ``package.module:factory``.

    Raises ``ValueError`` for a file, module or name that does not exist, and for a module that fails when it is imported.
    """
    place, _, name = reference.rpartition(":")
    path = Path(place) if place.endswith(".py") else None
    module = _import_package(place) if path is None else _import_file(path)
    factory = getattr(module, name, None)
    if not callable(factory):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown(f"factory in {place}", name, known)
    return factory if path is None else partial(_call_with_imports, path, factory)


def call_factory(factory: Factory, name: str) -> nn.Module:
    """The module that a factory makes. Raises ``ValueError`` if the factory fails or returns no module."""
    try:
        model = factory()
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise ValueError(
            f"{name}() fails: {type(error).__name__}: {error}; pocketgan calls it without arguments, so write a function "
            "that fills them in"
        ) from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{name}() makes a {type(model).__name__}, not a torch.nn.Module")
    return unwrap(model)


def unwrap(model: nn.Module) -> nn.Module:
    """The network inside ``DataParallel``, ``DistributedDataParallel``, ``AveragedModel`` or ``torch.compile``."""
    inner = model._modules.get("_orig_mod")  # torch.compile's class takes seconds to import
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel | AveragedModel):
        inner = model.module
    return model if inner is None else unwrap(inner)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"pocketgan_given_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for pickling, dataclasses and the like
    try:
        with _imports_beside(path):
            spec.loader.exec_module(module)
    except SystemExit as error:
        raise ValueError(
            f"{path} ends the program when it is imported (it may read a command line): put that under "
            'if __name__ == "__main__"'
        ) from error
    except Exception as error:
        raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _call_with_imports(path: Path, factory: Factory) -> nn.Module:
    with _imports_beside(path):  # the factory may import when it runs
        return factory()


@contextmanager
def _imports_beside(path: Path) -> Iterator[None]:
    """Let modules in the folder of the file be imported."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _import_package(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # an installed command does not look in the working directory
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"module {name} cannot be imported: {error}; a file is given as path/to/file.py:factory") from None
