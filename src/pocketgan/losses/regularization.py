"""What keeps an unconditional task steady: a flat discriminator at real images, a generator of even stride."""

from __future__ import annotations

import torch
from torch import Tensor


def r1_penalty(logits: Tensor, reals: Tensor) -> Tensor:
    """Half the mean squared norm of the discriminator's gradient at real images (Mescheder et al. 2018, eq. 9).

    ``logits``: any shape, computed from ``reals`` (N x C x H x W), which must require a gradient. Gamma is the caller's. It can
    be differentiated.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), reals, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(1).mean()


def path_lengths(image: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
    """How far each image moves as its style does, N: the norm of J^T y (Karras et al. 2020, StyleGAN2, eq. 4).

    ``image``: N x C x H x W, computed from the styles ``w``, N x width or N x layers x width (then the root of the mean
    square over layers, as released). ``noise``: the y, normal of the image's shape; drawn here if it is not given. It is
    divided by the root of the number of pixels, so that lengths of different sizes compare. The penalty is the mean of
    ``(lengths - a)^2``, a their running mean, which is the caller's. It can be differentiated.
    """
    noise = torch.randn_like(image) if noise is None else noise
    pixels = image.shape[2] * image.shape[3]
    (gradient,) = torch.autograd.grad((image * noise).sum() / pixels**0.5, w, create_graph=True)
    squares = gradient.square().sum(-1)
    return (squares if squares.ndim == 1 else squares.mean(1)).sqrt()
