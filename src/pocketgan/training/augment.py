"""Inputs of discriminators: adaptive augmentation, and the history of generated images.

Augmentations are matrices, one per image: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data"
(ADA), appendix B. Each kind happens with probability ``p``; otherwise its matrix is exactly the identity. Random numbers come
from torch's global generator of the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log, pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import Shape

SHIFT = 0.125
"""Translation as a fraction of the side: the largest of blits, one standard deviation of geometry."""
RISE = 500_000
"""Images while which p goes from 0 to 1, as published."""


class Augment(nn.Module):
    """Random transforms of the three strongest kinds of ADA (section 2.2), each with probability ``p`` per image.

    Real and generated images are transformed alike; gradients pass. At p = 0 the module is the identity, bit for bit.
    """

    def __init__(self, target: float = 0.6):
        """``target`` of r_t, which p is moved by, from 0 on."""
        super().__init__()
        self.target = target
        self.register_buffer("p", torch.tensor(0.0))
        self.p: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """N x 3 x H x W -> the same shape."""
        count, shape = len(images), (images.shape[2], images.shape[3])
        matrices = blits(count, self.p, shape) @ geometries(count, self.p, shape)
        return recolor(warp(images, matrices), colors(count, self.p))

    @torch.no_grad()
    def update(self, signs: Tensor) -> None:
        """Move p in proportion to the number of images: up where r_t is above its target, down where it is below.

        ``signs``: signs of the discriminator's logits of real images, any shape, one per image; r_t is their mean (eq. 1), 1
        where the discriminator has memorized all. Published: every four batches.
        """
        step = signs.numel() / RISE
        self.p.add_((signs.float().mean() - self.target).sign() * step).clamp_(0, 1)


class ImagePool:
    """History of up to ``size`` generated images; once full, a new image is swapped for an old one with probability 1/2.

    Shrivastava et al. 2017, section 2.3; CycleGAN, section 4. Draws come from torch's global generator, so that an exact resume
    needs no state but the images. Each of several processes has a pool of this size for its own slices.
    """

    def __init__(self, size: int = 50):
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, fresh: Tensor) -> Tensor:
        """Return as many images as ``fresh`` has, some of them old; N x C x H x W, without gradient."""
        chosen = []
        for image in fresh.detach():
            if len(self.images) < self.size:
                self.images.append(image)
                chosen.append(image)
            elif self.size and torch.rand(()) < 0.5:
                index = int(torch.randint(self.size, ()))
                chosen.append(self.images[index])
                self.images[index] = image
            else:
                chosen.append(image)
        return torch.stack(chosen)

    def state(self) -> dict[str, Tensor]:
        """Return the images, by index."""
        return {str(index): image for index, image in enumerate(self.images)}

    def load_state(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Restore what `state` returned."""
        self.images = [state[str(index)].to(device) for index in range(len(state))]


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Return scalings, N x 3 x 3, from N factors per axis."""
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], 1))


def rotation(angle: Tensor) -> Tensor:
    """Return rotations, N x 3 x 3, from N angles."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).view(-1, 3, 3)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Return translations, N x 3 x 3, from N shifts per axis, in pixels."""
    matrices = torch.eye(3, device=x.device).repeat(len(x), 1, 1)
    matrices[:, :2, 2] = torch.stack([x, y], 1)
    return matrices


def blits(count: int, p: Tensor, shape: Shape) -> Tensor:
    """Draw flips, quarter turns and shifts by whole pixels, which only permute pixels: N x 3 x 3, in pixels."""
    draw = _Draws(count, p)
    flip = draw(1.0, lambda u: 1 - 2 * (u * 2).floor())
    turn = draw(0.0, lambda u: (u * 4).floor() * (pi / 2))
    matrix = scaling(flip, torch.ones_like(flip)) @ rotation(turn)
    happens = draw.happens()
    shifts = [((draw.uniform() * 2 - 1) * SHIFT * side).round() for side in (shape[1], shape[0])]
    return matrix @ translation(*(torch.where(happens, shift, 0.0) for shift in shifts))


