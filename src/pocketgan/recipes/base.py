"""What a recipe is, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pocketgan.core.progress import Reporter
from pocketgan.core.registry import Registry
from pocketgan.pipeline.compress import compress
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.train import train

Recipe = Callable[[], TrainConfig | CompressConfig]
"""A function without arguments that returns a complete configuration."""

RECIPES: Registry[Recipe] = Registry("recipe")
"""By name; ``pocketgan recipes NAME --out RUN`` runs one."""


def cook(config: TrainConfig | CompressConfig, out: Path, *, resume: bool = False, reporter: Reporter | None = None) -> None:
    """Run a recipe's configuration."""
    if isinstance(config, TrainConfig):
        train(config, out, resume=resume, reporter=reporter)
    else:
        compress(config, out, resume=resume, reporter=reporter)
