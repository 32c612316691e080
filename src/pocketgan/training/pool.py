"""The history of images that CycleGAN's discriminators are shown."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class ImagePool:
    """Up to ``size`` earlier images; once full, each new one is swapped for an old one with probability 1/2.

    Shrivastava et al. 2017, section 2.3; CycleGAN, section 4. Draws from torch's global generator, so that an exact resume
    needs no state but the images. Of several processes, each has a pool of this size of its own slices' images.
    """

    def __init__(self, size: int = 50):
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, fresh: Tensor) -> Tensor:
        """As many images as ``fresh`` has, some of them old; N x C x H x W."""
        shown = []
        for image in fresh.detach():
            if len(self.images) < self.size:
                self.images.append(image)
                shown.append(image)
            elif self.size and torch.rand(()) < 0.5:
                index = int(torch.randint(self.size, ()))
                shown.append(self.images[index])
                self.images[index] = image
            else:
                shown.append(image)
        return torch.stack(shown)

    def state(self) -> dict[str, Tensor]:
        """The images."""
        return {str(index): image for index, image in enumerate(self.images)}

    def load_state(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Take them back."""
        self.images = [state[str(index)].to(device) for index in range(len(state))]
