"""Tasks by name, and what each needs of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

TaskName = Literal["paired", "unpaired", "labels", "inputs", "unconditional", "multimodal"]
"""A name of ``--task``."""


@dataclass(frozen=True, kw_only=True)
class TaskTraits:
    """Needs of a task. How its training is built lies in `pocketgan.tasks`, under the same name."""

    summary: str
    """Description in one line, for help and messages."""
    has_pairs: bool = False
    """Input and target at one index show the same content."""
    any_target: bool = False
    """Any target goes with any input (CycleGAN, MUNIT: two generators, one a direction)."""
    reads_labels: bool = False
    """Inputs are label maps."""
    reads_latents: bool = False
    """Inputs are latents."""
    has_styles: bool = False
    """Beside an image the generator reads a latent, its style."""
    has_targets: bool = True
    """The data hold real targets; without them there is no discriminator either."""

    @property
    def is_two_way(self) -> bool:
        """True if two generators of one direction each can be searched in one CycleGAN."""
        return self.any_target and not self.has_styles

    @property
    def has_one_side(self) -> bool:
        """True if the data hold images of one side only: inputs, or targets."""
        return self.reads_latents or not self.has_targets


TRAITS: dict[str, TaskTraits] = {
    "paired": TaskTraits(summary="pix2pix: images with their targets", has_pairs=True),
    "unpaired": TaskTraits(summary="CycleGAN: images of two domains, both directions", any_target=True),
    "labels": TaskTraits(summary="GauGAN: images from label maps", has_pairs=True, reads_labels=True),
    "inputs": TaskTraits(summary="inputs alone: the teacher's images are the targets", has_targets=False),
    "unconditional": TaskTraits(summary="SAGAN, StyleGAN2: images from latents", reads_latents=True),
    "multimodal": TaskTraits(summary="MUNIT: images in many styles, both directions", any_target=True, has_styles=True),
}
"""Every task; the order is that of help."""

assert set(TRAITS) == set(get_args(TaskName))


def traits_of(task: str) -> TaskTraits:
    """Needs of the task of that name."""
    return TRAITS[task]
