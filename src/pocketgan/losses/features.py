"""Distances between features of a student and of its teacher, or of a generated and a real image. Student or fake first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Fusion = Literal["sum", "product"]

VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Weights of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG19, as in pix2pixHD and SPADE."""


def attention_map(features: Tensor, *, mean: bool = False) -> Tensor:
    """Sum (or ``mean``) over channels of the squares, N x C x H x W -> N x H x W (Zagoruyko and Komodakis 2017, eq. 1;
    DMAD, eq. 7). In float32 for any input: squares of half precision overflow."""
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
    """Attention of the teacher's features and of its discriminator's, N x (1 + layers) x H x W.

    The discriminator's maps are resized to the generator's by their area (the paper: "Lagrange interpolation"; the released
    code: by the area, on the first image of the batch in 8 bits, which wraps round). ``mean`` as in `attention_map`.
    """
    first = attention_map(teacher, mean=mean)
    others = [_to_size(attention_map(features, mean=mean), *first.shape[-2:]) for features in discriminator]
    return torch.stack([first, *others], 1)


def fused(maps: Tensor, fusion: Fusion) -> Tensor:
    """Co-attention of the teacher, N x K x H x W -> N x H x W: half the ``sum`` (DMAD, eq. 8), or the ``product``
    (its table V). A single map changes by a factor only, which `attention_distance` ignores."""
    return 0.5 * maps.sum(1) if fusion == "sum" else maps.prod(1)


def discriminator_distance(student: Tensor, teacher: Tensor, *, squared: bool = True) -> Tensor:
    """Distance of a discriminator's features of two images, N x C x H x W each.

    ``squared``: the squared L2 norm of an image's difference, averaged over the batch (DMAD, eq. 10). Else the L2 norm of
    the whole batch's difference, as the released code has it.
    """
    difference = (student.float() - teacher.float()).flatten(1).square().sum(1)
    return difference.mean() if squared else difference.sum().clamp_min(1e-24).sqrt()


def kernel_alignment(student: Tensor, teacher: Tensor, *, centered: bool = False) -> Tensor:
    """``<X X^T, Y Y^T>_F / (|X X^T|_F |Y Y^T|_F)`` for features B x ... of the same B images, each flattened; in 0..1.

    CAT (Jin et al. 2021), section 3.3, eq. 5: linear kernel alignment without centering. ``centered`` subtracts the mean
    image first (Kornblith et al. 2019, eq. 3): without it, features that are never negative have 0.9999 before any
    training. Scalings and rotations of the features, and their channel counts and sizes, do not matter. In float32 for any
    input (the released code squares and multiplies before it takes the root, which overflows in half precision).

    Raises ``ValueError`` for fewer than 2 images, or 3 with ``centered``: then it is 1 for any features.
    """
    least = 3 if centered else 2
    if len(student) < least:
        kind = "centered kernel alignment" if centered else "kernel alignment"
        raise ValueError(f"{kind} compares the images of a batch: {len(student)} say nothing, the least is {least}")
    with torch.autocast(student.device.type, enabled=False):
        x, y = (_gram(features.float().flatten(1), centered) for features in (student, teacher))
        alignment: Tensor = (x * y).sum()
        return alignment


def feature_matching(fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> Tensor:
    """Sum over layers of ``mean |fake - real|``, averaged over scales; no gradient flows to ``real``.

    ``fake`` and ``real``: the outputs of all layers but the last, for each scale of the discriminator. Wang et al. 2018
    (pix2pixHD), eq. 4 with N_i elements a layer, over the scales of their eq. 5 as Park et al. 2019 (SPADE) average them.
    """
    pairs = [pair for one, other in zip(fake, real, strict=True) for pair in zip(one, other, strict=True)]
    distances = (F.l1_loss(a, b.detach()) for a, b in pairs)
    return sum(distances, start=fake[0][0].new_zeros(())) / len(fake)


def perceptual_distance(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Sum over layers of ``w_l * mean |fake_l - real_l|`` with w `VGG_WEIGHTS`; no gradient flows to ``real``.

    Perceptual loss of Wang et al. 2018 (pix2pixHD, appendix A) and Park et al. 2019 (SPADE, appendix A), with the
    weights of their code. ``fake`` and ``real``: the five features of an image each, of equal shapes, N x C x H x W.
    """
    layers = zip(VGG_WEIGHTS, fake, real, strict=True)
    return sum((weight * F.l1_loss(a, b.detach()) for weight, a, b in layers), start=fake[0].new_zeros(()))


def at_least_float32(x: Tensor) -> Tensor:
    """Return ``x`` in float32, or in float64 if it is: sums and squares of half precision are inexact, or overflow."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gram_matrix(features: Tensor) -> Tensor:
    """Inner products of the channels over their number and that of the positions, N x C x ... -> N x C x C.

    Johnson et al. 2016, eq. 3. In float32 at least.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = at_least_float32(features).reshape(*features.shape[:2], -1)
        return rows @ rows.mT / (rows.shape[1] * rows.shape[2])


def channel_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the channels' means over the positions, N x C x H x W each (OMGD, channel distillation)."""
    return F.mse_loss(at_least_float32(student).mean((2, 3)), at_least_float32(teacher).mean((2, 3)))


def raw_moments(embeddings: Tensor) -> Tensor:
    """First and second raw moment of each dimension over the rows, N x D -> 2 x D, in float32 at least."""
    rows = at_least_float32(embeddings)
    return torch.stack([rows.mean(0), rows.square().mean(0)])


def _to_size(maps: Tensor, height: int, width: int) -> Tensor:
    """N x H x W -> N x height x width by the mean over the area."""
    return F.adaptive_avg_pool2d(maps[:, None], (height, width))[:, 0]


def _gram(rows: Tensor, centered: bool) -> Tensor:
    """Inner products of the rows, B x B, of norm 1. The rows are scaled first, so that no product overflows."""
    if centered:
        rows = rows - rows.mean(0)
    rows = rows / rows.norm().clamp_min(1e-20)
    gram = rows @ rows.T
    norm: Tensor = gram.norm().clamp_min(1e-20)
    return gram / norm
