"""Distances between images of a student and of its teacher, and smoothness. Images are N x C x H x W, student first."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketgan.losses.features import at_least_float32

Norm = Literal["l1", "l2"]
"""Mean of the absolute values, or of the squares."""

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


def mean_norm(difference: Tensor, norm: Norm) -> Tensor:
    """Mean absolute value (``l1``) or mean square (``l2``) of all elements, in float32 at least."""
    difference = at_least_float32(difference)
    return difference.abs().mean() if norm == "l1" else difference.square().mean()


def wavelet_distance(student: Tensor, teacher: Tensor, *, levels: int, norm: Norm = "l1") -> Tensor:
    """Sum over ``levels`` of the mean distance of the high bands of an orthonormal Haar transform.

    Zhang et al. 2022 (Wavelet knowledge distillation): at each level the three bands with detail are compared, the fourth is
    transformed again, and never compared: images that differ by a constant have distance 0. Odd sizes are padded with zeros.
    """
    low, distance = at_least_float32(student - teacher), student.new_zeros(())
    for _ in range(levels):  # of the difference, as the transform is linear
        low, high = haar(low)
        distance = distance + mean_norm(high, norm)
    return distance


def haar(image: Tensor) -> tuple[Tensor, Tensor]:
    """Low band, N x C x H/2 x W/2, and the three high bands, N x 3 x C x ..., of one level of the Haar transform."""
    padded = F.pad(image, (0, image.shape[-1] % 2, 0, image.shape[-2] % 2))
    top, bottom = padded[..., ::2, :], padded[..., 1::2, :]
    a, b, c, d = top[..., ::2], top[..., 1::2], bottom[..., ::2], bottom[..., 1::2]
    return (a + b + c + d) / 2, torch.stack([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2


def structural_similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean SSIM of two batches, differentiable (Wang et al. 2004, eq. 13), with OMGD's constants.

    Gaussian window 11 x 11 with sigma 1.5, borders padded with zeros, and K1 = 0.01, K2 = 0.03 for a data range of 1,
    although images in [-1, 1] have 2: the loss that OMGD's weight of 10 belongs to. `pocketgan.metrics.image` has the metric.
    """
    with torch.autocast(student.device.type, enabled=False):
        x, y = at_least_float32(student), at_least_float32(teacher)
        mean_x, mean_y, square_x, square_y, product = _blur(torch.stack([x, y, x * x, y * y, x * y]))
        variance_x, variance_y, covariance = square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
        similarity: Tensor = luminance * (2 * covariance + C2) / (variance_x + variance_y + C2)
        return similarity.mean()


def total_variation(image: Tensor) -> Tensor:
    """Sum of the absolute differences of neighbors in rows and columns, of an image; averaged over the batch.

    OMGD sums over the batch, which is the same for its batch of 1.
    """
    image = at_least_float32(image)
    return (image.diff(dim=-1).abs().sum() + image.diff(dim=-2).abs().sum()) / len(image)


def _blur(maps: Tensor) -> Tensor:
    """Gaussian window around every pixel of maps ... x H x W; what is outside counts as 0.

    Two products with banded matrices, a tenth of a convolution's time on a processor.
    """
    return _band(maps.shape[-2], like=maps) @ maps @ _band(maps.shape[-1], like=maps)


def _band(size: int, *, like: Tensor) -> Tensor:
    """Window of each position in a row, size x size; symmetric."""
    at = torch.arange(max(size, WINDOW), dtype=like.dtype, device=like.device)
    offset = (at[:size, None] - at[:size]).abs()
    half = WINDOW // 2
    total = torch.exp(-((at[:WINDOW] - half) ** 2) / (2 * SIGMA**2)).sum()
    return torch.exp(-(offset**2) / (2 * SIGMA**2)) * (offset <= half) / total
