"""Adversarial losses of discriminator and generator, and the regularizations of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanMode = Literal["lsgan", "hinge", "vanilla"]
Logits = Tensor | Sequence[Tensor]
"""Logits of any shape; of a discriminator of several scales, those of each."""


_LOSSES: dict[GanMode, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "lsgan": (lambda real: (real - 1).square(), lambda fake: fake.square(), lambda fake: (fake - 1).square()),
    "hinge": (lambda real: F.relu(1 - real), lambda fake: F.relu(1 + fake), lambda fake: -fake),
    "vanilla": (lambda real: F.softplus(-real), F.softplus, lambda fake: F.softplus(-fake)),
}
"""Losses of single logits: the discriminator's of real and of fake ones, and the generator's."""


def discriminator_loss(mode: GanMode, real: Logits, fake: Logits) -> Tensor:
    """Sum of the loss on real and on fake logits.

    ``lsgan``: squared distance to 1 and 0 (Mao et al. 2017, eq. 9 without its 1/2); ``hinge``: Lim and Ye 2017;
    ``vanilla``: cross-entropy (Goodfellow et al. 2014, eq. 1). Over scales as published: ``lsgan`` adds them (MUNIT), the
    others take the mean (SPADE).
    """
    of_real, of_fake, _ = _LOSSES[mode]
    return _over_scales(mode, lambda real, fake: of_real(real).mean() + of_fake(fake).mean(), real, fake)


def generator_loss(mode: GanMode, fake: Logits) -> Tensor:
    """Adversarial loss of the generator; for ``vanilla`` the non-saturating form (Goodfellow et al. 2014, section 3)."""
    return _over_scales(mode, lambda fake: _LOSSES[mode][2](fake).mean(), fake)


def r1_penalty(logits: Tensor, reals: Tensor) -> Tensor:
    """Half the mean squared norm of the discriminator's gradient at real images (Mescheder et al. 2018, eq. 9, gamma 1).

    ``logits``: any shape, computed from ``reals`` (N x C x H x W), which must require a gradient. Differentiable.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), reals, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(1).mean()


def path_lengths(image: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
    """Path length of each image, N: the norm of J^T y (Karras et al. 2020, StyleGAN2, eq. 4). Differentiable.

    ``image``: N x C x H x W, computed from the styles ``w``, N x width or N x layers x width (then the root of the mean
    square over layers, as released). ``noise``: the y, standard normal of the image's shape; drawn here if it is None. It is
    divided by the root of the number of pixels, so that lengths of different sizes compare. The penalty is the mean of
    ``(lengths - a)^2``, with a their running mean.
    """
    noise = torch.randn_like(image) if noise is None else noise
    pixels = image.shape[2] * image.shape[3]
    (gradient,) = torch.autograd.grad((image * noise).sum() / pixels**0.5, w, create_graph=True)
    squares = gradient.square().sum(-1)
    return (squares if squares.ndim == 1 else squares.mean(1)).sqrt()


def _over_scales(mode: GanMode, loss: Callable[..., Tensor], *logits: Logits) -> Tensor:
    scales = ([one] if isinstance(one, Tensor) else one for one in logits)
    losses = torch.stack([loss(*scale) for scale in zip(*scales, strict=True)])
    return losses.sum() if mode == "lsgan" else losses.mean()
