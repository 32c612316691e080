"""Two generators, one per direction, on unpaired images: CycleGAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import image_channels, output_channels
from pocketgan.losses.adversarial import GanMode, discriminator_loss, generator_loss
from pocketgan.tasks.base import TASKS, Defaults, StudentParts, TaskDefinition, TeacherParts, module_of
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.augment import ImagePool
from pocketgan.training.task import Batch, Phase, Task


class CycleGANTask(Task):
    """G_A from input to target, G_B back; D_A scores targets, D_B inputs (Zhu et al. 2017, eq. 1-4, section 5.2).

    One optimizer for both generators and one for both discriminators; generators first; discriminators score a pool of
    earlier images. Identity losses as published for paintings and kept by every later system.
    """

    def __init__(
        self,
        generators: tuple[nn.Module, nn.Module],
        discriminators: tuple[nn.Module, nn.Module],
        *,
        gan: GanMode = "lsgan",
        pool: int = 50,
    ):
        names = ("G_A", "G_B", "D_A", "D_B")
        networks = dict(zip(names, (*generators, *discriminators), strict=True))
        losses = {"gan": 1.0, "cycle": 10.0, "identity": 5.0, "d_adv": 0.5}
        forward = module_of(generators[0])
        if image_channels(forward) != output_channels(forward):
            del losses["identity"]  # no generator can read the image that it is to reproduce
        super().__init__(networks, (Phase("G", names[:2]), Phase("D", names[2:])), losses)
        self.gan = gan
        self.pools = {"A": ImagePool(pool), "B": ImagePool(pool)}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """``A``: G_A's image of the input; ``B``: G_B's of the target; ``cycled_input``, ``cycled_target``: both ways back."""
        to_target, to_input = self.networks["G_A"], self.networks["G_B"]
        fake_target, fake_input = to_target(batch["input"]), to_input(batch["target"])
        return {
            "A": fake_target,
            "B": fake_input,
            "cycled_input": to_input(fake_target),
            "cycled_target": to_target(fake_input),
        }

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``G``: gan, cycle, identity, each the sum of both directions; ``D``: d_adv, likewise."""
        image, target = batch["input"], batch["target"]
        if phase == "D":
            return {"d_adv": self._d_adv("A", target, outputs) + self._d_adv("B", image, outputs)}
        losses = {
            "gan": generator_loss(self.gan, self.networks["D_A"](outputs["A"]))
            + generator_loss(self.gan, self.networks["D_B"](outputs["B"])),
            "cycle": F.l1_loss(outputs["cycled_input"], image) + F.l1_loss(outputs["cycled_target"], target),
        }
        if self.weights.get("identity", 0) != 0:  # two forwards that would count for nothing
            losses["identity"] = F.l1_loss(self.networks["G_A"](target), target)
            losses["identity"] = losses["identity"] + F.l1_loss(self.networks["G_B"](image), image)
        return losses

    def _d_adv(self, direction: str, real: Tensor, outputs: dict[str, Any]) -> Tensor:
        discriminator = self.networks[f"D_{direction}"]
        fake = self.pools[direction].exchange(outputs[direction])
        return discriminator_loss(self.gan, discriminator(real), discriminator(fake))

    def images(self, batch: Batch) -> dict[str, Tensor]:
        to_target, to_input = self.networks["G_A"], self.networks["G_B"]
        image = to_target(batch["input"])
        return {
            "input": batch["input"],
            "image": image,
            "cycled": to_input(image),
            "target": batch["target"],
            "back": to_input(batch["target"]),
        }

    def state(self) -> dict[str, Tensor]:
        return {f"{name}.{key}": value for name, pool in self.pools.items() for key, value in pool.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        device = next(self.networks["G_A"].parameters()).device
        for name, pool in self.pools.items():
            own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(f"{name}.")}
            pool.load_state(own, device)


class Unpaired(TaskDefinition):
    """CycleGAN; its students imitate one direction."""

    name = "unpaired"
    defaults = Defaults(gan="lsgan")

    def teacher(self, parts: TeacherParts) -> Task:
        generators = (parts.generator(), parts.generator(reverse=True))
        discriminators = tuple(parts.discriminator(self.discriminator_channels(generator)) for generator in generators)
        return CycleGANTask(generators, (discriminators[0], discriminators[1]), gan=parts.gan)

    def student(self, parts: StudentParts) -> Task:
        return Pix2PixTask(parts.generator, parts.discriminator, **parts.common)


TASKS.register("unpaired")(Unpaired())
