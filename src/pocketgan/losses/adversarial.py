"""The adversarial tasks: what the discriminator and the generator each minimize, from logits of any shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanMode = Literal["lsgan", "hinge", "vanilla"]
Logits = Tensor | Sequence[Tensor]
"""Of any shape; of a discriminator of several scales, those of each."""


def discriminator_loss(mode: GanMode, real: Logits, fake: Logits) -> Tensor:
    """Half the sum of the loss on real and on fake logits; the half slows D down (pix2pix, section 3.3).

    ``lsgan``: squares to 1 and 0 (Mao et al. 2017, eq. 9); ``hinge``: (Lim and Ye 2017); ``vanilla``: cross-entropy
    (Goodfellow et al. 2014, eq. 1). Over scales as published: ``lsgan`` adds them (MUNIT), the others take the mean (SPADE).
    """
    pairs = zip(_scales(real), _scales(fake), strict=True)
    return _joined(mode, [_discriminator_loss(mode, *pair) for pair in pairs])


def generator_loss(mode: GanMode, fake: Logits) -> Tensor:
    """What the generator minimizes; for ``vanilla`` the non-saturating form (Goodfellow et al. 2014, section 3)."""
    return _joined(mode, [_generator_loss(mode, logits) for logits in _scales(fake)])


def _discriminator_loss(mode: GanMode, real: Tensor, fake: Tensor) -> Tensor:
    match mode:
        case "lsgan":
            return (real - 1).square().mean() + fake.square().mean()
        case "hinge":
            return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        case "vanilla":
            return F.softplus(-real).mean() + F.softplus(fake).mean()


def _generator_loss(mode: GanMode, fake: Tensor) -> Tensor:
    match mode:
        case "lsgan":
            return (fake - 1).square().mean()
        case "hinge":
            return -fake.mean()
        case "vanilla":
            return F.softplus(-fake).mean()


def _scales(logits: Logits) -> Sequence[Tensor]:
    return [logits] if isinstance(logits, Tensor) else logits


def _joined(mode: GanMode, losses: Sequence[Tensor]) -> Tensor:
    total = torch.stack(list(losses))
    return total.sum() if mode == "lsgan" else total.mean()
