"""``pocketgan methods``."""

from __future__ import annotations

import dataclasses

from pocketgan.cli.console import Switch, show_json, show_table


def run(*, json: Switch = False) -> None:
    """The methods that decide which channels stay, and the objectives that a student can imitate by.

    Args:
        json: print one JSON object.
    """
    from pocketgan.methods import METHODS
    from pocketgan.training.objectives import OBJECTIVES

    methods = [(n, ", ".join(f"{f.name}={f.default}" for f in dataclasses.fields(m)), m.summary) for n, m in METHODS.items()]
    objectives = [(name, f"{entry.weight:g}", (entry.__doc__ or "").splitlines()[0]) for name, entry in OBJECTIVES.items()]
    if json:
        show_json(
            {
                "methods": {name: {"options": options, "summary": summary} for name, options, summary in methods},
                "objectives": {name: {"weight": float(weight), "summary": text} for name, weight, text in objectives},
            }
        )
        return
    show_table("--method NAME method_options.importance=l1 ...", ("method", "options", "how it decides"), methods)
    show_table("--objective NAME+NAME", ("objective", "weight", "what the student imitates"), objectives)
