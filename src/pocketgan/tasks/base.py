"""A task's definition, and the training of one generator: adversarial loss, reconstruction, distillation, put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import image_channels, output_channels, select_inputs
from pocketgan.core.tasks import TaskName, TaskTraits, traits_of
from pocketgan.data.labels import Labels
from pocketgan.losses.adversarial import GanMode, Logits, discriminator_loss, generator_loss
from pocketgan.pruning.elastic import Elastic
from pocketgan.training.averaging import average_, averaged
from pocketgan.training.config import TrainingConfig
from pocketgan.training.features import Taps, TeacherDiscriminator
from pocketgan.training.objectives import DistillationBatch, check_objectives, make_objectives
from pocketgan.training.task import Batch, Phase, Task
from pocketgan.training.teacher_cache import CachedTeacher, TeacherCache
from pocketgan.utils.registry import Registry, check_at_least

L1Target = Literal["target", "teacher"] | None
"""The image that L1 compares with: the real target, the teacher's image, or none."""


@dataclass(frozen=True, kw_only=True)
class LatentConfig:
    """Regularization of an unconditional task. All of it is off at 0."""

    r1: float = 0.0
    """gamma of R1: gamma / 2 times the squared gradient of D at real images (Mescheder et al. 2018, eq. 9)."""
    r1_every: int = 16
    """Steps between two R1 penalties; each is scaled by this number (StyleGAN2, section 3.1: lazy regularization)."""
    path_length: float = 0.0
    """Weight of the path length penalty (StyleGAN2, eq. 4), for teachers with a mapping network."""
    path_length_every: int = 4
    """Steps between two path length penalties; each is scaled by this number."""
    mixing: float = 0.0
    """Probability that an image has the style of one latent in its coarse layers and of another in the rest (StyleGAN,
    section 3.1), for teachers with a mapping network."""
    average: float = 0.0
    """Half-life, in thousands of images, of the exponential moving average of the weights; the average is the result."""
    augment: float = 0.0
    """Target of adaptive augmentation: the mean sign of D's logits of real images (Karras et al. 2020, "Training GANs with
    limited data", section 3: 0.6)."""

    def __post_init__(self) -> None:
        check_at_least(self, r1=0, path_length=0, average=0, r1_every=1, path_length_every=1)
        for name in ("mixing", "augment"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: a fraction from 0 to 1")


@dataclass(frozen=True)
class Defaults:
    """Published settings of a task."""

    arch: str = "resnet"
    discriminator: str = "patchgan"
    gan: GanMode = "hinge"
    training: TrainingConfig = field(default_factory=TrainingConfig)
    latents: LatentConfig = field(default_factory=LatentConfig)
    """Regularization of an unconditional task."""


@dataclass(frozen=True, kw_only=True)
class TeacherParts:
    """Makers of the fresh networks that a teacher's task trains, and the settings of its losses."""

    generator: Callable[..., nn.Module]
    """Fresh generator; keyword arguments go to the model's factory where it takes them, ``reverse`` exchanges the channels of
    input and output."""
    discriminator: Callable[[int], nn.Module]
    """Fresh discriminator for that number of channels."""
    size: int
    """Width of the images."""
    gan: GanMode
    latents: LatentConfig
    perceptual: Callable[[], dict[str, Any]]
    """Keyword arguments of `SpadeTask` for its perceptual loss."""
    labels: Labels | None = None


@dataclass(frozen=True, kw_only=True)
class StudentParts:
    """Networks and settings of a student's task."""

    generator: nn.Module
    discriminator: nn.Module | None
    latents: LatentConfig
    perceptual: Callable[[], dict[str, Any]]
    labels: Labels | None = None
    common: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of `GeneratorTask`: adversarial loss, teacher and distillation."""


class TaskDefinition(ABC):
    """All that the rest of the package has to know of a task: needs, published defaults, and how its training is built."""

    name: TaskName
    defaults: Defaults = Defaults()
    architectures: Mapping[str, Defaults] = {}
    """Defaults of generators of these architectures, where they differ."""

    @property
    def traits(self) -> TaskTraits:
        """Needs of the task: pairs, label maps, latents."""
        return traits_of(self.name)

    def defaults_for(self, arch: str | None = None) -> Defaults:
        """Published defaults; of a generator of architecture ``arch``, where that has its own."""
        return self.architectures.get(arch or "", self.defaults)

    def discriminator_channels(self, generator: nn.Module) -> int:
        """Channels of a discriminator: the generator's image, and its input where the task has pairs."""
        return output_channels(generator) + (image_channels(generator) if self.traits.has_pairs else 0)

    @abstractmethod
    def teacher(self, parts: TeacherParts) -> Task:
        """Training of fresh networks on data alone."""

    @abstractmethod
    def student(self, parts: StudentParts) -> Task:
        """Training of a student on data and a teacher."""


TASKS: Registry[TaskDefinition] = Registry("task")
"""Every task by the name of ``--task``."""


def module_of(generator: nn.Module) -> nn.Module:
    """Module that runs when the generator does, with its layers by name: of an elastic generator its shell."""
    return generator.shell if isinstance(generator, Elastic) else generator


class Distillation:
    """Frozen teacher in evaluation mode, and the objectives by which a student imitates its images and features."""

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        teacher_discriminator: nn.Module | None,
        objective: str,
        options: Mapping[str, Mapping[str, Any]],
        layers: tuple[str, ...],
        example: Batch,
        cache: TeacherCache | None = None,
    ):
        """``layers`` are distilled by the ``objective``; ``example``, a batch of one image, shows their channel counts.

        ``teacher_discriminator`` is on the device of ``example``; it is frozen here. ``cache`` holds what the teacher makes of
        the training inputs.
        """
        self.discriminator = TeacherDiscriminator(teacher_discriminator) if teacher_discriminator is not None else None
        self._cached: CachedTeacher | None = None  # not while the objectives are built on the example
        self.teacher = teacher.eval().requires_grad_(False)
        self._teacher_taps, self._taps = Taps(teacher, layers), Taps(module_of(student), layers)
        with torch.no_grad():
            image = student(*select_inputs(example, module_of(student)))
            objectives = make_objectives(objective, options, self.batch(example, image))
        # Objectives that were left out count, too: a weight given for one is no misspelling.
        self.weights = {name: kind.weight for name, (kind, _) in check_objectives(objective, options).items()}
        self.objectives = nn.ModuleDict(objectives).to(image.device)
        needs_features = any(entry.needs_features for entry in objectives.values())
        if not needs_features:
            self.close()
        self._cached = cache.of(teacher, layers if needs_features else ()) if cache is not None else None

    def teacher_image(self, batch: Batch) -> Tensor:
        """Image that the teacher makes of a batch; a copy, as autograd may not save tensors made under inference mode."""
        with torch.inference_mode():
            image = self.teacher(*select_inputs(batch, self.teacher))
        return image.clone()  # type: ignore[no-any-return]

    def batch(self, batch: Batch, student_image: Tensor) -> DistillationBatch:
        """Images and features of student and teacher for one batch; the student has just run."""
        if self._cached is not None:
            image, features = self._cached(batch)
        else:
            image = self.teacher_image(batch)
            features = {name: features.clone() for name, features in self._teacher_taps.take().items()}
        return DistillationBatch(batch["input"], student_image, image, self._taps.take(), features, self.discriminator)

    def teacher_cost(self) -> tuple[float, int]:
        """Seconds of the teacher for an input, and how many more it is to see; zeros where it sees every input."""
        return self._cached.cost() if self._cached is not None else (0.0, 0)

    def losses(self, batch: DistillationBatch) -> dict[str, Tensor]:
        """Loss of each objective."""
        return {name: entry.loss(batch) for name, entry in self.objectives.items()}  # type: ignore[operator]

    def close(self) -> None:
        """Remove the hooks of teacher and student: other tasks may use the teacher."""
        self._teacher_taps.close()
        self._taps.close()


