"""Training tasks of students: networks, teacher and losses put together from the settings of a run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import Shape, image_channels
from pocketgan.core.spec import spec_of
from pocketgan.data.images import ImageData
from pocketgan.data.labels import Labels
from pocketgan.foreign.probe import range_note
from pocketgan.foreign.spec import ForeignSpec
from pocketgan.losses.adversarial import GanMode
from pocketgan.pipeline.common import first_batch, make_discriminator
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import discriminator_beside, load, reverse_of
from pocketgan.pretrained.vgg import load_vgg19
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import Gate
from pocketgan.tasks import TASKS, LatentConfig
from pocketgan.tasks.base import StudentParts, TaskDefinition, module_of
from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import check_weights
from pocketgan.training.objectives import check_batch, check_objectives
from pocketgan.training.task import Task
from pocketgan.utils.registry import unknown

PERCEPTUAL = ("vgg19", "pixels", "none")


@dataclass(frozen=True, kw_only=True)
class StudentTasks:
    """Builder of the training tasks of students of one teacher: of the search, and of the recovery."""

    definition: TaskDefinition
    teacher: nn.Module
    teacher_file: Path
    teacher_discriminator: nn.Module | None
    """As it is in its file; None where there is none."""
    discriminator_options: dict[str, Any] | None
    """Options of a new discriminator; None begins with a copy of the teacher's where that fits."""
    gan: GanMode
    objective: str
    search_objective: str | None
    objective_options: Mapping[str, Mapping[str, Any]]
    layers: tuple[str, ...]
    latents: LatentConfig
    perceptual: str
    labels: Labels | None
    shape: Shape
    example: Mapping[str, Tensor]
    """Batch of one image, unaugmented."""

    @classmethod
    def of(cls, config: CompressConfig, teacher: nn.Module, file: Path | None, data: ImageData) -> StudentTasks:
        """Builder by a run's configuration; ``file`` is the teacher's where that is not the one that the user named.

        Raises ``ValueError`` for a discriminator that was named and does not fit.
        """
        definition = TASKS[config.task]
        defaults = definition.defaults_for(spec_of(teacher).name)
        named = config.teacher_discriminator if file is None else None
        tasks = cls(
            definition=definition,
            teacher=teacher,
            teacher_file=file or Path(config.teacher),
            teacher_discriminator=load_discriminator(file or Path(config.teacher), named),
            discriminator_options=config.discriminator_options,
            gan=config.gan or defaults.gan,
            objective=config.objective,
            search_objective=config.search_objective,
            objective_options=config.objective_options,
            layers=config.layers,
            latents=config.latents or defaults.latents,
            perceptual=config.perceptual,
            labels=data.labels,
            shape=config.data.shape,
            example=first_batch(data, 1),
        )
        if named and definition.traits.has_targets and not tasks.teacher_discriminator_fits:
            channels = definition.discriminator_channels(image_channels(teacher))
            assert tasks.teacher_discriminator is not None
            raise ValueError(
                f"{named} scores {image_channels(tasks.teacher_discriminator)} channels, a {definition.name} task needs "
                f"{channels}: give another, or leave it out"
            )
        return tasks

    @property
    def teacher_discriminator_fits(self) -> bool:
        """True if the teacher's discriminator reads what the student's has to."""
        channels = self.definition.discriminator_channels(image_channels(self.teacher))
        return self.teacher_discriminator is not None and image_channels(self.teacher_discriminator) == channels

    def discriminator(self) -> nn.Module | None:
        """Copy of the teacher's discriminator (GAN Compression, section 3.1), or a new one where none fits or options say so.

        None for a task without real targets.
        """
        if not self.definition.traits.has_targets:
            return None
        if self.discriminator_options is None and self.teacher_discriminator_fits:
            return copy.deepcopy(self.teacher_discriminator).requires_grad_(True)  # type: ignore[union-attr]
        channels = self.definition.discriminator_channels(image_channels(self.teacher))
        name = self.definition.defaults_for(spec_of(self.teacher).name).discriminator
        return make_discriminator(name, self.discriminator_options or {}, channels, self.shape)

    def recovery_task(self, student: nn.Module, device: torch.device, *, objective: str | None = None) -> Task:
        """Training of one student; ``objective`` in place of the run's own."""
        objective = objective or self.objective
        paired = self.definition.traits.has_pairs
        has_teacher = objective != "none" or not paired
        teacher_discriminator = (
            copy.deepcopy(self.teacher_discriminator).to(device) if has_teacher and self.teacher_discriminator else None
        )
        common: dict[str, Any] = {
            "gan": self.gan,
            "conditional": paired,
            "l1_target": "target" if paired else "teacher",
            "teacher": self.teacher.to(device) if has_teacher else None,
            "teacher_discriminator": teacher_discriminator,
            "objective": objective,
            "objective_options": self.objective_options,
            "layers": self.layers or self._shared_layers(student),
            "example": {name: tensor.to(device) for name, tensor in self.example.items()},
        }
        parts = StudentParts(
            generator=student.to(device),
            discriminator=self.discriminator(),
            latents=latents_for(self.latents, student),
            perceptual=partial(perceptual_losses, self.perceptual, device),
            labels=self.labels,
            common=common,
        )
        return self.definition.student(parts)

    def search_task(self, models: Mapping[str, nn.Module], device: torch.device) -> Task:
        """Training of the search: the student's task with the search's objective, or CycleGAN with both generators."""
        if len(models) == 1:
            return self.recovery_task(models["G"], device, objective=self.search_objective)
        reverse = replace(
            self,
            teacher=models["G_B"],
            teacher_discriminator=load_discriminator(reverse_of(self.teacher_file), None),
        )
        discriminators = (replace(self, teacher=models["G_A"]).discriminator(), reverse.discriminator())
        assert discriminators[0] is not None
        assert discriminators[1] is not None
        generators = (models["G_A"].to(device), models["G_B"].to(device))
        return CycleGANTask(generators, discriminators, gan=self.gan)  # type: ignore[arg-type]

    def dry_build(
        self,
        initial: nn.Module,
        models: Mapping[str, nn.Module] | None,
        recoveries: list[TrainingConfig],
        search: TrainingConfig,
    ) -> None:
        """Build every task once on the unpruned networks, so that a wrong name or weight is found now, not after a search.

        ``models`` are those of the search, None where there is none.
        """
        cpu = torch.device("cpu")
        builders: list[tuple[list[TrainingConfig], Callable[[], Task], str]] = [
            (recoveries, lambda: self.recovery_task(copy.deepcopy(initial), cpu), self.objective)
        ]
        if models is not None:
            copies = {name: copy.deepcopy(model) for name, model in models.items()}
            objective = (self.search_objective or self.objective) if len(models) == 1 else "none"
            builders.append(([search], lambda: self.search_task(copies, cpu), objective))
        for settings, build, objective in builders:
            task = build()
            task.close()
            for training in settings:
                check_weights(training, task)
                check_batch(objective, self.objective_options, training.batch)

    def notes(self) -> list[str]:
        """Facts of the training that a reader of the figures has to know."""
        notes, traits = [], self.definition.traits
        if traits.reads_labels and not self.perceptual.startswith("vgg19"):
            notes.append(f"trained without VGG19's perceptual loss: perceptual={self.perceptual}")
        if traits.has_targets and self.discriminator_options is None and not self.teacher_discriminator_fits:
            notes.append("no discriminator that fits lies beside the teacher: the student's begins with fresh weights")
        for name, (kind, _) in check_objectives(self.objective, self.objective_options).items():
            if kind.needs_discriminator and self.teacher_discriminator is None:
                fallback = kind.without_discriminator or "is left out"
                notes.append(f"there is no teacher's discriminator: the objective {name} {fallback}")
        return notes

    def _shared_layers(self, student: nn.Module) -> tuple[str, ...]:
        """The teacher's own layers to distil that the student still has (a U-Net may have lost a level).

        A removed residual block still exists as a module: it passes its input on.
        """
        present = dict(module_of(student).named_modules())
        return tuple(name for name in spec_of(self.teacher).taps if name in present)


