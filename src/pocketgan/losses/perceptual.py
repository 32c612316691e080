"""How far apart two images are in the eyes of a network that classifies."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG19, as in pix2pixHD and SPADE."""


def perceptual_distance(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """The sum over layers of ``w_l * mean |fake_l - real_l|``, w_l being ``WEIGHTS``; no gradient flows to ``real``.

    The perceptual loss of Wang et al. 2018 (pix2pixHD, appendix A) and Park et al. 2019 (SPADE, appendix A), with the
    weights of their code. ``fake`` and ``real`` are the five features of an image each, of equal shapes, N x C x H x W.
    """
    layers = zip(WEIGHTS, fake, real, strict=True)
    return sum((weight * F.l1_loss(a, b.detach()) for weight, a, b in layers), start=fake[0].new_zeros(()))
