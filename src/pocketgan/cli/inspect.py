"""``pocketgan inspect``."""

from __future__ import annotations

from typing import Annotated

import tyro

from pocketgan.cli.console import Switch, say, show_json, show_table


def run(
    model: Annotated[str, tyro.conf.Positional],
    /,
    *,
    size: int | None = None,
    aspect: float | None = None,
    multiple: int = 1,
    json: Switch = False,
) -> None:
    """What a generator is made of and what it costs: every group of channels, both counts, and the floor of a budget.

    Args:
        model: an artifact of ours (.safetensors), a published checkpoint, or a name of `pocketgan models`.
        size: width of the input; by default what the file says, else 256.
        aspect: width over height; by default what the file says, else 1.
        multiple: widths are multiples of this, for the floor.
        json: print one JSON object.
    """
    from pocketgan.core.shape import as_shape, said
    from pocketgan.pipeline.inspect import inspect

    facts = inspect(model, size=size, aspect=aspect, multiple=multiple)
    if json:
        show_json(facts)
        return
    say(facts["message"])
    rows = [
        (group, f["width"] or "", f"{f['params']:,}", f"{f['macs'] / 1e6:,.1f} M", f"{f['macs_paper'] / 1e6:,.1f} M")
        for group, f in facts["groups"].items()
    ]
    total, floor = facts["total"], facts["floor"]
    for name, cost in (("total", total), ("floor", floor)):
        rows.append((name, "", f"{cost['params']:,}", f"{cost['macs'] / 1e6:,.1f} M", f"{cost['macs_paper'] / 1e6:,.1f} M"))
    title = f"costs of one {said(as_shape(facts['size']))} image, filed under the group that each layer writes"
    show_table(title, ("group", "width", "parameters", "MACs exact", "MACs paper"), rows)
