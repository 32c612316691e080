"""How far apart two images are in the eyes of their discriminator."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

Features = Sequence[Sequence[Tensor]]
"""Of each scale of a discriminator, the output of each layer but the last, the logits."""


def feature_matching(fake: Features, real: Features) -> Tensor:
    """The sum over layers of ``mean |fake - real|``, averaged over scales; no gradient flows to ``real``.

    Wang et al. 2018 (pix2pixHD), eq. 4 with N_i elements a layer, over the scales of their eq. 5 as Park et al. 2019
    (SPADE) average them. Scales and layers correspond, each pair of one shape.
    """
    pairs = [pair for one, other in zip(fake, real, strict=True) for pair in zip(one, other, strict=True)]
    distances = (F.l1_loss(a, b.detach()) for a, b in pairs)
    return sum(distances, start=fake[0][0].new_zeros(())) / len(fake)
