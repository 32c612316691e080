"""Training tasks of students: networks, teacher and losses put together from the settings of a run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import image_channels
from pocketgan.core.spec import spec_of
from pocketgan.data.images import ImageData
from pocketgan.data.labels import Labels
from pocketgan.pipeline.common import first_batch, make_discriminator
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import discriminator_beside, load, reverse_of
from pocketgan.pretrained.vgg import load_vgg19
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import Gate
from pocketgan.tasks import TASKS, Defaults
from pocketgan.tasks.base import StudentParts, TaskDefinition, module_of
from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import check_weights
from pocketgan.training.objectives import check_batch, check_objectives
from pocketgan.training.task import Task
from pocketgan.training.teacher_cache import TeacherCache, parse_bytes
from pocketgan.utils.registry import unknown

PERCEPTUAL = ("vgg19", "pixels", "none")
_vgg19 = lru_cache(maxsize=1)(load_vgg19)


@dataclass(frozen=True)
class StudentTasks:
    """Builder of the training tasks of students of one teacher: of the search, and of the recovery."""

    config: CompressConfig
    teacher: nn.Module
    teacher_file: Path
    teacher_discriminator: nn.Module | None
    """As it is in its file; None where there is none."""
    labels: Labels | None
    example: Mapping[str, Tensor]
    """Batch of one image, unaugmented."""
    cache: TeacherCache

    @classmethod
    def of(cls, config: CompressConfig, teacher: nn.Module, file: Path | None, data: ImageData, cache: Path) -> StudentTasks:
        """Builder by a run's configuration; ``file`` is the teacher's where that is not the one that the user named.

        ``cache`` is the folder of what teachers make of the training images in ``data``.

        Raises ``ValueError`` for a discriminator that was named and does not fit.
        """
        named = config.teacher_discriminator if file is None else None
        teacher_file = file or Path(config.teacher)
        discriminator = load_discriminator(Path(named) if named else discriminator_beside(teacher_file))
        kept = TeacherCache(cache, parse_bytes(config.cache), len(data) * (data.config.variants or 1))
        tasks = cls(config, teacher, teacher_file, discriminator, data.labels, first_batch(data, 1), kept)
        if named and tasks.definition.traits.has_targets and not tasks.teacher_discriminator_fits:
            assert discriminator is not None
            raise ValueError(
                f"{named} scores {image_channels(discriminator)} channels, a {config.task} task needs "
                f"{tasks.discriminator_channels}: give another, or leave it out"
            )
        return tasks

    @property
    def definition(self) -> TaskDefinition:
        """Task of the run."""
        return TASKS[self.config.task]

    @property
    def defaults(self) -> Defaults:
        """Published settings of the task, for the teacher's architecture."""
        return self.definition.defaults_for(spec_of(self.teacher).name)

    @property
    def discriminator_channels(self) -> int:
        """Channels that a student's discriminator reads."""
        return self.definition.discriminator_channels(self.teacher)

    @property
    def teacher_discriminator_fits(self) -> bool:
        """True if the teacher's discriminator reads what the student's has to."""
        own = self.teacher_discriminator
        return own is not None and image_channels(own) == self.discriminator_channels

    def discriminator(self) -> nn.Module | None:
        """Copy of the teacher's discriminator (GAN Compression, section 3.1), or a new one where none fits or options say so.

        None for a task without real targets.
        """
        if not self.definition.traits.has_targets:
            return None
        options = self.config.discriminator_options
        if options is None and self.teacher_discriminator_fits:
            return copy.deepcopy(self.teacher_discriminator).requires_grad_(True)  # type: ignore[union-attr]
        return make_discriminator(
            self.defaults.discriminator, options or {}, self.discriminator_channels, self.config.data.shape
        )

    def recovery_task(self, student: nn.Module, device: torch.device, *, objective: str | None = None) -> Task:
        """Training of one student; ``objective`` in place of the run's own."""
        config, paired = self.config, self.definition.traits.has_pairs
        objective = objective or config.objective
        has_teacher = objective != "none" or not paired
        common: dict[str, Any] = {
            "gan": config.gan or self.defaults.gan,
            "conditional": paired,
            "l1_target": "target" if paired else "teacher",
            "teacher": self.teacher.to(device) if has_teacher else None,
            "teacher_discriminator": None,
            "objective": objective,
            "objective_options": config.objective_options,
            "layers": config.layers or self._shared_layers(student),
            "example": {name: tensor.to(device) for name, tensor in self.example.items()},
            "cache": self.cache,
            "average": config.recovery.average,
        }
        if has_teacher and self.teacher_discriminator is not None:
            common["teacher_discriminator"] = copy.deepcopy(self.teacher_discriminator).to(device)
        latents = config.latents or self.defaults.latents
        # Weights are not averaged while widths change from step to step, or are masked.
        if isinstance(student, Elastic) or any(isinstance(module, Gate) for module in student.modules()):
            latents, common["average"] = replace(latents, average=0.0), 0.0
        parts = StudentParts(
            generator=student.to(device),
            discriminator=self.discriminator(),
            latents=latents,
            perceptual=partial(perceptual_losses, config.perceptual, device),
            labels=self.labels,
            common=common,
        )
        return self.definition.student(parts)

    def search_task(self, models: Mapping[str, nn.Module], device: torch.device) -> Task:
        """Training of the search: the student's task with the search's objective, or CycleGAN with both generators."""
        if len(models) == 1:
            return self.recovery_task(models["G"], device, objective=self.config.search_objective)
        beside = discriminator_beside(reverse_of(self.teacher_file))
        reverse = replace(self, teacher=models["G_B"], teacher_discriminator=load_discriminator(beside))
        discriminators = (replace(self, teacher=models["G_A"]).discriminator(), reverse.discriminator())
        assert discriminators[0] is not None
        assert discriminators[1] is not None
        generators = (models["G_A"].to(device), models["G_B"].to(device))
        gan = self.config.gan or self.defaults.gan
        return CycleGANTask(generators, discriminators, gan=gan)  # type: ignore[arg-type]

    def dry_build(self, initial: nn.Module, models: Mapping[str, nn.Module] | None) -> None:
        """Build every task once on the unpruned networks, so that a wrong name or weight is found now, not after a search.

        ``models`` are those of the search, None where there is none.
        """
        cpu, config = torch.device("cpu"), self.config

        def check(task: Task, objective: str, *trainings: TrainingConfig) -> None:
            task.close()
            for training in trainings:
                check_weights(training, task)
                check_batch(objective, config.objective_options, training.batch)

        distillation = [config.full.distill] if config.pipeline == "full" else []
        check(self.recovery_task(copy.deepcopy(initial), cpu), config.objective, config.recovery, *distillation)
        if models is not None:
            objective = (config.search_objective or config.objective) if len(models) == 1 else "none"
            check(self.search_task(copy.deepcopy(dict(models)), cpu), objective, config.search)

    def notes(self) -> list[str]:
        """Facts of the training that a reader of the figures has to know."""
        notes, traits, config = [], self.definition.traits, self.config
        if traits.reads_labels and not config.perceptual.startswith("vgg19"):
            notes.append(f"trained without VGG19's perceptual loss: perceptual={config.perceptual}")
        if traits.has_targets and config.discriminator_options is None and not self.teacher_discriminator_fits:
            notes.append("no discriminator that fits lies beside the teacher: the student's begins with fresh weights")
        for name, (kind, _) in check_objectives(config.objective, config.objective_options).items():
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


def load_discriminator(file: Path | None) -> nn.Module | None:
    """Discriminator of a file, if there is one."""
    return load(file).model if file is not None else None


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
        network = _vgg19(file or None)
    except ValueError as error:
        raise ValueError(
            f"{error}; or train without: perceptual=pixels compares pixels (L1), perceptual=none leaves it to the discriminator"
        ) from None
    # A function, and no module of the task: VGG19 is neither trained nor saved.
    on_device = network.to(device)
    return {"perception": lambda images: on_device(images), "pixels": False}
