"""Relations within one image: of positions, of regions, of pieces. Adaptors are not needed: only relations are compared."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketgan.losses.features import at_least_float32


def position_similarity(features: Tensor) -> Tensor:
    """Similarities of all pairs of positions, N x C x H x W -> N x HW x HW: inner products, each row of L2 norm 1.

    Li, Jiang and Aarabi 2020 (semantic relation preserving distillation). Scalings and rotations of the channels, and their
    number, do not matter.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = at_least_float32(features).flatten(2)
        rows = rows / rows.flatten(1).norm(dim=1).clamp_min(1e-20)[:, None, None]  # so that no product overflows
        return F.normalize(rows.mT @ rows, dim=2, eps=1e-20)


def position_distance(student: Tensor, teacher: Tensor, *, side: int) -> Tensor:
    """Mean absolute difference of `position_similarity`, of any channel counts.

    Both are first averaged down to the smaller one's size, and to at most ``side`` x ``side``: at 64 x 64 the similarities
    of one image are 67 MB.
    """
    height, width = (min(side, *sides) for sides in zip(student.shape[-2:], teacher.shape[-2:], strict=True))
    a, b = (
        position_similarity(F.adaptive_avg_pool2d(at_least_float32(features), (height, width)))
        for features in (student, teacher)
    )
    return F.l1_loss(a, b)


def region_contrast(student: Tensor, teacher: Tensor, *, count: int, temperature: float) -> Tensor:
    """InfoNCE of positions: those of the student must be most like the teacher's at the same place. N x C x H x W each.

    Zhang et al. 2023 (region-aware distillation): of each image the ``count`` positions with the largest attention of the
    teacher, the mean absolute value over its channels; vectors of norm 1; the other positions of the image are the negatives.
    """
    with torch.autocast(student.device.type, enabled=False):
        a, b = at_least_float32(student).flatten(2), at_least_float32(teacher).flatten(2)
        places = b.abs().mean(1).topk(min(count, b.shape[2])).indices
        at = places[:, None]
        a, b = (F.normalize(x.gather(2, at.expand(-1, x.shape[1], -1)), dim=1) for x in (a, b))
        logits = a.mT @ b / temperature
        return F.cross_entropy(logits.flatten(0, 1), torch.arange(logits.shape[1], device=a.device).repeat(len(a)))


def pieces_of(image: Tensor, *, strips: int, grid: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and patches of images N x C x H x W, each N x pieces x numbers.

    At most ``strips`` rows and columns, of several pixels' height where the image is larger, and a ``grid`` x ``grid`` of
    patches. Pixels beyond the last full piece are left out.
    """
    height, width = image.shape[-2:]
    tall, wide = -(-height // strips), -(-width // strips)
    patch = max(height // grid, 1), max(width // grid, 1)
    sizes = ((tall, width), (height, wide), patch)
    rows, columns, patches = (F.unfold(at_least_float32(image), size, stride=size).mT for size in sizes)
    return rows, columns, patches


def relational_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Difference of the relations between pieces, N x pieces x numbers: of distances, and twice that of angles.

    Park et al. 2019 (relational distillation), RKD-D and RKD-A: the distances of pairs over their mean, the cosines at each
    corner of each triplet; Huber losses, averaged over pairs and triplets. CRD has it for the pieces of an image. Shifts,
    scalings and rotations of the pieces do not matter. In float64 where the device has it: neighboring pieces are nearly
    equal, and their differences are small.
    """
    kind = torch.float32 if student.device.type == "mps" else torch.float64
    with torch.autocast(student.device.type, enabled=False):
        (distance, angles), (distance_to, angles_to) = (_relations(pieces.to(kind)) for pieces in (student, teacher))
        return (F.smooth_l1_loss(distance, distance_to) + 2 * F.smooth_l1_loss(angles, angles_to)).to(student.dtype)


def _relations(pieces: Tensor) -> tuple[Tensor, Tensor]:
    """Distances over their mean, N x n x n, and cosines at corner i of each triplet i, j, k, N x n x n x n.

    Both are 0 for equal pieces. The cosines come from inner products: the differences would be n times as large as the image.
    """
    pieces = pieces - pieces.mean(1, keepdim=True)
    products = pieces @ pieces.mT
    norms = products.diagonal(dim1=1, dim2=2)
    squares = norms[:, :, None] + norms[:, None] - 2 * products
    differ = squares > 64 * torch.finfo(pieces.dtype).eps * norms.amax(1)[:, None, None]
    distance = torch.where(differ, squares, 1).sqrt() * differ  # no root of 0, whose slope is infinite
    mean = distance.sum((1, 2)) / differ.sum((1, 2)).clamp_min(1)
    corners = products[:, None] - products[:, :, :, None] - products[:, :, None] + norms[:, :, None, None]
    inverse = differ / torch.where(differ, distance, 1)
    angles = corners * inverse[:, :, :, None] * inverse[:, :, None]
    return distance / torch.where(mean > 0, mean, 1)[:, None, None], angles
