"""What a student is asked to imitate in a teacher's features. Student first, teacher second, always."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Fusion = Literal["sum", "product"]


def attention_map(features: Tensor, *, mean: bool = False) -> Tensor:
    """Sum (or ``mean``) over channels of the squares, N x C x H x W -> N x H x W (Zagoruyko and Komodakis 2017, eq. 1;
    DMAD, eq. 7). In float32 whatever the input is: squares of half precision overflow."""
    energy = features.float().square()
    return energy.mean(1) if mean else energy.sum(1)


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of two maps (N x H x W), each flattened and L2-normalized, averaged over the batch; in 0..2.

    Zagoruyko and Komodakis 2017, eq. 2; one summand of DMAD, eq. 9.
    """
    return (F.normalize(student.flatten(1)) - F.normalize(teacher.flatten(1))).square().sum(1).mean()


def attention_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """`attention_distance` of the attention of two features, of any channel counts.

    The larger map is averaged down to the smaller one's size (area mean, differentiable).
    """
    height, width = min(student.shape[-2:], teacher.shape[-2:])
    a, b = (_to_size(attention_map(x), height, width) for x in (student, teacher))
    return attention_distance(a, b)


def coattention_maps(teacher: Tensor, discriminator: Sequence[Tensor], *, mean: bool) -> Tensor:
    """The attention of the teacher's features and of its discriminator's, N x (1 + layers) x H x W.

    The discriminator's maps are resized to the generator's by their area (the paper: "Lagrange interpolation"; the released
    code: by the area, on the first image of the batch in 8 bits, which wraps round). ``mean`` as in `attention_map`.
    """
    own = attention_map(teacher, mean=mean)
    others = [_to_size(attention_map(features, mean=mean), *own.shape[-2:]) for features in discriminator]
    return torch.stack([own, *others], 1)


def fused(maps: Tensor, fusion: Fusion) -> Tensor:
    """The co-attention of the teacher, N x K x H x W -> N x H x W: half the ``sum`` (DMAD, eq. 8), or the ``product``
    (its table V). One map alone stays what it is up to a factor, which `attention_distance` does not see."""
    return 0.5 * maps.sum(1) if fusion == "sum" else maps.prod(1)


def discriminator_distance(student: Tensor, teacher: Tensor, *, squared: bool = True) -> Tensor:
    """Distance of what a discriminator makes of the two images, N x C x H x W each.

    ``squared``: the squared L2 norm of an image's difference, averaged over the batch (DMAD, eq. 10). Else the L2 norm of
    the whole batch's difference, as the released code has it.
    """
    difference = (student.float() - teacher.float()).flatten(1).square().sum(1)
    return difference.mean() if squared else difference.sum().clamp_min(1e-24).sqrt()


def _to_size(maps: Tensor, height: int, width: int) -> Tensor:
    """N x H x W -> N x height x width by the mean over the area."""
    return F.adaptive_avg_pool2d(maps[:, None], (height, width))[:, 0]
