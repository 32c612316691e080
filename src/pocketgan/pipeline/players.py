"""Who plays in the student's game: its discriminator, its teacher, and the teacher's discriminator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from pocketgan.core.spec import spec_of
from pocketgan.data.images import ImageData
from pocketgan.metrics.cost import image_channels
from pocketgan.pipeline.common import default_gan, first_batch, make_discriminator
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.sources import discriminator_beside, load, reverse_of
from pocketgan.train.cycle import Cycle
from pocketgan.train.objectives import check_objectives
from pocketgan.train.task import Task
from pocketgan.train.translation import Translation, structure


def make_task(config: CompressConfig, student: nn.Module, teacher: nn.Module, data: ImageData, device: torch.device) -> Task:
    """The student's game: the data's own truth where it is paired, the teacher's pictures where it is not."""
    paired = config.task == "paired"
    taught = config.objective != "none" or not paired
    critic = teacher_critic(config) if taught else None
    return Translation(
        student.to(device),
        None if config.task == "inputs" else student_discriminator(config, paired),
        gan=default_gan(config.gan, config.task),
        conditional=paired,
        truth="target" if paired else "teacher",
        teacher=teacher.to(device) if taught else None,
        critic=critic.to(device) if critic is not None else None,
        objective=config.objective,
        objective_options=config.objective_options,
        layers=config.layers or _shared_layers(student, teacher),
        example=first_batch(data, 1)["source"].to(device),
    )


def two_way_game(config: CompressConfig, there: nn.Module, back: nn.Module, device: torch.device) -> Task:
    """CycleGAN with both searched generators, each against a copy of its teacher's discriminator, or a new one."""
    reverse = replace(config, teacher=str(reverse_of(Path(config.teacher))), teacher_discriminator=None)
    judges = (student_discriminator(config, False), student_discriminator(reverse, False))
    return Cycle((there.to(device), back.to(device)), judges, gan=default_gan(config.gan, config.task))


def _shared_layers(student: nn.Module, teacher: nn.Module) -> tuple[str, ...]:
    """The teacher's own layers to distil that the student still has (a U-Net may have lost a level).

    A residual block that is gone is still there by name: it passes on the stream after the last one that is left.
    """
    present = dict(structure(student).named_modules())
    return tuple(name for name in spec_of(teacher).taps if name in present)


def student_discriminator(config: CompressConfig, conditional: bool) -> nn.Module:
    """A copy of the teacher's (GAN Compression, section 3.1), or a new one where there is none that fits, or if asked for."""
    if config.discriminator_options is not None:
        return make_discriminator("patchgan", config.discriminator_options, 6 if conditional else 3)
    return _teachers_discriminator(config, conditional) or make_discriminator("patchgan", {}, 6 if conditional else 3)


def _teachers_discriminator(config: CompressConfig, conditional: bool) -> nn.Module | None:
    """The one that was named, which must fit, or the one beside the teacher if it does."""
    channels, model = 6 if conditional else 3, teacher_critic(config)
    if model is not None and image_channels(model) == channels:
        return model.requires_grad_(True)
    if config.teacher_discriminator:
        assert model is not None
        raise ValueError(
            f"{config.teacher_discriminator} judges {image_channels(model)} channels, a {config.task} task needs {channels}: "
            "give another, or leave it out"
        )
    return None


def teacher_critic(config: CompressConfig) -> nn.Module | None:
    """The teacher's discriminator as it is: the one that was named, or the one beside the teacher."""
    given = config.teacher_discriminator
    file = Path(given) if given else discriminator_beside(Path(config.teacher))
    return load(file).model if file is not None else None


def notes_on(config: CompressConfig) -> list[str]:
    """What a reader of the figures must know of how the student learnt."""
    critic, notes = teacher_critic(config), []
    fits = config.task != "inputs" and _teachers_discriminator(config, config.task == "paired") is not None
    if config.task != "inputs" and config.discriminator_options is None and not fits:
        notes.append("no discriminator that fits lies beside the teacher: the student's was begun anew")
    for name, (kind, _) in check_objectives(config.objective, config.objective_options).items():
        if kind.critic and critic is None:
            notes.append(f"there is no teacher's discriminator: the objective {name} {kind.without_critic or 'is left out'}")
    return notes
