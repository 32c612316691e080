"""Random changes of images as matrices, one an image: Karras et al. 2020, "Training GANs with Limited Data", appendix B.

Each kind happens with probability ``p``, else its matrix is exactly the identity. All numbers are drawn from torch's global
generator of the device.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketgan.core.shape import Shape

ONE_PIXEL_IN_EIGHT = 0.125
"""How far images are moved, as a part of their side: at most by blits, one standard deviation by geometry."""


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """N x 3 x 3 from N factors a side."""
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], 1))


def rotation(angle: Tensor) -> Tensor:
    """N x 3 x 3 from N angles."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).view(-1, 3, 3)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """N x 3 x 3 from N steps a side, in pixels."""
    moved = torch.eye(3, device=x.device).repeat(len(x), 1, 1)
    moved[:, :2, 2] = torch.stack([x, y], 1)
    return moved


def blits(count: int, p: Tensor, shape: Shape) -> Tensor:
    """Flips, quarter turns and steps by whole pixels, which leave every pixel what it is: N x 3 x 3, in pixels."""
    draw = _Draws(count, p)
    flip = draw(1.0, lambda u: 1 - 2 * (u * 2).floor())
    turn = draw(0.0, lambda u: (u * 4).floor() * (pi / 2))
    matrix = scaling(flip, torch.ones_like(flip)) @ rotation(turn)
    happens = draw.happens()
    steps = [((draw.uniform() * 2 - 1) * ONE_PIXEL_IN_EIGHT * side).round() for side in (shape[1], shape[0])]
    return matrix @ translation(*(torch.where(happens, step, 0.0) for step in steps))


def geometries(count: int, p: Tensor, shape: Shape) -> Tensor:
    """Scale, rotation, stretch, rotation again, and a step by parts of pixels: N x 3 x 3, in pixels.

    Each rotation has the probability with which one at least happens with probability p.
    """
    draw, turned = _Draws(count, p), _Draws(count, 1 - (1 - p).sqrt())
    scale, stretch = (draw(1.0, lambda z: (z * (0.2 * log(2))).exp(), normal=True) for _ in range(2))
    before, after = (turned(0.0, lambda u: (u * 2 - 1) * pi) for _ in range(2))
    happens = draw.happens()
    steps = [draw.normal() * ONE_PIXEL_IN_EIGHT * side for side in (shape[1], shape[0])]
    moved = translation(*(torch.where(happens, step, 0.0) for step in steps))
    return scaling(scale, scale) @ rotation(before) @ scaling(stretch, 1 / stretch) @ rotation(after) @ moved


def colors(count: int, p: Tensor) -> Tensor:
    """Brightness, contrast, luma flip, hue and saturation: N x 4 x 4, of red, green, blue and 1."""
    draw = _Draws(count, p)
    eye, gray = torch.eye(3, device=p.device), torch.full((3, 3), 1 / 3, device=p.device)
    crossed = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=p.device) / 3**0.5
    brightness = draw(0.0, lambda z: z * 0.2, normal=True)[:, None]
    contrast = draw(1.0, lambda z: (z * (0.5 * log(2))).exp(), normal=True)[:, None, None]
    flip = draw(0.0, lambda u: (u * 2).floor())[:, None, None]
    angle = draw(0.0, lambda u: (u * 2 - 1) * pi)[:, None, None]
    saturation = draw(1.0, lambda z: (z * log(2)).exp(), normal=True)[:, None, None]
    hue = angle.cos() * eye + (1 - angle.cos()) * gray + angle.sin() * crossed  # about the axis of grays (Rodrigues)
    mixed = (saturation * eye + (1 - saturation) * gray) @ hue @ (eye - 2 * flip * gray) @ (contrast * eye)
    matrix = torch.eye(4, device=p.device).repeat(count, 1, 1)
    matrix[:, :3, :3] = mixed
    matrix[:, :3, 3] = (mixed @ brightness.expand(-1, 3)[:, :, None])[:, :, 0]  # brightness is first
    return matrix


class _Draws:
    """Numbers for ``count`` images, each drawn with probability p."""

    def __init__(self, count: int, p: Tensor):
        self.count, self.p = count, p

    def uniform(self) -> Tensor:
        return torch.rand(self.count, device=self.p.device)

    def normal(self) -> Tensor:
        return torch.randn(self.count, device=self.p.device)

    def happens(self) -> Tensor:
        return self.uniform() < self.p

    def __call__(self, neutral: float, value: Callable[[Tensor], Tensor], *, normal: bool = False) -> Tensor:
        """``value`` of a uniform (or normal) number where it happens, else ``neutral``."""
        return torch.where(self.happens(), value(self.normal() if normal else self.uniform()), neutral)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Images N x C x H x W whose places are read where the matrices (N x 3 x 3, pixels from the center) send them.

    Mirrored at the borders. Untouched bit for bit where the matrix is the identity. It can be differentiated twice. Bilinear at
    the images' own size: the published code smooths by a wavelet at twice the size, against aliasing where it shrinks.
    """
    height, width = images.shape[2:]
    half = torch.tensor([width / 2, height / 2, 1.0], device=images.device)
    grid = F.affine_grid((matrices * half / half[:, None])[:, :2].to(images), list(images.shape), align_corners=False)
    return torch.where(_touched(matrices), _Sample.apply(images, grid), images)  # type: ignore[no-untyped-call]


def recolor(images: Tensor, matrices: Tensor) -> Tensor:
    """Images N x 3 x H x W whose colors the matrices (N x 4 x 4) change; bit for bit untouched by the identity."""
    matrices_ = matrices.to(images)
    changed = (matrices_[:, :3, :3] @ images.flatten(2) + matrices_[:, :3, 3:]).view_as(images)
    return torch.where(_touched(matrices), changed, images)


def _touched(matrices: Tensor) -> Tensor:
    """Which are not the identity: N x 1 x 1 x 1."""
    return (matrices != torch.eye(matrices.shape[1], device=matrices.device)).flatten(1).any(1)[:, None, None, None]


class _Sample(torch.autograd.Function):
    """`F.grid_sample` as the linear function of the images that it is: torch's own cannot be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(images, grid)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        images, grid = ctx.saved_tensors
        return _Adjoint.apply(grads[0], grid, images.detach()), None  # type: ignore[no-untyped-call]


class _Adjoint(torch.autograd.Function):
    """Its transpose, from what is sampled back to images of the shape of ``like``."""

    @staticmethod
    def forward(ctx: Any, sampled: Tensor, grid: Tensor, like: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        bilinear, reflection = 0, 2
        wanted = (True, False)  # of the images, not of the grid
        back = torch.ops.aten.grid_sampler_2d_backward(sampled, like, grid, bilinear, reflection, False, wanted)
        return back[0]  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sample.apply(grads[0], grid), None, None  # type: ignore[no-untyped-call]
