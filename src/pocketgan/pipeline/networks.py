"""Who plays in the student's task: its discriminator, its teacher, and the teacher's discriminator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pocketgan.core.inputs import image_channels
from pocketgan.core.spec import spec_of
from pocketgan.data.config import has_pairs
from pocketgan.data.images import ImageData
from pocketgan.data.labels import Labels
from pocketgan.foreign.probe import range_note
from pocketgan.foreign.spec import ForeignSpec
from pocketgan.losses import GanMode
from pocketgan.pipeline.common import first_batch, make_discriminator
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import discriminator_beside, load, reverse_of
from pocketgan.pipeline.perceptual import make_perceptual
from pocketgan.pipeline.published import published
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import Gate
from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.tasks.munit import MunitStudentTask
from pocketgan.tasks.pix2pix import Pix2PixTask, structure
from pocketgan.tasks.spade import SpadeTask
from pocketgan.tasks.unconditional import LatentConfig, UnconditionalTask
from pocketgan.training.objectives import check_objectives
from pocketgan.training.task import Task


def build_student_task(
    config: CompressConfig, student: nn.Module, teacher: nn.Module, data: ImageData, device: torch.device
) -> Task:
    """The student's task: the data's own target where it is paired, the teacher's images where it is not."""
    paired = has_pairs(config.task)
    teacher_image = config.objective != "none" or not paired
    teacher_discriminator = load_teacher_discriminator(config) if teacher_image else None
    task: dict[str, Any] = {
        "gan": gan_of(config, teacher),
        "conditional": paired,
        "l1_target": "target" if paired else "teacher",
        "teacher": teacher.to(device) if teacher_image else None,
        "teacher_discriminator": teacher_discriminator.to(device) if teacher_discriminator is not None else None,
        "objective": config.objective,
        "objective_options": config.objective_options,
        "layers": config.layers or _shared_layers(student, teacher),
        "example": {name: tensor.to(device) for name, tensor in first_batch(data, 1).items()},
    }
    discriminator = None if config.task == "inputs" else student_discriminator(config, teacher)
    if config.task == "labels":
        assert discriminator is not None
        return build_spade_task(student.to(device), discriminator, data.labels, config.perceptual, device, **task)
    if config.task == "unconditional":
        assert discriminator is not None
        return UnconditionalTask(student.to(device), discriminator, settings=latents_of(config, student, teacher), **task)
    if config.task == "multimodal":
        return MunitStudentTask(student.to(device), discriminator, **task)
    return Pix2PixTask(student.to(device), discriminator, **task)


def gan_of(config: CompressConfig, teacher: nn.Module) -> GanMode:
    """The adversarial loss: as asked for, else as published."""
    return config.gan or published(config.task, spec_of(teacher).name).gan


def latents_of(config: CompressConfig, student: nn.Module, teacher: nn.Module) -> LatentConfig:
    """What the student's task adds; no mean runs along a network that changes its widths from step to step, or is masked."""
    settings = config.latents or published(config.task, spec_of(teacher).name).latents
    changing = isinstance(student, Elastic) or any(isinstance(module, Gate) for module in student.modules())
    return replace(settings, average=0.0) if changing else settings


def build_spade_task(
    generator: nn.Module, discriminator: nn.Module, labels: Labels | None, perceptual: str, device: torch.device, **task: Any
) -> Task:
    """GauGAN's task, as teachers and students play it."""
    assert labels is not None
    perception, pixels = make_perceptual(perceptual, device)
    return SpadeTask(generator, discriminator, perception=perception, pixels=pixels, colored=labels.colored, **task)


def discriminator_channels(config: CompressConfig, generator: nn.Module) -> int:
    """How many channels the student's discriminator is shown: the image, and what it was generated from if they are pairs."""
    return 3 + (image_channels(generator) if has_pairs(config.task) else 0)


def build_cyclegan_search_task(config: CompressConfig, forward: nn.Module, back: nn.Module, device: torch.device) -> Task:
    """CycleGAN with both searched generators, each against a copy of its teacher's discriminator, or a new one."""
    reverse = replace(config, teacher=str(reverse_of(Path(config.teacher))), teacher_discriminator=None)
    discriminators = (student_discriminator(config, forward), student_discriminator(reverse, back))
    return CycleGANTask((forward.to(device), back.to(device)), discriminators, gan=config.gan or published(config.task).gan)


def _shared_layers(student: nn.Module, teacher: nn.Module) -> tuple[str, ...]:
    """The teacher's own layers to distil that the student still has (a U-Net may have lost a level).

    A residual block that is gone is still there by name: it passes on the stream after the last one that is left.
    """
    present = dict(structure(student).named_modules())
    return tuple(name for name in spec_of(teacher).taps if name in present)


def student_discriminator(config: CompressConfig, teacher: nn.Module) -> nn.Module:
    """A copy of the teacher's (GAN Compression, section 3.1), or a new one where there is none that fits, or if asked for."""
    channels, name = discriminator_channels(config, teacher), published(config.task, spec_of(teacher).name).discriminator
    options = config.discriminator_options
    copied = _teachers_discriminator(config, channels) if options is None else None
    return copied or make_discriminator(name, options or {}, channels, config.data.shape)


def _teachers_discriminator(config: CompressConfig, channels: int) -> nn.Module | None:
    """The one that was named, which must fit, or the one beside the teacher if it does."""
    model = load_teacher_discriminator(config)
    if model is not None and image_channels(model) == channels:
        return model.requires_grad_(True)
    if config.teacher_discriminator:
        assert model is not None
        raise ValueError(
            f"{config.teacher_discriminator} scores {image_channels(model)} channels, a {config.task} task needs {channels}: "
            "give another, or leave it out"
        )
    return None


def load_teacher_discriminator(config: CompressConfig) -> nn.Module | None:
    """The teacher's discriminator as it is: the one that was named, or the one beside the teacher."""
    given = config.teacher_discriminator
    file = Path(given) if given else discriminator_beside(Path(config.teacher))
    return load(file).model if file is not None else None


def range_warnings(teacher: nn.Module, data: ImageData) -> list[str]:
    """Whether a foreign teacher generates in the range that it is said to, seen on a few real images."""
    spec = spec_of(teacher)
    if not isinstance(spec, ForeignSpec):
        return []
    with torch.inference_mode():
        image = teacher(first_batch(data)["input"])
    return [range_note(image, *spec.images.range)]


def training_notes(config: CompressConfig, teacher: nn.Module) -> list[str]:
    """What a reader of the figures must know of how the student learnt."""
    teacher_discriminator, notes = load_teacher_discriminator(config), []
    fits = config.task != "inputs" and _teachers_discriminator(config, discriminator_channels(config, teacher)) is not None
    if config.task == "labels" and not config.perceptual.startswith("vgg19"):
        notes.append(f"trained without VGG19's perceptual loss: perceptual={config.perceptual}")
    if config.task != "inputs" and config.discriminator_options is None and not fits:
        notes.append("no discriminator that fits lies beside the teacher: the student's was begun anew")
    for name, (kind, _) in check_objectives(config.objective, config.objective_options).items():
        if kind.teacher_discriminator and teacher_discriminator is None:
            notes.append(
                f"there is no teacher's discriminator: the objective {name} {kind.without_discriminator or 'is left out'}"
            )
    return notes
