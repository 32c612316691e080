"""The one-way task, source to target: pix2pix teachers, and every student against a frozen teacher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import select_inputs
from pocketgan.losses import GanMode, Logits, discriminator_loss, generator_loss
from pocketgan.pruning.elastic import Elastic
from pocketgan.training.objectives import DistillationBatch, check_objectives, make_objectives
from pocketgan.training.taps import Taps
from pocketgan.training.task import Batch, Phase, Task
from pocketgan.training.teacher_discriminator import TeacherDiscriminator

L1Target = Literal["target", "teacher"] | None
"""What an image shall be like, pixel by pixel: the real target, the teacher's image, or nothing."""


class Teacher:
    """A frozen generator: its images and features, generated under inference mode in evaluation mode."""

    def __init__(self, generator: nn.Module, layers: Iterable[str]):
        self.generator = generator.eval().requires_grad_(False)
        self._taps = Taps(generator, layers)

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The image and ``{layer: features}``; copied, as autograd may not save tensors born under inference mode."""
        with torch.inference_mode():
            image = self.generator(*select_inputs(batch, self.generator))
        return image.clone(), {name: features.clone() for name, features in self._taps.take().items()}

    def close(self) -> None:
        """Take the taps off: the generator may teach others."""
        self._taps.close()


def structure(generator: nn.Module) -> nn.Module:
    """What runs when the generator does, with its layers by name: an elastic one runs in a shell."""
    return generator.shell if isinstance(generator, Elastic) else generator


class Pix2PixTask(Task):
    """G generates the target from the source; D (if there is one) tells its images from real ones.

    Paired data: L1 to the real target, and D sees the source too (pix2pix, eq. 1-4). Unpaired data: the teacher's image
    is the target, which makes them paired, and D sees images alone (GAN Compression, section 3.1).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        *,
        gan: GanMode = "hinge",
        conditional: bool = True,
        l1_target: L1Target = "target",
        teacher: nn.Module | None = None,
        teacher_discriminator: nn.Module | None = None,
        objective: str = "none",
        objective_options: Mapping[str, Mapping[str, Any]] | None = None,
        layers: tuple[str, ...] = (),
        weights: Mapping[str, float] | None = None,
        example: Batch | None = None,
    ):
        """``layers`` are distilled by the ``objective``; ``example`` (a batch of one image) shows their channel counts.

        ``discriminator`` is the teacher's discriminator, on the device of ``example``; it is frozen here.
        """
        super().__init__({"G": generator}, (Phase("G", ("G",)),), {"l1": 100.0} if l1_target is not None else {})
        self.gan, self.conditional, self.l1_target, self.objective = gan, conditional, l1_target, objective
        if discriminator is not None:
            self.networks["D"] = discriminator
            self.weights |= {"gan": 1.0, "d_adv": 1.0}
            self.phases = (Phase("D", ("D",)), *self.phases)
        self.teacher: Teacher | None = None
        self.teacher_discriminator = TeacherDiscriminator(teacher_discriminator) if teacher_discriminator is not None else None
        if teacher is not None:
            self._learn_from(teacher, objective, objective_options or {}, layers, example)
        self.weights.update(weights or {})

    def _learn_from(
        self,
        teacher: nn.Module,
        objective: str,
        options: Mapping[str, Mapping[str, Any]],
        layers: tuple[str, ...],
        example: Batch | None,
    ) -> None:
        assert example is not None
        self.teacher, self._taps = Teacher(teacher, layers), Taps(structure(self.networks["G"]), layers)
        with torch.no_grad():
            image = self._generate(example)
            objectives = make_objectives(objective, options, self._distillation_batch(example, image))
        # Of those that were left out, too: a weight given for one is no misspelling.
        asked = check_objectives(objective, options)
        self.weights.update({name: kind.weight for name, (kind, _) in asked.items()})
        if objectives:
            self.networks["objective"] = nn.ModuleDict(objectives).to(image.device)
            *before, last = self.phases
            self.phases = (*before, Phase("G", (*last.networks, "objective")))
        if not any(entry.features for entry in objectives.values()):
            self.close()
            self.teacher = Teacher(teacher, ())

    def _distillation_batch(self, batch: Batch, image: Tensor) -> DistillationBatch:
        assert self.teacher is not None
        teacher_image, features = self.teacher(batch)
        return DistillationBatch(batch["input"], image, teacher_image, self._taps.take(), features, self.teacher_discriminator)

    def _generate(self, batch: Batch, generator: nn.Module | None = None) -> Tensor:
        generator = generator if generator is not None else self.networks["G"]
        return generator(*select_inputs(batch, structure(generator)))  # type: ignore[no-any-return]

    def forward(self, batch: Batch) -> dict[str, Any]:
        """The student's image, and the teacher's where there is one."""
        outputs: dict[str, Any] = {"image": self._generate(batch)}
        if self.teacher is not None and (self.l1_target == "teacher" or "objective" in self.networks):
            outputs["distillation"] = self._distillation_batch(batch, outputs["image"])
        return outputs

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``D``: real; ``G``: gan, l1, and one loss an objective."""
        image = outputs["image"]
        if phase == "D":
            real, fake = self._discriminate(batch, batch["target"]), self._discriminate(batch, image.detach())
            return {"d_adv": discriminator_loss(self.gan, real, fake)}
        losses: dict[str, Tensor] = {}
        if "D" in self.networks:
            losses["gan"] = generator_loss(self.gan, self._discriminate(batch, image))
        return losses | self._l1(batch, outputs) | self._distillation_losses(outputs)

    def _l1(self, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """The distance to the target."""
        target = batch["target"] if self.l1_target == "target" else outputs["distillation"].teacher_image
        return {"l1": F.l1_loss(outputs["image"], target)}

    def _distillation_losses(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """One loss an objective."""
        if "objective" not in self.networks:
            return {}
        return {name: entry.loss(outputs["distillation"]) for name, entry in self.networks["objective"].items()}  # type: ignore[operator]

    def _discriminate(self, batch: Batch, image: Tensor) -> Logits:
        shown = torch.cat([batch["input"], image], 1) if self.conditional else image
        return self.networks["D"](shown)  # type: ignore[no-any-return]

    @property
    def latest(self) -> nn.Module:
        """The network that would be kept if the training ended now."""
        return self.networks["G"]

    def close(self) -> None:
        """Take the taps off teacher and student."""
        if self.teacher is not None:
            self.teacher.close()
            self._taps.close()

    def images(self, batch: Batch) -> dict[str, Tensor]:
        """Source, target, teacher, student."""
        columns = {"input": batch["input"]} if batch["input"].ndim == 4 else {}
        if "target" in batch and self.l1_target == "target":
            columns["target"] = batch["target"]
        if self.teacher is not None:
            columns["teacher"] = self.teacher(batch)[0]
        columns["student" if self.teacher is not None else "image"] = self._generate(batch, self.latest)
        return columns
