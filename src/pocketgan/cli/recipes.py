"""``pocketgan recipes``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from pocketgan.cli.console import Overrides, StageName, Switch, configured, show_config, show_table


def run(
    name: Annotated[str | None, tyro.conf.Positional] = None,
    overrides: Overrides = (),
    /,
    *,
    out: Path | None = None,
    seed: int | None = None,
    from_: Annotated[StageName | None, tyro.conf.arg(name="from")] = None,
    to: StageName | None = None,
    resume: Switch = False,
) -> None:
    """The recipes there are; with a name, its complete configuration; with --out too, run it.

    Args:
        name: a recipe.
        out: the run directory; without it the configuration is printed.
        seed: of all that is drawn; the first one of a comparison.
        from_: of a compression: as in `compress`.
        to: of a compression: as in `compress`.
        resume: go on with the run in --out; of a comparison, do what is not yet done.
    """
    from pocketgan.pipeline.compare import CompareConfig
    from pocketgan.recipes import RECIPES
    from pocketgan.recipes.base import run_recipe

    if name is None:
        show_table("", ("recipe", "what it makes"), [(key, (f.__doc__ or "").splitlines()[0]) for key, f in RECIPES.items()])
        return
    recipe = RECIPES[name]()
    config = configured(recipe, {"base.seed" if isinstance(recipe, CompareConfig) else "seed": seed}, overrides)
    if out is None:
        show_config(config)
        return
    from pocketgan.utils.progress import ConsoleReporter

    run_recipe(config, out, resume=resume, reporter=ConsoleReporter(), first=from_, last=to)