class GeneratorTask(Task):
    """Training of one generator G, against an optional discriminator D and beside an optional teacher.

    Subclasses name their losses and weights. The generator's losses are the adversarial one, those of `reconstruction`, and
    one per objective of the distillation.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        *,
        losses: Mapping[str, float],
        gan: GanMode = "hinge",
        conditional: bool = False,
        l1_target: L1Target = None,
        teacher: nn.Module | None = None,
        teacher_discriminator: nn.Module | None = None,
        objective: str = "none",
        objective_options: Mapping[str, Mapping[str, Any]] | None = None,
        layers: tuple[str, ...] = (),
        example: Batch | None = None,
        cache: TeacherCache | None = None,
        average: float = 0.0,
        generator_first: bool = False,
    ):
        """Args:
        losses: weights of the reconstruction losses, and of ``d_adv``.
        conditional: D reads the input beside the image (pix2pix, eq. 1).
        l1_target: the image that L1 compares with.
        teacher: trained generator to imitate; with it `Distillation`'s arguments.
        average: half-life, in thousands of images, of the moving average of G's weights, which is the result; 0: none.
        generator_first: the order of the two phases of a step.
        """
        networks, phases = {"G": generator}, [Phase("G", ("G",))]
        factors = {name: weight for name, weight in losses.items() if name != "d_adv"}
        if discriminator is not None:
            networks["D"] = discriminator
            phases.insert(int(generator_first), Phase("D", ("D",)))
            factors |= {"gan": 1.0, "d_adv": losses["d_adv"]}
        self.gan, self.conditional, self.l1_target, self.objective = gan, conditional, l1_target, objective
        self.distillation: Distillation | None = None
        if teacher is not None:
            assert example is not None, "a student's task needs an example batch"
            self.distillation = Distillation(
                generator, teacher, teacher_discriminator, objective, objective_options or {}, layers, example, cache
            )
            factors |= self.distillation.weights
            if self.distillation.objectives:
                networks["objective"] = self.distillation.objectives
                phases = [Phase("G", ("G", "objective")) if phase.name == "G" else phase for phase in phases]
        super().__init__(networks, tuple(phases), factors)
        self.half_life = average
        self.mean = averaged(generator) if average else None

    @property
    def latest(self) -> nn.Module:
        """Generator that would be the result if the training ended now."""
        return self.networks["G"] if self.mean is None else self.mean

    def generate(self, batch: Batch, generator: nn.Module | None = None) -> Tensor:
        """Image that a generator makes of a batch; by default G."""
        generator = generator if generator is not None else self.networks["G"]
        return generator(*select_inputs(batch, module_of(generator)))  # type: ignore[no-any-return]

    def forward(self, batch: Batch) -> dict[str, Any]:
        """``image`` of the student, and ``distillation``: the `DistillationBatch`, where the losses need one."""
        outputs: dict[str, Any] = {"image": self.generate(batch)}
        if self.distillation is not None and (self.l1_target == "teacher" or self.distillation.objectives):
            outputs["distillation"] = self.distillation.batch(batch, outputs["image"])
        return outputs

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``D``: d_adv; ``G``: gan, those of `reconstruction`, and one per objective."""
        if phase == "D":
            return self.discriminator_losses(batch, outputs["image"].detach())
        losses: dict[str, Tensor] = {}
        if "D" in self.networks:
            losses["gan"] = generator_loss(self.gan, self.discriminate(batch, outputs["image"]))
        losses |= self.reconstruction(batch, outputs)
        if self.distillation is not None and "distillation" in outputs:
            losses |= self.distillation.losses(outputs["distillation"])
        return losses

    def discriminator_losses(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        """Adversarial loss of D on the real targets and generated images."""
        real = self.discriminate(batch, batch["target"])
        return {"d_adv": discriminator_loss(self.gan, real, self.discriminate(batch, fake))}

    def reconstruction(self, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """L1 to the real target or to the teacher's image."""
        if self.l1_target is None:
            return {}
        target = batch["target"] if self.l1_target == "target" else outputs["distillation"].teacher_image
        return {"l1": F.l1_loss(outputs["image"], target)}

    def discriminate(self, batch: Batch, image: Tensor) -> Logits:
        """Logits of D for an image, with its input beside it where the task is conditional."""
        return self.networks["D"](torch.cat([batch["input"], image], 1) if self.conditional else image)  # type: ignore[no-any-return]

    def images(self, batch: Batch) -> dict[str, Tensor]:
        columns = {"input": batch["input"]} if batch["input"].ndim == 4 else {}
        if "target" in batch and self.l1_target == "target":
            columns["target"] = batch["target"]
        if self.distillation is not None:
            columns["teacher"] = self.distillation.teacher_image(batch)
        columns["student" if self.distillation is not None else "image"] = self.generate(batch, self.latest)
        return columns

    def stepped(self, images: int) -> None:
        if self.mean is not None:
            average_(self.mean, self.networks["G"], images=images, half_life=self.half_life)

    def final_network(self, network: str) -> nn.Module:
        return self.latest if network == "G" else super().final_network(network)

    def state(self) -> dict[str, Tensor]:
        return {} if self.mean is None else {f"mean/{name}": tensor for name, tensor in self.mean.state_dict().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        if self.mean is not None:
            self.mean.load_state_dict({k.removeprefix("mean/"): v for k, v in state.items() if k.startswith("mean/")})

    def teacher_cost(self) -> tuple[float, int]:
        return (0.0, 0) if self.distillation is None else self.distillation.teacher_cost()

    def close(self) -> None:
        if self.distillation is not None:
            self.distillation.close()
