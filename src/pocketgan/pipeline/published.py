"""What a task was published with: its networks, its adversarial loss, its optimizers."""

from __future__ import annotations

from dataclasses import dataclass, field

from pocketgan.losses import GanMode
from pocketgan.tasks.unconditional import LatentConfig
from pocketgan.training.config import GAUGAN, MUNIT, SAGAN, STYLEGAN2, TrainingConfig


@dataclass(frozen=True)
class Published:
    """The defaults of a task."""

    arch: str
    discriminator: str
    gan: GanMode
    training: TrainingConfig
    latents: LatentConfig = field(default_factory=LatentConfig)
    """What else a task from latents does."""


_IMAGES = Published("resnet", "patchgan", "hinge", TrainingConfig())

TASKS: dict[str, Published] = {
    "paired": _IMAGES,
    "unpaired": Published("resnet", "patchgan", "lsgan", TrainingConfig()),
    "inputs": _IMAGES,
    "labels": Published("spade", "multiscale", "hinge", GAUGAN),
    "unconditional": Published("sagan", "sagan-discriminator", "hinge", SAGAN),
    "multimodal": Published("munit", "ms-image", "lsgan", MUNIT),
}

ARCHITECTURES: dict[str, Published] = {
    "stylegan2": Published(
        "stylegan2",
        "stylegan2-discriminator",
        "vanilla",
        STYLEGAN2,
        LatentConfig(r1=10.0, path_length=2.0, mixing=0.9, average=10.0),
    ),
}
"""Those that go their own way within their task."""


def published(task: str, arch: str | None = None) -> Published:
    """The defaults of a task; ``arch``: where the generator is of that architecture."""
    return ARCHITECTURES.get(arch or "", TASKS[task])
