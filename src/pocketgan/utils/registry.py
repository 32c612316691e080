"""Named entries, and error messages that name the nearest spelling or the least value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn, TypeVar, cast

T = TypeVar("T")
Entry = TypeVar("Entry")


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """``ValueError`` for an unknown ``name`` of a ``kind``, with the nearest spelling and all known names."""
    options, name = sorted(map(str, known)), listed([str(name)])
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ValueError(f"no {kind} named '{name}'.{hint} There is: {listed(options, len(options)) or 'none'}")


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first names, and the number of the others: ``a, b, c, d and 3 more``. Names of files may be of any text."""
    shown = (name if len(name) <= 100 else f"{name[:60]}...{name[-30:]}" for name in names[:most])
    return printable(", ".join(shown)) + (f" and {len(names) - most} more" if len(names) > most else "")


def printable(text: str) -> str:
    """Text in one line that moves no cursor, whatever file it comes from."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shape_text(shape: Iterable[int]) -> str:
    """A shape in words: ``64x3x7x7``."""
    return "x".join(map(str, shape)) or "one number"


def check_at_least(values: object, label: str = "", /, **minima: float) -> None:
    """Raise ``ValueError`` if a field of ``values`` (an object or a mapping) is below its minimum; None passes.

    ``label`` stands before the name of the field in the message.
    """
    for name, minimum in minima.items():
        value = values[name] if isinstance(values, Mapping) else getattr(values, name)
        if value is not None and not value >= minimum:
            raise ValueError(f"{label} {name}={value}: the least is {minimum}".lstrip())


class Registry(dict[str, T]):
    """Dictionary whose entries are added by decorator, ``@METHODS.register("uniform")``, and found by the right spelling."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Decorator that adds its argument under ``name``, which must be new."""

        def add(entry: Entry) -> Entry:
            assert name not in self, f"{self.kind} '{name}' is registered twice"
            self[name] = cast(T, entry)
            return entry

        return add

    def __missing__(self, name: object) -> NoReturn:
        raise unknown(self.kind, name, self)
