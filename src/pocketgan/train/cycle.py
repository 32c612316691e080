"""The unpaired game in both directions: CycleGAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.losses import GanMode, discriminator_loss, generator_loss
from pocketgan.train.pool import ImagePool
from pocketgan.train.task import Batch, Phase, Task


class Cycle(Task):
    """G_A paints source -> target, G_B back; D_A judges targets, D_B sources (Zhu et al. 2017, eq. 1-4, section 5.2).

    One optimiser for both generators and one for both discriminators; generators first; discriminators are shown a pool
    of earlier pictures. Identity losses as published for paintings and kept by every later system.
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
        players = dict(zip(names, (*generators, *discriminators), strict=True))
        super().__init__(players, (Phase("G", names[:2]), Phase("D", names[2:])))
        self.weights = {"gan": 1.0, "cycle": 10.0, "identity": 5.0, "real_fake": 1.0}
        self.gan = gan
        self.pools = {"A": ImagePool(pool), "B": ImagePool(pool)}
        self.weights.update(weights or {})

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Both pictures and both ways back."""
        there, back = self.players["G_A"], self.players["G_B"]
        fake_target, fake_source = there(batch["source"]), back(batch["target"])
        return {
            "A": fake_target,
            "B": fake_source,
            "cycled_source": back(fake_target),
            "cycled_target": there(fake_source),
        }

    def losses(self, phase: str, batch: Batch, scene: dict[str, Any]) -> dict[str, Tensor]:
        """``G``: gan, cycle, identity, each the sum of both directions; ``D``: real_fake, likewise."""
        source, target = batch["source"], batch["target"]
        if phase == "D":
            return {"real_fake": self._judged("A", target, scene) + self._judged("B", source, scene)}
        losses = {
            "gan": generator_loss(self.gan, self.players["D_A"](scene["A"]))
            + generator_loss(self.gan, self.players["D_B"](scene["B"])),
            "cycle": F.l1_loss(scene["cycled_source"], source) + F.l1_loss(scene["cycled_target"], target),
        }
        if self.weights["identity"] != 0:  # two forwards that would count for nothing
            losses["identity"] = F.l1_loss(self.players["G_A"](target), target)
            losses["identity"] = losses["identity"] + F.l1_loss(self.players["G_B"](source), source)
        return losses

    def _judged(self, side: str, real: Tensor, scene: dict[str, Any]) -> Tensor:
        critic = self.players[f"D_{side}"]
        return discriminator_loss(self.gan, critic(real), critic(self.pools[side].exchange(scene[side])))

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Source, its picture and the way back; target, its picture."""
        there, back = self.players["G_A"], self.players["G_B"]
        picture = there(batch["source"])
        return {
            "source": batch["source"],
            "picture": picture,
            "cycled": back(picture),
            "target": batch["target"],
            "back": back(batch["target"]),
        }

    def state(self) -> dict[str, Tensor]:
        """The pools."""
        return {f"{side}.{key}": value for side, pool in self.pools.items() for key, value in pool.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the pools back."""
        device = next(self.players["G_A"].parameters()).device
        for side, pool in self.pools.items():
            own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(f"{side}.")}
            pool.load_state(own, torch.device(device))
