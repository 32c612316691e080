"""Command ``pocketgan compare``: many compressions side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from pocketgan import api
from pocketgan.cli.console import Overrides, Switch, TaskName, say, show_config, show_table


def run(
    teacher: Annotated[str, tyro.conf.Positional],
    overrides: Overrides = (),
    /,
    *,
    data: str,
    out: Path,
    methods: str,
    budgets: str = "10x",
    objectives: str | None = None,
    weights: str | None = None,
    vary: str | None = None,
    seeds: int = 1,
    seed: int = 0,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    direction: Literal["AtoB", "BtoA"] | None = None,
    steps: int | None = None,
    batch: int | None = None,
    features: str | None = None,
    device: str = "auto",
    resume: Switch = False,
    dry_run: Switch = False,
) -> None:
    """Compress with every method, budget, objective and seed; one table and one page with the Pareto front.

    Args:
        teacher: artifact (.safetensors), published checkpoint, or your own generator as file.py:factory@WEIGHTS.
        out: directory of the runs and the page.
        methods: names from `pocketgan methods`, separated by commas.
        budgets: as in compress, separated by commas.
        objectives: as in compress, separated by commas.
        weights: inherit, fresh or both, separated by commas.
        vary: any other fields, every combination a run: method_options.mask=quadratic,linear;recovery.lr=1e-4,2e-4.
        seeds: number of seeds; the page shows mean and spread.
        seed: first seed.
        resume: run all that is not yet done; methods, budgets, objectives and seeds may have been added.
    """
    from pocketgan.pipeline.compare import CompareConfig, compare, varied
    from pocketgan.pipeline.resolve import resolve_config
    from pocketgan.report import comparison_table

    fields = {
        "device": device,
        "data.direction": direction,
        **api.of_all_trainings(steps=steps, batch=batch),
        "evaluation.features": features,
        "seed": seed,
    }
    base, loaded = resolve_config(teacher, data, fields, overrides, task=task, size=size, aspect=aspect)
    config = CompareConfig(
        base=base,
        methods=tuple(methods.split(",")),
        budgets=tuple(budgets.split(",")),
        objectives=tuple(objectives.split(",")) if objectives else (),
        weights=tuple(weights.split(",")) if weights else (),  # type: ignore[arg-type]
        variants=varied(vary or ""),
        seeds=seeds,
    )
    if dry_run:
        show_config(config)
        return
    runs, failures = compare(config, out, resume=resume, reporter=api.reporter(True), teacher=loaded)
    if runs:
        table = comparison_table(runs)
        show_table("", table.columns, [[cell.text for cell in row] for row in table.rows])
        say(f"{out / 'report.html'}")
    if failures:
        raise ValueError(f"{len(failures)} of {len(runs) + len(failures)} runs failed: {'; '.join(failures)}")
