"""``pocketgan models``."""

from __future__ import annotations

import inspect

from pocketgan.cli.console import Switch, show_json, show_table


def run(*, json: Switch = False) -> None:
    """The architectures there are, with the numbers that each takes.

    Args:
        json: print one JSON object.
    """
    import pocketgan.models  # noqa: F401
    from pocketgan.core.spec import MODELS

    rows = [(n, str(inspect.signature(f)).split(" ->")[0], (f.__doc__ or "").splitlines()[0]) for n, f in MODELS.items()]
    if json:
        show_json({name: {"options": options, "summary": summary} for name, options, summary in rows})
        return
    show_table("--arch NAME arch_options.ngf=32 ...", ("name", "options", "what it is"), rows)
