"""Checks and conversions of image tensors, and images as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from pocketgan.utils.files import atomic


def check_images(images: Tensor) -> Tensor:
    """Return ``images`` if they are N x C x H x W floats in [-1, 1]; raise ``ValueError`` otherwise."""
    if images.ndim != 4 or images.shape[1] == 0 or not images.is_floating_point():
        raise ValueError(f"images must be N x C x H x W floats; found {images.dtype} of shape {tuple(images.shape)}")
    if images.numel():
        low, high = (float(bound) for bound in torch.aminmax(images.detach()))
        if not (low >= -1.001 and high <= 1.001):  # also true of NaN
            raise ValueError(f"images must lie in [-1, 1]; found values from {low:.4g} to {high:.4g}")
    return images


def check_rgb(images: Tensor, user: str) -> Tensor:
    """`check_images` for RGB, of gray images as three equal channels; ``user`` names who needs them: ``"features"``."""
    if check_images(images).shape[1] not in (1, 3):
        raise ValueError(f"{user} need RGB or gray images; found {images.shape[1]} channels")
    return images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1)


def as_channels(images: Tensor, channels: int) -> Tensor:
    """Images of files as a network reads them: unchanged, or RGB as the luma of ITU-R BT.601, as Pillow's mode L has it."""
    if images.shape[1] == channels:
        return images
    assert (images.shape[1], channels) == (3, 1), f"no conversion of {images.shape[1]} channels to {channels}"
    return (images * images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)


def false_color_note(channels: int) -> str | None:
    """Statement about how images of that many channels are shown; None for gray and RGB, which are shown as they are."""
    if channels in (1, 3):
        return None
    blue = "blue is empty" if channels == 2 else "blue channel 3"
    return f"images of {channels} channels are shown in false color: red is channel 1, green channel 2, {blue}"


def to_8bit(images: Tensor) -> Tensor:
    """Images in [-1, 1] as a saved file would hold them: float32 in [0, 1], rounded to multiples of 1/255.

    Rounds to the nearest level. The published GAN Compression and pytorch-CycleGAN code truncates instead, which
    darkens every image by half a level. An image from an 8-bit file comes out unchanged.
    """
    return images.detach().float().add(1.0).mul(127.5).round().clamp(0.0, 255.0).div(255.0)


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images N x C x H x W in [0, 1] at another (height, width): antialiased bicubic, clamped to [0, 1].

    Pillow's filter, as "clean" FID uses it (Parmar et al. 2022), on floats instead of 8-bit levels.
    """
    if tuple(images.shape[-2:]) == size:
        return images
    return interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True).clamp(0.0, 1.0)


def to_uint8(image: Tensor) -> np.ndarray:
    """C x H x W in [-1, 1] -> H x W x 3 uint8, rounded; one channel becomes gray, others as `false_color_note` says."""
    scaled = ((image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    if len(scaled) == 2:
        scaled = torch.cat([scaled, torch.zeros_like(scaled[:1])])
    return scaled[:3].expand(3, -1, -1).permute(1, 2, 0).numpy()


def save_image(path: Path, image: Tensor) -> None:
    """Write one image, C x H x W in [-1, 1], as PNG, atomically."""
    _save(path, to_uint8(image))


def save_sheet(path: Path, rows: Sequence[Sequence[Tensor]]) -> None:
    """Write the `sheet` of these images as PNG, atomically."""
    _save(path, sheet(rows))


def save_video(path: Path, frames: Sequence[np.ndarray], *, fps: int) -> None:
    """Write H x W x 3 uint8 arrays as an endless animation, atomically: GIF (256 colors) or, by the suffix, lossless WebP."""
    first, *rest = map(Image.fromarray, frames)
    with atomic(path) as temporary:
        first.save(temporary, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, lossless=True)


def sheet(rows: Sequence[Sequence[Tensor]], *, gap: int = 2) -> np.ndarray:
    """Rows of images, each C x H x W in [-1, 1], joined to H' x W' x 3 uint8; a shorter row is filled with white."""
    strips = [np.concatenate([_padded(to_uint8(image), gap, gap) for image in row], 1) for row in rows]
    widest = max(strip.shape[1] for strip in strips)
    return np.concatenate([_padded(strip, 0, widest - strip.shape[1]) for strip in strips], 0)


def _padded(pixels: np.ndarray, below: int, right: int) -> np.ndarray:
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), constant_values=255)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic(path) as temporary:
        Image.fromarray(array).save(temporary, "PNG")