def geometries(count: int, p: Tensor, shape: Shape) -> Tensor:
    """Draw scalings, rotations, stretches, rotations again, and shifts by fractions of pixels: N x 3 x 3, in pixels.

    The probability of each rotation is such that at least one of the two happens with probability p.
    """
    draw, turned = _Draws(count, p), _Draws(count, 1 - (1 - p).sqrt())
    scale, stretch = (draw(1.0, lambda z: (z * (0.2 * log(2))).exp(), normal=True) for _ in range(2))
    before, after = (turned(0.0, lambda u: (u * 2 - 1) * pi) for _ in range(2))
    happens = draw.happens()
    shifts = [draw.normal() * SHIFT * side for side in (shape[1], shape[0])]
    shifted = translation(*(torch.where(happens, shift, 0.0) for shift in shifts))
    return scaling(scale, scale) @ rotation(before) @ scaling(stretch, 1 / stretch) @ rotation(after) @ shifted


def colors(count: int, p: Tensor) -> Tensor:
    """Draw brightness, contrast, luma flip, hue and saturation: N x 4 x 4, of red, green, blue and 1."""
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
    matrix[:, :3, 3] = (mixed @ brightness.expand(-1, 3)[:, :, None])[:, :, 0]  # brightness is applied first
    return matrix


class _Draws:
    """Random numbers for ``count`` images, each used with probability p."""

    def __init__(self, count: int, p: Tensor):
        self.count, self.p = count, p

    def uniform(self) -> Tensor:
        return torch.rand(self.count, device=self.p.device)

    def normal(self) -> Tensor:
        return torch.randn(self.count, device=self.p.device)

    def happens(self) -> Tensor:
        return self.uniform() < self.p

    def __call__(self, neutral: float, value: Callable[[Tensor], Tensor], *, normal: bool = False) -> Tensor:
        """Return ``value`` of a uniform (or normal) number with probability p, else ``neutral``."""
        return torch.where(self.happens(), value(self.normal() if normal else self.uniform()), neutral)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Resample images N x C x H x W at the positions given by the matrices (N x 3 x 3, pixels from the center).

    Borders are mirrored. Images with an identity matrix stay the same, bit for bit. Twice differentiable. Bilinear at the size
    of the images: the published code filters by a wavelet at twice the size, against aliasing where images shrink.
    """
    height, width = images.shape[2:]
    half = torch.tensor([width / 2, height / 2, 1.0], device=images.device)
    grid = F.affine_grid((matrices * half / half[:, None])[:, :2].to(images), list(images.shape), align_corners=False)
    return torch.where(_not_identity(matrices), _Sample.apply(images, grid), images)  # type: ignore[no-untyped-call]


def recolor(images: Tensor, matrices: Tensor) -> Tensor:
    """Transform the colors of images N x 3 x H x W by matrices N x 4 x 4; the identity changes no bit."""
    cast = matrices.to(images)
    changed = (cast[:, :3, :3] @ images.flatten(2) + cast[:, :3, 3:]).view_as(images)
    return torch.where(_not_identity(matrices), changed, images)


def _not_identity(matrices: Tensor) -> Tensor:
    """Return True for every matrix that is not the identity, N x 1 x 1 x 1."""
    return (matrices != torch.eye(matrices.shape[1], device=matrices.device)).flatten(1).any(1)[:, None, None, None]


class _Sample(torch.autograd.Function):
    """`F.grid_sample` as a linear function of the images: torch's own cannot be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(images, grid)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        images, grid = ctx.saved_tensors
        return _Adjoint.apply(grads[0], grid, images.detach()), None  # type: ignore[no-untyped-call]


class _Adjoint(torch.autograd.Function):
    """Transpose of `_Sample`: from sampled images to images of the shape of ``like``."""

    @staticmethod
    def forward(ctx: Any, sampled: Tensor, grid: Tensor, like: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        bilinear, reflection = 0, 2
        mask = (True, False)  # the gradient of the images, not that of the grid
        gradients = torch.ops.aten.grid_sampler_2d_backward(sampled, like, grid, bilinear, reflection, False, mask)
        return gradients[0]  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sample.apply(grads[0], grid), None, None  # type: ignore[no-untyped-call]
