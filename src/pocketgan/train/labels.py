"""The game of label maps: GauGAN teachers, and every student of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.losses import discriminator_loss, feature_matching, generator_loss, perceptual_distance
from pocketgan.train.taps import Taps
from pocketgan.train.task import Batch
from pocketgan.train.translation import Translation

Perception = Callable[[Tensor], Sequence[Tensor]]
"""What a network that classifies makes of pictures, layer by layer."""


class LabelTranslation(Translation):
    """G paints a street from its label map; D, at several scales, is shown the map with the picture.

    Park et al. 2019 (SPADE), section 3 and appendix A: hinge, feature matching and a perceptual loss against the real picture;
    G first, then D. Two deviations: D judges the picture that G learnt from, where the released code paints it anew after G's
    step; and without a ``perception`` there may be an L1 to the real picture in its place (``pixels``).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        perception: Perception | None = None,
        pixels: bool = False,
        coloured: Callable[[Tensor], Tensor] = lambda source: source[:, :3],
        **game: Any,
    ):
        """``coloured`` shows label maps to people; ``game`` is what `Translation` takes."""
        super().__init__(generator, discriminator, **game)
        self.perception, self.pixels, self.coloured = perception, pixels, coloured
        self.scales: tuple[tuple[str, ...], ...] = discriminator.layers  # type: ignore[assignment]
        self._seen = Taps(discriminator, [name for scale in self.scales for name in scale[:-1]])
        (judging,) = (phase for phase in self.phases if phase.name == "D")
        self.phases = (*(phase for phase in self.phases if phase.name == "G"), judging)
        # Whole, not half: the released GauGAN adds up what D makes of the real and of the painted ones.
        self.weights |= {"match": 10.0, "real_fake": 2.0}
        if perception is not None:
            self.weights["perceptual"] = 10.0
        if pixels:
            self.weights["recon"] = 10.0
        else:
            del self.weights["recon"]

    def losses(self, phase: str, batch: Batch, scene: dict[str, Any]) -> dict[str, Tensor]:
        """``G``: gan, match, perceptual or recon, and one loss an objective; ``D``: real_fake."""
        picture, target = scene["picture"], batch["target"]
        if phase == "D":
            real, fake = self._judge(batch, target), self._judge(batch, picture.detach())
            self._seen.take()
            return {"real_fake": discriminator_loss(self.gan, real, fake)}
        fake, shown = self._judge(batch, picture), self._hidden()
        with torch.no_grad():
            self._judge(batch, target)
        losses = {"gan": generator_loss(self.gan, fake), "match": feature_matching(shown, self._hidden())}
        if self.perception is not None:
            with torch.no_grad():
                wanted = self.perception(target)
            losses["perceptual"] = perceptual_distance(self.perception(picture), wanted)
        if self.pixels:
            losses["recon"] = F.l1_loss(picture, target)
        return losses | self._imitated(scene)

    def _hidden(self) -> list[list[Tensor]]:
        """What the discriminator's layers have just made, scale by scale, without the logits."""
        caught = self._seen.take()
        return [[caught[name] for name in scale[:-1]] for scale in self.scales]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Label maps in the colours of their classes, target, teacher, student."""
        columns = super().pictures(batch)
        return columns | {"source": self.coloured(columns["source"])}

    def close(self) -> None:
        """Take all taps off."""
        super().close()
        self._seen.close()
