"""Quickstart: outlines -> shaded shapes, 64 x 64, built-in data.

pocketgan quickstart
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pocketgan.data.config import DataConfig
from pocketgan.pipeline.compress import Compressed, compress
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.train import train
from pocketgan.recipes.base import RECIPES
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.progress import Reporter

DATA = DataConfig(path="shapes", size=64, workers=1)


@RECIPES.register("quickstart-teacher")
def teacher() -> TrainConfig:
    """A U-Net of ngf 32 on the built-in shapes."""
    return TrainConfig(
        task="paired",
        data=DATA,
        arch="unet",
        arch_options={"ngf": 32, "depth": 6, "dropout": 0.0},
        discriminator_options={"ndf": 16},
        training=TrainingConfig(steps=900, batch=8, lr=1e-3, weights={"gan": 0.3}),
    )


@RECIPES.register("quickstart-student")
def student() -> CompressConfig:
    """A twelfth of the quickstart teacher's MACs."""
    return CompressConfig(
        teacher="runs/quickstart/teacher/generator.safetensors",
        data=DATA,
        budget="12x",
        method="dmad",
        search=TrainingConfig(steps=250, batch=8, lr=1e-3, weights={"gan": 0.3}),
        recovery=TrainingConfig(steps=450, batch=8, lr=1e-3, weights={"gan": 0.3}),
    )


def quickstart(out: Path, *, reporter: Reporter | None = None) -> Compressed:
    """Train a teacher on the built-in shapes and compress it; what is there already is not done again."""
    first, second = out / "teacher", out / "student"
    train(teacher(), first, resume=(first / "config.json").exists(), reporter=reporter)
    config = replace(student(), teacher=str(first / "generator.safetensors"))
    return compress(config, second, resume=(second / "config.json").exists(), reporter=reporter)
