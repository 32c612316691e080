"""DMAD's differentiable masks: one learnable number a channel and producer, sharpened by a shrinking boundary.

Li et al., "Learning Efficient GANs using Differentiable Masks and Co-Attention Distillation", equations 3 to 6.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim
from pocketgan.pruning.gate import Gate, expand_to_channels

Form = Literal["quadratic", "linear"]


def mask_value(p: Tensor, boundary: Tensor | float, form: Form = "quadratic") -> Tensor:
    """The mask in [0, 1] of eq. 3: 0 at p <= -b, 1/2 at 0, 1 at p >= b; slope (b - |p|) / b^2 inside, 0 outside.

    Two parabolas that meet at p = 0; ``linear`` is the straight line of the ablation in table II. At b = 0 it is the step
    p > 0, without gradient.
    """
    b = torch.as_tensor(boundary, dtype=p.dtype, device=p.device)
    u = (p / b.clamp_min(1e-12)).clamp(-1, 1)
    soft = (1 + u) / 2 if form == "linear" else torch.where(u <= 0, (1 + u).square() / 2, 1 - (1 - u).square() / 2)
    return torch.where(b > 0, soft, (p > 0).to(p.dtype))


def boundary_at(step: int, steps: int) -> float:
    """b = 1 - (step / steps)^(1/3), eq. 4; 0 from ``steps`` on."""
    return max(0.0, 1.0 - float((step / steps) ** (1 / 3)))


def group_coefficients(p: Tensor, boundary: Tensor | float, *, settling: bool = True) -> Tensor:
    """How hard each channel of a group is pushed, eq. 6: s / (members not closed), for s producers x C channels -> C.

    0 where all members are closed. With ``settling`` (the released rule, which the paper does not print) also 0 where the
    channel can no longer go, as one member is open for good; then all that are not closed are inside the band.
    """
    present = (p > -boundary).sum(0)
    done = present == 0
    if settling:
        done = done | (p >= boundary).any(0)
    return torch.where(done, 0.0, len(p) / present.clamp_min(1))


def sparsity(p: Tensor, boundary: Tensor | float, coefficients: Tensor | float, *, everywhere: bool = False) -> Tensor:
    """Sum of c |p + b|, eq. 5 and 6, over what is inside the band: outside there is neither loss nor gradient (released).

    ``everywhere`` is the letter of eq. 5: what is closed is drawn back to the edge of the band, what is open is drawn down.
    """
    terms = coefficients * (p + boundary).abs()
    return (terms if everywhere else terms * (p.abs() < boundary)).sum()


def polarization(p: Tensor, boundary: Tensor | float) -> Tensor:
    """L2 norm of (b - |p|) inside the band: pushes to the nearer edge, closes and opens alike.

    Not in the paper; the released code treats the layers next to the image with it.
    """
    inside = (boundary - p.abs()) * (p.abs() < boundary)
    return inside.square().sum().clamp_min(1e-24).sqrt()


class MaskGate(Gate):
    """A gate whose mask is learned."""

    AXES = {"p": ("channels",), "mask": ("channels",)}  # noqa: RUF012

    def __init__(self, dim: Dim, form: Form, start: Tensor):
        """``start``: a number for each channel of the group."""
        super().__init__(dim)
        self.form: Form = form
        self.p = nn.Parameter(start)
        self.register_buffer("boundary", torch.ones(()))
        self.boundary: Tensor

    @staticmethod
    def gated_dim(dim: Dim) -> Dim:
        """Every channel of the group."""
        return dim.units

    def factors(self) -> Tensor:
        """The soft mask, and the binary one once that is set."""
        return expand_to_channels(self.mask * mask_value(self.p, self.boundary, self.form), self.dim)
