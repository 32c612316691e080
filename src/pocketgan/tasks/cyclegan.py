"""The unpaired task in both directions: CycleGAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.losses import GanMode, discriminator_loss, generator_loss
from pocketgan.training.pool import ImagePool
from pocketgan.training.task import Batch, Phase, Task


class CycleGANTask(Task):
    """G_A generates source -> target, G_B back; D_A scores targets, D_B sources (Zhu et al. 2017, eq. 1-4, section 5.2).

    One optimizer for both generators and one for both discriminators; generators first; discriminators are shown a pool
    of earlier images. Identity losses as published for generateings and kept by every later system.
    """

    def __init__(
        self,
        generators: tuple[nn.Module, nn.Module],
        discriminators: tuple[nn.Module, nn.Module],
        *,
        gan: GanMode = "lsgan",
        pool: int = 50,
        weights: Mapping[str, float] | None = None,
    ):
        names = ("G_A", "G_B", "D_A", "D_B")
        networks = dict(zip(names, (*generators, *discriminators), strict=True))
        super().__init__(networks, (Phase("G", names[:2]), Phase("D", names[2:])))
        self.weights = {"gan": 1.0, "cycle": 10.0, "identity": 5.0, "d_adv": 1.0}
        self.gan = gan
        self.pools = {"A": ImagePool(pool), "B": ImagePool(pool)}
        self.weights.update(weights or {})

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Both images and both ways back."""
        there, back = self.networks["G_A"], self.networks["G_B"]
        fake_target, fake_source = there(batch["input"]), back(batch["target"])
        return {
            "A": fake_target,
            "B": fake_source,
            "cycled_source": back(fake_target),
            "cycled_target": there(fake_source),
        }

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``G``: gan, cycle, identity, each the sum of both directions; ``D``: d_adv, likewise."""
        source, target = batch["input"], batch["target"]
        if phase == "D":
            return {
                "d_adv": self._discriminator_losses("A", target, outputs) + self._discriminator_losses("B", source, outputs)
            }
        losses = {
            "gan": generator_loss(self.gan, self.networks["D_A"](outputs["A"]))
            + generator_loss(self.gan, self.networks["D_B"](outputs["B"])),
            "cycle": F.l1_loss(outputs["cycled_source"], source) + F.l1_loss(outputs["cycled_target"], target),
        }
        if self.weights["identity"] != 0:  # two forwards that would count for nothing
            losses["identity"] = F.l1_loss(self.networks["G_A"](target), target)
            losses["identity"] = losses["identity"] + F.l1_loss(self.networks["G_B"](source), source)
        return losses

    def _discriminator_losses(self, side: str, real: Tensor, outputs: dict[str, Any]) -> Tensor:
        teacher_discriminator = self.networks[f"D_{side}"]
        return discriminator_loss(
            self.gan, teacher_discriminator(real), teacher_discriminator(self.pools[side].exchange(outputs[side]))
        )

    def images(self, batch: Batch) -> dict[str, Tensor]:
        """Source, its image and the way back; target, its image."""
        there, back = self.networks["G_A"], self.networks["G_B"]
        image = there(batch["input"])
        return {
            "input": batch["input"],
            "image": image,
            "cycled": back(image),
            "target": batch["target"],
            "back": back(batch["target"]),
        }

    def state(self) -> dict[str, Tensor]:
        """The pools."""
        return {f"{side}.{key}": value for side, pool in self.pools.items() for key, value in pool.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the pools back."""
        device = next(self.networks["G_A"].parameters()).device
        for side, pool in self.pools.items():
            own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(f"{side}.")}
            pool.load_state(own, torch.device(device))
