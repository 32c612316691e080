"""Commands that list what there is, and run recipes: ``models``, ``methods`` and ``recipes``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from pocketgan import api
from pocketgan.cli.console import Overrides, StageName, Switch, show_config, show_json, show_table


def models(*, json: Switch = False) -> None:
    """List the networks with the options of each and their defaults."""
    import pocketgan.models  # noqa: F401  (fills the registry)
    from pocketgan.core.spec import MODELS

    rows = [(name, _options(make), _summary(make)) for name, make in MODELS.items()]
    if json:
        show_json({name: {"options": options, "summary": summary} for name, options, summary in rows})
        return
    show_table("--arch NAME arch_options.ngf=32 ...", ("name", "options", "network"), rows)


def methods(*, json: Switch = False) -> None:
    """List the methods, which decide the channels to keep, and the objectives, which a student imitates."""
    from pocketgan.methods import METHODS
    from pocketgan.training.objectives import OBJECTIVES

    methods = [(name, _options(method), method.summary) for name, method in METHODS.items()]
    objectives = [(name, f"{objective.weight:g}", _summary(objective)) for name, objective in OBJECTIVES.items()]
    if json:
        show_json(
            {
                "methods": {name: {"options": options, "summary": summary} for name, options, summary in methods},
                "objectives": {name: {"weight": float(weight), "summary": text} for name, weight, text in objectives},
            }
        )
        return
    show_table("--method NAME method_options.importance=l1 ...", ("method", "options", "decision"), methods)
    show_table("--objective NAME+NAME", ("objective", "weight", "imitated"), objectives)


def recipes(
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
    """List the recipes; with a name, print its complete configuration; with --out too, run it.

    Args:
        name: recipe.
        out: run directory; without it the configuration is printed.
        seed: seed of all random numbers; the first one of a comparison.
        from_: as in `pocketgan compress`.
        to: as in `pocketgan compress`.
        resume: go on with the run in --out; of a comparison, do the missing runs.
    """
    from pocketgan.pipeline.compare import CompareConfig
    from pocketgan.recipes import RECIPES
    from pocketgan.recipes.base import run_recipe

    if name is None:
        show_table("", ("recipe", "result"), [(key, _summary(recipe)) for key, recipe in RECIPES.items()])
        return
    recipe = RECIPES[name]()
    config = api.configured(recipe, {"base.seed" if isinstance(recipe, CompareConfig) else "seed": seed}, overrides)
    if out is None:
        show_config(config)
        return
    run_recipe(config, out, resume=resume, reporter=api.reporter(True), first=from_, last=to)


def _options(make: Callable[..., Any]) -> str:
    """``name=default, ...`` of the parameters; a factory's default is the value that it makes."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(make).parameters.items()}
    if isinstance(make, type):  # a dataclass, whose signature shows factories as an opaque object
        instance = make()
        defaults = {name: getattr(instance, name) for name in defaults}
    return ", ".join(name if default is inspect.Parameter.empty else f"{name}={default}" for name, default in defaults.items())


def _summary(entry: object) -> str:
    return (entry.__doc__ or "").splitlines()[0]
