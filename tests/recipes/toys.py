"""Recipes at toy size: built-in data, few steps, few channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pocketgan.core.artifact import save_artifact
from pocketgan.core.config import override
from pocketgan.core.spec import MODELS
from pocketgan.pipeline.config import CompressConfig, TrainConfig

SMALL = (
    *("data.size=32", "data.limit=4", "data.workers=0", "data.load_size=null", "data.center=null", "device=cpu"),
    *('evaluation.runtimes=["torch"]', "evaluation.repeats=1", "evaluation.images=1", "evaluation.generated=4"),
)
LABELS = ("data.size=64", "data.preprocess=resize", "data.classes=null", "perceptual=none", "evaluation.segmenter=null")
MULTIMODAL = ("data.size=64",)  # of three scales the smallest has four layers yet
SHORT = ("epochs=null", "steps=2", "batch=2")
_RESNET, _SPADE = {"ngf": 8, "blocks": 2}, {"ngf": 4, "upsamplings": 5}
TINY = {
    **dict.fromkeys(("resnet", "mobile-resnet", "inception"), _RESNET),
    **dict.fromkeys(("spade", "inception-spade"), _SPADE),
    "unet": {"ngf": 8, "depth": 4},
    "munit": {"ngf": 8, "mlp": 8, "blocks": 2},
    "sagan": {"ngf": 8},
    "stylegan2": {"channel_base": 256, "latent": 8, "style": 8, "mapping": 2},
}
"""Numbers of a tiny generator of each kind."""
DISCRIMINATORS = {"stylegan2": {"channel_base": 128}}
"""Those of its discriminator, where they are not the same for all."""
CHANNELS = 8
"""Of the label maps of the built-in shapes."""


def toy(config: TrainConfig | CompressConfig, *fields: str) -> TrainConfig | CompressConfig:
    """The same recipe with built-in data, few steps and few channels."""
    fits = ("recovery", "search", "full.teacher", "full.distill") if isinstance(config, CompressConfig) else ("training",)
    data = "textures" if config.task in ("unpaired", "multimodal") else "shapes"
    short = [f"{fit}.{field}" for fit in fits for field in SHORT]
    own = LABELS if config.task == "labels" else MULTIMODAL if config.task == "multimodal" else ()
    return override(config, [*SMALL, f"data.path={data}", *own, *short, *fields])


def tiny_networks(arch: str) -> list[str]:
    """The fields that make a teacher's recipe play with tiny networks."""
    discriminator = DISCRIMINATORS.get(arch, {"ndf": 4})
    options = {"arch_options": TINY[arch], "discriminator_options": discriminator}
    return [f"{field}.{name}={value}" for field, own in options.items() for name, value in own.items()]


def save_networks(file: Path, arch: str, discriminator: str, *, side: int = 32, **choices: Any) -> None:
    """A tiny generator, told ``choices``, and the discriminator beside it, as training leaves them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_artifact(file, MODELS[arch](**TINY[arch], **choices).build(), size=side)
    options = DISCRIMINATORS.get(arch, {"ndf": 4}) | {name: value for name, value in choices.items() if name == "size"}
    save_artifact(
        file.with_name(file.name.replace("generator", "discriminator")), MODELS[discriminator](**options).build(), size=side
    )


def save_teacher(file: Path, arch: str, *, paired: bool, norm: str = "instance") -> None:
    """A tiny generator and the discriminator that lies beside it, as training leaves them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    own = {"norm": norm} if arch == "inception" else {}
    save_artifact(file, MODELS[arch](**TINY[arch], **own).build(), size=32)
    discriminator = MODELS["patchgan"](ndf=4, norm=norm, in_channels=6 if paired else 3).build()
    save_artifact(file.with_name(file.name.replace("generator", "discriminator")), discriminator, size=32)


def save_generator(file: Path, arch: str) -> None:
    """The same for label maps: 64 x 32, two scales."""
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = {"spectral": False} if arch == "spade" else {}
    save_artifact(file, MODELS[arch](**TINY[arch], in_channels=CHANNELS, **plain).build(), size=(32, 64))
    discriminator = MODELS["multiscale"](ndf=4, in_channels=CHANNELS + 3).build()
    save_artifact(file.with_name(file.name.replace("generator", "discriminator")), discriminator, size=(32, 64))
