"""Adaptive augmentation: what the discriminator is shown is changed at random, more often as it learns images by heart.

Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data" (ADA).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pocketgan.training.transforms import blits, colors, geometries, recolor, warp


class Augment(nn.Module):
    """Changes of the three strongest kinds of ADA (section 2.2), each with probability ``p``, drawn anew for every image.

    Real images and those of the generator go through it, which a gradient passes. At p = 0 it is the identity, bit for bit.
    """

    def __init__(
        self,
        *,
        p: float = 0.0,
        blit: bool = True,
        geometry: bool = True,
        color: bool = True,
        target: float = 0.6,
        images: int = 500_000,
    ):
        """``target``: what r_t is held at; ``images``: shown while p goes from 0 to 1. ``ValueError`` for p outside [0, 1]."""
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p={p:g}: a probability, allowed are 0 to 1")
        self.blit, self.geometry, self.color, self.target, self.images = blit, geometry, color, target, images
        self.register_buffer("p", torch.tensor(p))
        self.p: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """N x C x H x W -> the same shape. Raises ``ValueError`` for images without three colors, where those change."""
        if self.color and images.shape[1] != 3:
            raise ValueError(f"colors of images of {images.shape[1]} channels: give Augment color=False")
        count, shape = len(images), (images.shape[2], images.shape[3])
        matrix = torch.eye(3, device=self.p.device)
        if self.blit:
            matrix = matrix @ blits(count, self.p, shape)
        if self.geometry:
            matrix = matrix @ geometries(count, self.p, shape)
        if self.blit or self.geometry:
            images = warp(images, matrix)
        return recolor(images, colors(count, self.p)) if self.color else images

    @torch.no_grad()
    def update(self, signs: Tensor) -> None:
        """Move p by as much as the images seen since the last time, up where r_t is above its target and down where below.

        ``signs``: those of the discriminator's logits of real images, any shape, one an image; r_t is their mean (eq. 1), 1
        where all have been learnt by heart. Published: every four batches.
        """
        step = signs.numel() / self.images
        self.p.add_((signs.float().mean() - self.target).sign() * step).clamp_(0, 1)
