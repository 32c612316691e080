"""What a student is asked to imitate in a teacher's features. Student first, teacher second, always."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def attention_map(features: Tensor) -> Tensor:
    """Sum over channels of the squares, N x C x H x W -> N x H x W (Zagoruyko and Komodakis 2017, eq. 1; DMAD, eq. 7)."""
    return features.square().sum(1)


def attention_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the two attention maps, each flattened and L2-normalised, averaged over the batch.

    Zagoruyko and Komodakis 2017, eq. 2; DMAD, eq. 9. Any channel counts; the larger map is averaged down to the smaller
    one's size (area mean, differentiable). In float32 whatever the inputs are: squares of half precision overflow.
    """
    height, width = min(student.shape[-2:], teacher.shape[-2:])
    maps = (attention_map(x.float())[:, None] for x in (student, teacher))
    a, b = (F.normalize(F.adaptive_avg_pool2d(x, (height, width)).flatten(1)) for x in maps)
    return (a - b).square().sum(1).mean()
