"""Kernel alignment: do two networks find the same images alike? Of any channel counts and sizes, without an adaptor."""

from __future__ import annotations

import torch
from torch import Tensor


def kernel_alignment(student: Tensor, teacher: Tensor, *, centered: bool = False) -> Tensor:
    """``<X X^T, Y Y^T>_F / (|X X^T|_F |Y Y^T|_F)`` for features B x ... of the same B images, each flattened; in 0..1.

    CAT (Jin et al. 2021), section 3.3, eq. 5: linear centered kernel alignment without the centring. ``centered`` takes the
    mean
    image away first (Kornblith et al. 2019, eq. 3): without it, features that are never negative are alike to 0.9999 before
    anything is learnt. Neither a scaling nor a rotation of the features changes it. In float32 whatever the input is (the
    released code squares and multiplies before it takes the root, which half precision cannot hold).

    Raises ``ValueError`` for fewer than 2 images, or 3 with ``centered``: then it is 1 whatever the features are.
    """
    least = 3 if centered else 2
    if len(student) < least:
        kind = "centered kernel alignment" if centered else "kernel alignment"
        raise ValueError(f"{kind} compares the images of a batch: {len(student)} say nothing, the least is {least}")
    with torch.autocast(student.device.type, enabled=False):
        x, y = (_gram(features.float().flatten(1), centered) for features in (student, teacher))
        alignment: Tensor = (x * y).sum()
        return alignment


def _gram(rows: Tensor, centered: bool) -> Tensor:
    """The B x B inner products, of norm 1. The rows are scaled first, so that no product overflows."""
    if centered:
        rows = rows - rows.mean(0)
    rows = rows / rows.norm().clamp_min(1e-20)
    gram = rows @ rows.T
    norm: Tensor = gram.norm().clamp_min(1e-20)
    return gram / norm
