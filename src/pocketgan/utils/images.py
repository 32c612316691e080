"""What every evaluate of images does first: look whether they are images, round them to 8 bit, scale them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def check_images(images: Tensor) -> Tensor:
    """The images, if they are N x 3 (or 1) x H x W floats in [-1, 1]; ``ValueError`` otherwise."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
        raise ValueError(f"images must be N x 3 x H x W floats; found {images.dtype} of shape {tuple(images.shape)}")
    if images.numel():
        low, high = (float(bound) for bound in torch.aminmax(images.detach()))
        if not (low >= -1.001 and high <= 1.001):  # also true of NaN
            raise ValueError(f"images must lie in [-1, 1]; found values from {low:.4g} to {high:.4g}")
    return images


def check_rgb(images: Tensor, who: str) -> Tensor:
    """As `check_images`, of three channels; ``who`` needs them so, such as ``"features"``."""
    if check_images(images).shape[1] != 3:
        raise ValueError(f"{who} need RGB images; found {images.shape[1]} channel(s)")
    return images


def to_8bit(images: Tensor) -> Tensor:
    """Images in [-1, 1] as a saved file would hold them: float32 in [0, 1], rounded to multiples of 1/255.

    Rounds to the nearest level. The published GAN Compression and pytorch-CycleGAN code cuts off instead, which
    darkens every image by half a level. An image that was read from an 8-bit file comes out unchanged.
    """
    return images.detach().float().add(1.0).mul(127.5).round().clamp(0.0, 255.0).div(255.0)


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images N x C x H x W in [0, 1] at another size: antialiased bicubic, clamped to [0, 1].

    Pillow's filter, as "clean" FID uses it (Parmar et al. 2022), on floats instead of 8-bit levels.
    """
    if tuple(images.shape[-2:]) == size:
        return images
    return interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True).clamp(0.0, 1.0)
