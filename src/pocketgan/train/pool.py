"""The history of pictures that CycleGAN's discriminators are shown."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class ImagePool:
    """Up to ``size`` earlier pictures; once full, each new one is swapped for an old one with probability 1/2.

    Shrivastava et al. 2017, section 2.3; CycleGAN, section 4. Draws from torch's global generator, so that an exact resume
    needs no state but the pictures. Of several processes, each has a pool of this size of its own slices' pictures.
    """

    def __init__(self, size: int = 50):
        self.size = size
        self.pictures: list[Tensor] = []

    def exchange(self, fresh: Tensor) -> Tensor:
        """As many pictures as ``fresh`` has, some of them old; N x C x H x W."""
        shown = []
        for picture in fresh.detach():
            if len(self.pictures) < self.size:
                self.pictures.append(picture)
                shown.append(picture)
            elif self.size and torch.rand(()) < 0.5:
                index = int(torch.randint(self.size, ()))
                shown.append(self.pictures[index])
                self.pictures[index] = picture
            else:
                shown.append(picture)
        return torch.stack(shown)

    def state(self) -> dict[str, Tensor]:
        """The pictures."""
        return {str(index): picture for index, picture in enumerate(self.pictures)}

    def load_state(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Take them back."""
        self.pictures = [state[str(index)].to(device) for index in range(len(state))]
