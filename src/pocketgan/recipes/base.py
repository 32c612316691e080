"""What a recipe is, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pocketgan.core.registry import Registry
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.compress import run_stages
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.stages import StageName
from pocketgan.pipeline.train import train
from pocketgan.utils.progress import Reporter

Config = TrainConfig | CompressConfig | CompareConfig
"""What a recipe may describe."""

Recipe = Callable[[], Config]
"""A function without arguments that returns a complete configuration."""

RECIPES: Registry[Recipe] = Registry("recipe")
"""By name; ``pocketgan recipes NAME --out RUN`` runs one."""


def run_recipe(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    first: StageName | None = None,
    last: StageName | None = None,
) -> None:
    """Run a recipe's configuration; ``first`` and ``last`` are stages of a compression.

    Raises ``ValueError`` that names the runs of a comparison that failed, and for stages of anything else.
    """
    if (first or last) and not isinstance(config, CompressConfig):
        raise ValueError("--from and --to are for the recipes of a compression: this one has no stages")
    match config:
        case TrainConfig():
            train(config, out, resume=resume, reporter=reporter)
        case CompressConfig():
            run_stages(config, out, resume=resume, reporter=reporter, first=first, last=last or "report")
        case CompareConfig():
            runs, failures = compare(config, out, resume=resume, reporter=reporter)
            if failures:
                raise ValueError(f"{len(failures)} of {len(runs) + len(failures)} runs failed: {'; '.join(failures)}")
