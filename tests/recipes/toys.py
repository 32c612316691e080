"""Recipes at toy size: built-in data, few steps, few channels."""

from __future__ import annotations

from pathlib import Path

from pocketgan.core.artifact import save_artifact
from pocketgan.core.config import override
from pocketgan.core.spec import MODELS
from pocketgan.pipeline.config import CompressConfig, TrainConfig

SMALL = (
    *("data.size=32", "data.limit=4", "data.workers=0", "data.load_size=null", "device=cpu"),
    *('judge.runtimes=["torch"]', "judge.repeats=1", "judge.pictures=1"),
)
SHORT = ("epochs=null", "steps=2", "batch=2")
TINY = {"resnet": {"ngf": 8, "blocks": 2}, "mobile-resnet": {"ngf": 8, "blocks": 2}, "unet": {"ngf": 8, "depth": 4}}
"""Numbers of a tiny generator of each kind."""


def toy(config: TrainConfig | CompressConfig, *fields: str) -> TrainConfig | CompressConfig:
    """The same recipe with built-in data, few steps and few channels."""
    fits = ("fit", "search", "full.teacher", "full.distill") if isinstance(config, CompressConfig) else ("fit",)
    data = "textures" if config.task == "unpaired" else "shapes"
    short = [f"{fit}.{field}" for fit in fits for field in SHORT]
    return override(config, [*SMALL, f"data.path={data}", *short, *fields])


def save_teacher(file: Path, arch: str, *, paired: bool, norm: str = "instance") -> None:
    """A tiny generator and the discriminator that lies beside it, as training leaves them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_artifact(file, MODELS[arch](**TINY[arch]).build(), size=32)
    critic = MODELS["patchgan"](ndf=4, norm=norm, in_channels=6 if paired else 3).build()
    save_artifact(file.with_name(file.name.replace("generator", "discriminator")), critic, size=32)
