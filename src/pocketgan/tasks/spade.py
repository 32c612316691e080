"""The task of label maps: GauGAN teachers, and every student of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.losses import discriminator_loss, feature_matching, generator_loss, perceptual_distance
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.taps import Taps
from pocketgan.training.task import Batch

Perception = Callable[[Tensor], Sequence[Tensor]]
"""What a network that classifies makes of images, layer by layer."""


class SpadeTask(Pix2PixTask):
    """G generates a street from its label map; D, at several scales, is shown the map with the image.

    Park et al. 2019 (SPADE), section 3 and appendix A: hinge, feature matching and a perceptual loss against the real image;
    G first, then D. Two deviations: D scores the image that G learnt from, where the released code generates it anew after G's
    step; and without a ``perception`` there may be an L1 to the real image in its place (``pixels``).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        perception: Perception | None = None,
        pixels: bool = False,
        colored: Callable[[Tensor], Tensor] = lambda source: source[:, :3],
        **options: Any,
    ):
        """``colored`` shows label maps to people; ``task`` is what `Translation` takes."""
        super().__init__(generator, discriminator, **options)
        self.perception, self.pixels, self.colored = perception, pixels, colored
        self.scales: tuple[tuple[str, ...], ...] = discriminator.layers  # type: ignore[assignment]
        self._seen = Taps(discriminator, [name for scale in self.scales for name in scale[:-1]])
        (evaluating,) = (phase for phase in self.phases if phase.name == "D")
        self.phases = (*(phase for phase in self.phases if phase.name == "G"), evaluating)
        # Whole, not half: the released GauGAN adds up what D makes of the real and of the generated ones.
        self.weights |= {"feature_matching": 10.0, "d_adv": 2.0}
        if perception is not None:
            self.weights["perceptual"] = 10.0
        if pixels:
            self.weights["l1"] = 10.0
        else:
            del self.weights["l1"]

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``G``: gan, match, perceptual or l1, and one loss an objective; ``D``: d_adv."""
        image, target = outputs["image"], batch["target"]
        if phase == "D":
            real, fake = self._discriminate(batch, target), self._discriminate(batch, image.detach())
            self._seen.take()
            return {"d_adv": discriminator_loss(self.gan, real, fake)}
        fake, shown = self._discriminate(batch, image), self._hidden()
        with torch.no_grad():
            self._discriminate(batch, target)
        losses = {"gan": generator_loss(self.gan, fake), "feature_matching": feature_matching(shown, self._hidden())}
        if self.perception is not None:
            with torch.no_grad():
                wanted = self.perception(target)
            losses["perceptual"] = perceptual_distance(self.perception(image), wanted)
        if self.pixels:
            losses["l1"] = F.l1_loss(image, target)
        return losses | self._distillation_losses(outputs)

    def _hidden(self) -> list[list[Tensor]]:
        """What the discriminator's layers have just made, scale by scale, without the logits."""
        caught = self._seen.take()
        return [[caught[name] for name in scale[:-1]] for scale in self.scales]

    def images(self, batch: Batch) -> dict[str, Tensor]:
        """Label maps in the colors of their classes, target, teacher, student."""
        columns = super().images(batch)
        return columns | {"input": self.colored(columns["input"])}

    def close(self) -> None:
        """Take all taps off."""
        super().close()
        self._seen.close()
