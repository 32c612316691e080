"""The teacher's discriminator as a witness: what it sees in an image, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import image_channels
from pocketgan.training.taps import Taps


class TeacherDiscriminator:
    """A frozen discriminator in evaluation mode; a gradient may pass through it to the image.

    One that scores more channels than an image has is conditional: it is shown the source, too (pix2pix, eq. 1).
    """

    def __init__(self, discriminator: nn.Module):
        self.discriminator = discriminator.eval().requires_grad_(False)
        self.channels = image_channels(discriminator)
        self.layers: tuple[str, ...] = tuple(name for scale in discriminator.layers for name in scale)  # type: ignore[union-attr]
        """From input to logits, by name; scale after scale."""
        self._taps = Taps(discriminator, self.layers)

    def __call__(self, source: Tensor, image: Tensor) -> dict[str, Tensor]:
        """``{layer: features}`` of the images, N x C x H x W."""
        conditional = self.channels > image.shape[1]
        self.discriminator(torch.cat([source, image], 1) if conditional else image)
        return self._taps.take()
