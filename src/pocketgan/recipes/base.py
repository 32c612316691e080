"""Registry of recipes, running a recipe, and the parts that recipes share: data sets, schedules, students of a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pocketgan.core.tasks import traits_of
from pocketgan.data.config import DataConfig, Direction
from pocketgan.losses.adversarial import GanMode
from pocketgan.pipeline.compare import CompareConfig, compare
from pocketgan.pipeline.compress import run_stages
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.stages import StageName
from pocketgan.pipeline.train import train
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.progress import Reporter
from pocketgan.utils.registry import Registry

Config = TrainConfig | CompressConfig | CompareConfig
"""Configuration that a recipe returns."""

Recipe = Callable[[], Config]
"""Function without arguments that returns a complete configuration; the first line of its docstring is its summary."""

RECIPES: Registry[Recipe] = Registry("recipe")
"""Recipes by name; ``pocketgan recipes NAME --out RUN`` runs a recipe."""

GAN: dict[str, GanMode] = {"paired": "hinge", "unpaired": "lsgan"}
"""Adversarial losses of the released scripts of GAN Compression, CAT and DMAD, by task."""


def register(name: str, summary: str, recipe: Recipe) -> None:
    """Register a recipe that is made by a loop, with ``summary`` as its docstring."""
    recipe.__doc__ = summary
    RECIPES.register(name)(recipe)


def augmented(folder: str, direction: Direction = "AtoB") -> DataConfig:
    """Data set with the augmentation of pix2pix and CycleGAN: scaled to 286, randomly cropped to 256, mirrored."""
    return DataConfig(path=f"datasets/{folder}", direction=direction, load_size=286, flip=True)


def schedule(
    constant: int,
    decaying: int,
    *,
    batch: int = 1,
    weights: dict[str, float] | None = None,
    optimizer: TrainingConfig | None = None,
) -> TrainingConfig:
    """Training for ``constant`` epochs at the full learning rate and ``decaying`` epochs of linear decay to 0."""
    epochs = constant + decaying
    return replace(
        optimizer or TrainingConfig(),
        epochs=epochs,
        batch=batch,
        decay_start=constant / epochs,
        weights=weights or {},
        checkpoint_every=2000,
    )


def teacher_config(teacher: str) -> TrainConfig:
    """Configuration of the recipe ``TEACHER-teacher``."""
    config = RECIPES[f"{teacher}-teacher"]()
    assert isinstance(config, TrainConfig)
    return config


def student_of(teacher: str, budget: str, *, direction: Direction | None = None, **fields: Any) -> CompressConfig:
    """Compression of the generator that the recipe ``TEACHER-teacher`` writes to ``runs/TEACHER``, for the teacher's task.

    Data, latents and evaluation are the teacher's unless ``fields`` replaces them. ``direction`` selects the generator of a
    task that has one for each direction; None is the direction of the teacher's data.
    """
    config = teacher_config(teacher)
    data = replace(config.data, direction=direction or config.data.direction)
    two_generators = traits_of(config.task).any_target
    suffix = f"_{data.direction[0]}" if two_generators else ""
    shared: dict[str, Any] = {"data": data, "task": config.task, "latents": config.latents, "evaluation": config.evaluation}
    shared |= {"weights": "inherit", "cache": 0}  # as published: augmentations are drawn anew in every step
    return CompressConfig(teacher=f"runs/{teacher}/generator{suffix}.safetensors", budget=budget, **{**shared, **fields})


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

    Raises ``ValueError`` that names the failed runs of a comparison, and for stages of a recipe that is no compression.
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
