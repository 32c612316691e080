"""Images in one direction, input to target: pix2pix teachers, and every student of images against a frozen teacher."""

from __future__ import annotations

from typing import Any

from torch import nn

from pocketgan.core.tasks import TaskName
from pocketgan.tasks.base import TASKS, GeneratorTask, L1Target, StudentParts, TaskDefinition, TeacherParts
from pocketgan.training.task import Task


class Pix2PixTask(GeneratorTask):
    """Training of G from input to target, against a discriminator of real and generated images (if there is one).

    Paired data: L1 to the real target, and D reads the input too (pix2pix, eq. 1-4). Other data: the teacher's image is the
    target, which makes pairs of them, and D reads images alone (GAN Compression, section 3.1).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        *,
        conditional: bool = True,
        l1_target: L1Target = "target",
        **options: Any,
    ):
        """``options`` are those of `GeneratorTask`."""
        losses = {"d_adv": 0.5, **({"l1": 100.0} if l1_target is not None else {})}
        super().__init__(generator, discriminator, losses=losses, conditional=conditional, l1_target=l1_target, **options)


class Paired(TaskDefinition):
    """pix2pix on pairs."""

    name: TaskName = "paired"

    def teacher(self, parts: TeacherParts) -> Task:
        generator = parts.generator()
        return Pix2PixTask(generator, parts.discriminator(self.discriminator_channels(generator)), gan=parts.gan)

    def student(self, parts: StudentParts) -> Task:
        return Pix2PixTask(parts.generator, parts.discriminator, **parts.common)


class Inputs(Paired):
    """Inputs alone: a student imitates its teacher, without targets and discriminator."""

    name: TaskName = "inputs"

    def teacher(self, parts: TeacherParts) -> Task:
        raise ValueError("task=inputs has no targets to train a teacher on: it is for students of an existing teacher")


TASKS.register("paired")(Paired())
TASKS.register("inputs")(Inputs())
