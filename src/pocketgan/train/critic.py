"""The teacher's discriminator as a witness: what it sees in a picture, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import image_channels
from pocketgan.train.taps import Taps


class Critic:
    """A frozen discriminator in evaluation mode; a gradient may pass through it to the picture.

    One that judges more channels than a picture has is conditional: it is shown the source, too (pix2pix, eq. 1).
    """

    def __init__(self, discriminator: nn.Module):
        self.discriminator = discriminator.eval().requires_grad_(False)
        self.channels = image_channels(discriminator)
        self.layers: tuple[str, ...] = tuple(name for scale in discriminator.layers for name in scale)  # type: ignore[union-attr]
        """From input to logits, by name; scale after scale."""
        self._taps = Taps(discriminator, self.layers)

    def __call__(self, source: Tensor, picture: Tensor) -> dict[str, Tensor]:
        """``{layer: features}`` of the pictures, N x C x H x W."""
        conditional = self.channels > picture.shape[1]
        self.discriminator(torch.cat([source, picture], 1) if conditional else picture)
        return self._taps.take()
