"""PSNR and SSIM of images."""

from __future__ import annotations

import torch
from torch import Tensor

from pocketgan.utils.images import check_images

PSNR_CAP = 100.0  # decibels; beyond what 8-bit images of 256 x 256 can reach without being equal
WINDOW, SIGMA = 11, 1.5
DATA_RANGE = 2.0


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each of N images in decibels, a float64 tensor of shape (N,).

    ``10 log10(4 / MSE)`` for N x C x H x W in [-1, 1] (data range 2), capped at 100 dB, also for equal images (an
    infinite value would make any mean infinite).
    """
    x, y = _pair(images, targets)
    mse = (x - y).square().flatten(1).mean(dim=1)
    return (10.0 * torch.log10(DATA_RANGE**2 / mse)).clamp(max=PSNR_CAP)


def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity of each of N images, a float64 tensor of shape (N,) with values up to 1.

    Wang et al. 2004: Gaussian window 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, data range 2, mean over channels and
    over the places where the whole window fits (as in their code and scikit-image; torchmetrics adds a reflected
    border). Images smaller than 11 x 11 raise ``ValueError``.
    """
    x, y = _pair(images, targets)
    if min(x.shape[-2:]) < WINDOW:
        raise ValueError(f"ssim needs images of at least {WINDOW}x{WINDOW}, found {x.shape[-2]}x{x.shape[-1]}")
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = (_blur(x * x) - mean_x**2).clamp(min=0), (_blur(y * y) - mean_y**2).clamp(min=0)
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (var_x + var_y + c2)).flatten(1).mean(dim=1)


def _pair(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if images.shape != targets.shape:
        raise ValueError(f"images of shape {tuple(images.shape)} cannot be compared with {tuple(targets.shape)}")
    return _float64(check_images(images)), _float64(check_images(targets))


def _float64(images: Tensor) -> Tensor:
    # Apple's GPU has no float64.
    return (images.detach().cpu() if images.device.type == "mps" else images.detach()).double()


def _blur(x: Tensor) -> Tensor:
    """Gaussian window at every place where it fits, as two banded matrix products (no float64 convolution is quick)."""
    return _band(x.shape[-2], like=x) @ x @ _band(x.shape[-1], like=x).T


def _band(size: int, *, like: Tensor) -> Tensor:
    at = torch.arange(WINDOW, dtype=like.dtype, device=like.device) - WINDOW // 2
    window = torch.exp(-(at**2) / (2 * SIGMA**2))
    matrix = like.new_zeros(size - WINDOW + 1, size)
    for i, value in enumerate(window / window.sum()):
        matrix.diagonal(i).fill_(value)
    return matrix
