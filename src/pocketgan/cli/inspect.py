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
    weights: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    json: Switch = False,
) -> None:
    """What a generator is made of and what it costs: every group of channels, both counts, and the floor of a budget.

    Args:
        model: an artifact of ours (.safetensors), a published checkpoint, a name of `pocketgan models`, or any generator as
            file.py:factory or package.module:factory, a function that makes it.
        size: width of the input; by default what the file says, else 256.
        aspect: width over height; by default what the file says, else 1.
        multiple: widths are multiples of this, for the floor.
        weights: of a factory's generator (.safetensors, .pth); else they are as the factory leaves them.
        keep: layers of a factory's generator that stay whole: names or patterns.
        range: the values that it reads and generates for black and white, such as 0..255.
        bgr: it reads and generates blue first.
        json: print one JSON object.
    """
    from pocketgan.core.shape import as_shape, said
    from pocketgan.foreign.factory import joined
    from pocketgan.pipeline.config import ForeignConfig
    from pocketgan.pipeline.measure import inspect

    foreign = ForeignConfig(keep=keep, range=range, bgr=bgr)
    facts = inspect(joined(model, weights), size=size, aspect=aspect, multiple=multiple, foreign=foreign)
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
    for name, reason in facts["kept"].items():
        say(f"stays whole: {name} ({reason})")
    say(f"distilled by default: {', '.join(facts['distilled']) or 'no layer'}")