def latents_for(settings: LatentConfig, student: nn.Module) -> LatentConfig:
    """Regularization of a student; weights are not averaged while widths change from step to step, or are masked."""
    changing = isinstance(student, Elastic) or any(isinstance(module, Gate) for module in student.modules())
    return replace(settings, average=0.0) if changing else settings


def load_discriminator(generator: Path, named: str | None) -> nn.Module | None:
    """Discriminator that was named, or the one beside a generator's file; None where there is none."""
    file = Path(named) if named else discriminator_beside(generator)
    return load(file).model if file is not None else None


def range_notes(generator: nn.Module, data: ImageData) -> list[str]:
    """Values of a foreign generator on a few test images beside the range that it was given; none for others."""
    spec = spec_of(generator)
    if not isinstance(spec, ForeignSpec):
        return []
    with torch.inference_mode():
        image = generator(first_batch(data)["input"])
    return [range_note(image, *spec.images.range)]


def perceptual_losses(text: str, device: torch.device) -> dict[str, Any]:
    """Keyword arguments of `SpadeTask` for ``vgg19``, ``vgg19:FILE``, ``pixels`` or ``none``.

    Raises ``ValueError`` for another name, and where the weights of VGG19 cannot be had, naming the two ways to do without.
    """
    name, _, file = text.partition(":")
    if name not in PERCEPTUAL or (file and name != "vgg19"):
        raise unknown("perceptual loss", text, PERCEPTUAL)
    if name != "vgg19":
        return {"perception": None, "pixels": name == "pixels"}
    try:
        network = _vgg19(file)
    except ValueError as error:
        raise ValueError(
            f"{error}; or train without: perceptual=pixels compares pixels (L1), perceptual=none leaves it to the discriminator"
        ) from None
    # A function, and no module of the task: VGG19 is neither trained nor saved.
    on_device = network.to(device)
    return {"perception": lambda images: on_device(images), "pixels": False}


@lru_cache(maxsize=1)
def _vgg19(file: str) -> nn.Module:
    return load_vgg19(file or None)
