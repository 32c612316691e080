"""Who plays in the student's game: its discriminator, its teacher, and the teacher's discriminator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pocketgan.compress.elastic import Elastic
from pocketgan.compress.gate import Gate
from pocketgan.core.inputs import image_channels
from pocketgan.core.spec import spec_of
from pocketgan.data.config import has_pairs
from pocketgan.data.images import ImageData
from pocketgan.data.labels import Labels
from pocketgan.interop.foreign import ForeignSpec
from pocketgan.interop.probe import range_note
from pocketgan.losses import GanMode
from pocketgan.pipeline.common import first_batch, make_discriminator
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.perceptual import make_perceptual
from pocketgan.pipeline.published import published
from pocketgan.pipeline.sources import discriminator_beside, load, reverse_of
from pocketgan.train.cycle import Cycle
from pocketgan.train.labels import LabelTranslation
from pocketgan.train.latents import LatentConfig, Latents
from pocketgan.train.objectives import check_objectives
from pocketgan.train.styles import Styled
from pocketgan.train.task import Task
from pocketgan.train.translation import Translation, structure


def make_task(config: CompressConfig, student: nn.Module, teacher: nn.Module, data: ImageData, device: torch.device) -> Task:
    """The student's game: the data's own truth where it is paired, the teacher's pictures where it is not."""
    paired = has_pairs(config.task)
    taught = config.objective != "none" or not paired
    critic = teacher_critic(config) if taught else None
    game: dict[str, Any] = {
        "gan": gan_of(config, teacher),
        "conditional": paired,
        "truth": "target" if paired else "teacher",
        "teacher": teacher.to(device) if taught else None,
        "critic": critic.to(device) if critic is not None else None,
        "objective": config.objective,
        "objective_options": config.objective_options,
        "layers": config.layers or _shared_layers(student, teacher),
        "example": {name: tensor.to(device) for name, tensor in first_batch(data, 1).items()},
    }
    judge = None if config.task == "inputs" else student_discriminator(config, teacher)
    if config.task == "labels":
        assert judge is not None
        return label_game(student.to(device), judge, data.labels, config.perceptual, device, **game)
    if config.task == "unconditional":
        assert judge is not None
        return Latents(student.to(device), judge, settings=latents_of(config, student, teacher), **game)
    if config.task == "multimodal":
        return Styled(student.to(device), judge, **game)
    return Translation(student.to(device), judge, **game)


def gan_of(config: CompressConfig, teacher: nn.Module) -> GanMode:
    """The adversarial loss: as asked for, else as published."""
    return config.gan or published(config.task, spec_of(teacher).name).gan


def latents_of(config: CompressConfig, student: nn.Module, teacher: nn.Module) -> LatentConfig:
    """What the student's game adds; no mean runs along a network that changes its widths from step to step, or is masked."""
    settings = config.latents or published(config.task, spec_of(teacher).name).latents
    changing = isinstance(student, Elastic) or any(isinstance(module, Gate) for module in student.modules())
    return replace(settings, average=0.0) if changing else settings


def label_game(
    generator: nn.Module, judge: nn.Module, labels: Labels | None, perceptual: str, device: torch.device, **game: Any
) -> Task:
    """GauGAN's game, as teachers and students play it."""
    assert labels is not None
    perception, pixels = make_perceptual(perceptual, device)
    return LabelTranslation(generator, judge, perception=perception, pixels=pixels, coloured=labels.coloured, **game)


def judged_channels(config: CompressConfig, generator: nn.Module) -> int:
    """How many channels the student's discriminator is shown: the picture, and what it was painted from if they are pairs."""
    return 3 + (image_channels(generator) if has_pairs(config.task) else 0)


def two_way_game(config: CompressConfig, there: nn.Module, back: nn.Module, device: torch.device) -> Task:
    """CycleGAN with both searched generators, each against a copy of its teacher's discriminator, or a new one."""
    reverse = replace(config, teacher=str(reverse_of(Path(config.teacher))), teacher_discriminator=None)
    judges = (student_discriminator(config, there), student_discriminator(reverse, back))
    return Cycle((there.to(device), back.to(device)), judges, gan=config.gan or published(config.task).gan)


def _shared_layers(student: nn.Module, teacher: nn.Module) -> tuple[str, ...]:
    """The teacher's own layers to distil that the student still has (a U-Net may have lost a level).

    A residual block that is gone is still there by name: it passes on the stream after the last one that is left.
    """
    present = dict(structure(student).named_modules())
    return tuple(name for name in spec_of(teacher).taps if name in present)


def student_discriminator(config: CompressConfig, teacher: nn.Module) -> nn.Module:
    """A copy of the teacher's (GAN Compression, section 3.1), or a new one where there is none that fits, or if asked for."""
    channels, name = judged_channels(config, teacher), published(config.task, spec_of(teacher).name).discriminator
    options = config.discriminator_options
    copied = _teachers_discriminator(config, channels) if options is None else None
    return copied or make_discriminator(name, options or {}, channels, config.data.shape)


def _teachers_discriminator(config: CompressConfig, channels: int) -> nn.Module | None:
    """The one that was named, which must fit, or the one beside the teacher if it does."""
    model = teacher_critic(config)
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


def picture_notes(teacher: nn.Module, data: ImageData) -> list[str]:
    """Whether a foreign teacher paints in the range that it is said to, seen on a few real images."""
    spec = spec_of(teacher)
    if not isinstance(spec, ForeignSpec):
        return []
    with torch.inference_mode():
        picture = teacher(first_batch(data)["source"])
    return [range_note(picture, *spec.pictures.range)]


def notes_on(config: CompressConfig, teacher: nn.Module) -> list[str]:
    """What a reader of the figures must know of how the student learnt."""
    critic, notes = teacher_critic(config), []
    fits = config.task != "inputs" and _teachers_discriminator(config, judged_channels(config, teacher)) is not None
    if config.task == "labels" and not config.perceptual.startswith("vgg19"):
        notes.append(f"trained without VGG19's perceptual loss: perceptual={config.perceptual}")
    if config.task != "inputs" and config.discriminator_options is None and not fits:
        notes.append("no discriminator that fits lies beside the teacher: the student's was begun anew")
    for name, (kind, _) in check_objectives(config.objective, config.objective_options).items():
        if kind.critic and critic is None:
            notes.append(f"there is no teacher's discriminator: the objective {name} {kind.without_critic or 'is left out'}")
    return notes
