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
LABELS = ("data.size=64", "data.preprocess=resize", "data.classes=null", "perceptual=none", "judge.segmenter=null")
SHORT = ("epochs=null", "steps=2", "batch=2")
_RESNET, _SPADE = {"ngf": 8, "blocks": 2}, {"ngf": 4, "upsamplings": 5}
TINY = {
    **dict.fromkeys(("resnet", "mobile-resnet", "inception"), _RESNET),
    **dict.fromkeys(("spade", "inception-spade"), _SPADE),
    "unet": {"ngf": 8, "depth": 4},
}
"""Numbers of a tiny generator of each kind."""
CHANNELS = 8
"""Of the label maps of the built-in shapes."""


def toy(config: TrainConfig | CompressConfig, *fields: str) -> TrainConfig | CompressConfig:
    """The same recipe with built-in data, few steps and few channels."""
    fits = ("fit", "search", "full.teacher", "full.distill") if isinstance(config, CompressConfig) else ("fit",)
    data = "textures" if config.task == "unpaired" else "shapes"
    short = [f"{fit}.{field}" for fit in fits for field in SHORT]
    labels = LABELS if config.task == "labels" else ()
    return override(config, [*SMALL, f"data.path={data}", *labels, *short, *fields])


def save_teacher(file: Path, arch: str, *, paired: bool, norm: str = "instance") -> None:
    """A tiny generator and the discriminator that lies beside it, as training leaves them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    own = {"norm": norm} if arch == "inception" else {}
    save_artifact(file, MODELS[arch](**TINY[arch], **own).build(), size=32)
    critic = MODELS["patchgan"](ndf=4, norm=norm, in_channels=6 if paired else 3).build()
    save_artifact(file.with_name(file.name.replace("generator", "discriminator")), critic, size=32)


def save_painter(file: Path, arch: str) -> None:
    """The same for label maps: 64 x 32, two scales."""
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = {"spectral": False} if arch == "spade" else {}
    save_artifact(file, MODELS[arch](**TINY[arch], in_channels=CHANNELS, **plain).build(), size=(32, 64))
    critic = MODELS["multiscale"](ndf=4, in_channels=CHANNELS + 3).build()
    save_artifact(file.with_name(file.name.replace("generator", "discriminator")), critic, size=(32, 64))
