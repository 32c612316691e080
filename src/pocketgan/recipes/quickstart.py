"""Quickstart: outlines -> shaded shapes, 64 x 64, built-in data.

pocketgan quickstart
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.pipeline.compress import Compressed, compress
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.train import train
from pocketgan.recipes.base import RECIPES
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.progress import Reporter

DATA = DataConfig(path="shapes", size=64, workers=1)
TRAINING = TrainingConfig(batch=8, lr=1e-3, weights={"gan": 0.3})


@RECIPES.register("quickstart-teacher")
def teacher() -> TrainConfig:
    """U-Net with ngf 32, trained on the built-in shapes."""
    return TrainConfig(
        task="paired",
        data=DATA,
        arch="unet",
        arch_options={"ngf": 32, "depth": 6, "dropout": 0.0},
        discriminator_options={"ndf": 16},
        training=replace(TRAINING, steps=900),
        evaluation=EvaluationConfig(runtimes=("torch",)),  # the student's evaluation measures the teacher on all runtimes
    )


@RECIPES.register("quickstart-student")
def student() -> CompressConfig:
    """Student with a twelfth of the MACs of the quickstart teacher."""
    return CompressConfig(
        teacher="runs/quickstart/teacher/generator.safetensors",
        data=DATA,
        budget="12x",
        method="dmad",
        search=replace(TRAINING, steps=250),
        recovery=replace(TRAINING, steps=450),
    )


def quickstart(out: Path, *, reporter: Reporter | None = None) -> Compressed:
    """Train a teacher on the built-in shapes and compress it; finished stages are not repeated."""
    first, second = out / "teacher", out / "student"
    train(teacher(), first, resume=(first / "config.json").exists(), reporter=reporter)
    config = replace(student(), teacher=str(first / "generator.safetensors"))
    return compress(config, second, resume=(second / "config.json").exists(), reporter=reporter)
