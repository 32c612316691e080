"""Error messages that teach: the nearest spelling of what was asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """A ``ValueError`` for an unknown ``name`` of a ``kind``, with the nearest spelling and all that is allowed."""
    options = sorted(map(str, known))
    near = difflib.get_close_matches(str(name), options, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ValueError(f"no {kind} named '{name}'.{hint} There is: {', '.join(options) or 'none'}")
