"""Inception-V3 of FID: 299 x 299 images to 2048 features.

Szegedy et al. 2016, "Rethinking the Inception architecture", figures 5 to 7, as trained by Google (inception-2015-12-05) and
ported from TensorFlow by pytorch-fid (M. Seitzer). It differs from the network of the paper and of torchvision in ways that
its tensors do not show: 1008 classes, average pools that leave the padding out of the mean, a maximum instead of an average
in the last block. Modules have the published names, so that the published file loads strictly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from pocketgan.pretrained.weights import Published

WEIGHTS = Published(
    name="the Inception weights of FID",
    file="pt_inception-2015-12-05-6726825d.pth",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
SIDE = 299
"""Side of the square images of its training."""
FEATURES = 2048
CLASSES = 1008


class Layer(NamedTuple):
    """Description of one convolution with its norm."""

    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


Chain = Sequence[Layer | tuple[Layer, Layer]]
"""Layers one after the other; the last may be two side by side."""

ROW, COLUMN, SQUARE = (1, 7), (7, 1), (3, 3)

average = partial(avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
maximum = partial(max_pool2d, kernel_size=3, stride=1, padding=1)
halve = partial(max_pool2d, kernel_size=3, stride=2)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU. A layer with a stride has no padding; the others keep the size."""

    def __init__(self, in_width: int, layer: Layer, *, padded: bool = True):
        super().__init__()
        height, width = layer.kernel
        padding = (height // 2, width // 2) if padded and layer.stride == 1 else (0, 0)
        self.conv = nn.Conv2d(in_width, layer.width, layer.kernel, layer.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(layer.width, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Chains side by side, and a pooling that a last 1 x 1 layer may follow; all are concatenated in this order."""

    def __init__(self, in_width: int, chains: Sequence[Chain], pool: partial[Tensor], pooled: int | None = None):
        super().__init__()
        self.names: list[list[tuple[str, ...]]] = []
        for chain in chains:
            width, names = in_width, []
            for step in chain:
                # A layer is a tuple itself: a tuple of layers is a fork.
                fork: tuple[Layer, ...] = (step,) if isinstance(step, Layer) else step
                for layer in fork:
                    self.add_module(layer.name, Unit(width, layer))
                width = sum(layer.width for layer in fork)
                names.append(tuple(layer.name for layer in fork))
            self.names.append(names)
        self.pool = pool
        self.branch_pool = Unit(in_width, Layer("branch_pool", pooled)) if pooled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*(self._run(names, x) for names in self.names), self.branch_pool(self.pool(x))], 1)

    def _run(self, names: list[tuple[str, ...]], x: Tensor) -> Tensor:
        for fork in names:
            x = torch.cat([self.get_submodule(name)(x) for name in fork], 1)
        return x


def block_a(in_width: int, pooled: int) -> Mixed:
    """Block at 35 x 35: figure 5 with one 5 x 5 not factorized."""
    chains = (
        [Layer("branch1x1", 64)],
        [Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, (5, 5))],
        [Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, SQUARE), Layer("branch3x3dbl_3", 96, SQUARE)],
    )
    return Mixed(in_width, chains, average, pooled)


def block_b(in_width: int) -> Mixed:
    """Block from 35 x 35 to 17 x 17."""
    chains = (
        [Layer("branch3x3", 384, SQUARE, 2)],
        [Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, SQUARE), Layer("branch3x3dbl_3", 96, SQUARE, 2)],
    )
    return Mixed(in_width, chains, halve)


def block_c(width: int) -> Mixed:
    """Block at 17 x 17: figure 6, 7 x 7 as rows and columns of ``width`` channels."""
    names = [f"branch7x7dbl_{index}" for index in range(1, 6)]
    shapes = ((width, (1, 1)), (width, COLUMN), (width, ROW), (width, COLUMN), (192, ROW))
    chains = (
        [Layer("branch1x1", 192)],
        [Layer("branch7x7_1", width), Layer("branch7x7_2", width, ROW), Layer("branch7x7_3", 192, COLUMN)],
        [Layer(name, *shape) for name, shape in zip(names, shapes, strict=True)],
    )
    return Mixed(768, chains, average, 192)


def block_d(in_width: int) -> Mixed:
    """Block from 17 x 17 to 8 x 8."""
    seven = [Layer("branch7x7x3_1", 192), Layer("branch7x7x3_2", 192, ROW), Layer("branch7x7x3_3", 192, COLUMN)]
    chains = (
        [Layer("branch3x3_1", 192), Layer("branch3x3_2", 320, SQUARE, 2)],
        [*seven, Layer("branch7x7x3_4", 192, SQUARE, 2)],
    )
    return Mixed(in_width, chains, halve)


def block_e(in_width: int, pool: partial[Tensor]) -> Mixed:
    """Block at 8 x 8: figure 7, whose chains end in a row beside a column."""
    chains: tuple[Chain, ...] = (
        [Layer("branch1x1", 320)],
        [Layer("branch3x3_1", 384), _fork("branch3x3_2")],
        [Layer("branch3x3dbl_1", 448), Layer("branch3x3dbl_2", 384, SQUARE), _fork("branch3x3dbl_3")],
    )
    return Mixed(in_width, chains, pool, 192)


class Inception(nn.Module):
    """N x 3 x 299 x 299 in [-1, 1] -> N x 2048, the mean of the last maps. ``fc`` is loaded and not used."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, Layer("", 32, SQUARE, 2))
        self.Conv2d_2a_3x3 = Unit(32, Layer("", 32, SQUARE), padded=False)
        self.Conv2d_2b_3x3 = Unit(32, Layer("", 64, SQUARE))
        self.Conv2d_3b_1x1 = Unit(64, Layer("", 80))
        self.Conv2d_4a_3x3 = Unit(80, Layer("", 192, SQUARE), padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = block_a(192, 32), block_a(256, 64), block_a(288, 64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(block_c, (128, 160, 160, 192))
        self.Mixed_7a = block_d(768)
        self.Mixed_7b, self.Mixed_7c = block_e(1280, average), block_e(FEATURES, maximum)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = halve(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))


def _fork(name: str) -> tuple[Layer, Layer]:
    return Layer(f"{name}a", 384, (1, 3)), Layer(f"{name}b", 384, (3, 1))
