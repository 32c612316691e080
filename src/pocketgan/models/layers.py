"""The few building blocks that the architectures share."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["instance", "instance_affine", "batch"]
"""``instance``: no parameters, no statistics (as published); ``instance_affine``: with scale and shift; ``batch``: both."""


def make_norm(kind: Norm | Literal["batch_plain"], channels: int) -> nn.Module:
    """The normalization layer of that kind for N x ``channels`` x H x W; ``batch_plain``: statistics, no parameters."""
    match kind:
        case "instance":
            return nn.InstanceNorm2d(channels)
        case "instance_affine":
            return nn.InstanceNorm2d(channels, affine=True)
        case "batch":
            return nn.BatchNorm2d(channels)
        case "batch_plain":
            return nn.BatchNorm2d(channels, affine=False)


def needs_bias(kind: Norm) -> bool:
    """Whether a convolution before that norm carries a bias: under instance norm always, as published."""
    return kind != "batch"


def evaluated(norm: nn.Module, constants: Tensor) -> Tensor:
    """What a norm makes of images of one constant a channel, C -> C.

    Always by the statistics of evaluation, as those are what stays when the layers before it are dropped.
    """
    training = norm.training
    result = norm.eval()(constants[None, :, None, None].expand(1, -1, 2, 2))[0, :, 0, 0]
    norm.train(training)
    return result  # type: ignore[no-any-return]


class Unit(nn.Module):
    """Convolution, then (if there) norm, activation, dropout. A gate's seat is after the norm, else after the convolution."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None = None, act: nn.Module | None = None, *, dropout: float = 0.0):
        super().__init__()
        self.conv, self.norm, self.act = conv, norm, act
        self.drop = nn.Dropout(dropout) if dropout else None
        self.GATES = {"conv" if norm is None else "norm": "conv"}

    def forward(self, x: Tensor, *style: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H' x W'; ``style`` is what an adaptive norm takes besides."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x, *style)
        if self.act is not None:
            x = self.act(x)
        return x if self.drop is None else self.drop(x)

    def constant(self) -> Tensor:
        """What the norm makes of the convolution's bias alone: the output per channel when no input channel is left."""
        layer = self.conv.pointwise if isinstance(self.conv, Separable) else self.conv
        assert isinstance(layer, nn.Conv2d)
        assert self.norm is not None
        bias = layer.weight.new_zeros(int(layer.out_channels)) if layer.bias is None else layer.bias
        return evaluated(self.norm, bias)


class Separable(nn.Module):
    """Depthwise and norm, then pointwise 1x1: the decomposed convolution of MobileNet in GAN Compression, section 3.2."""

    GATES = {"norm": "depthwise"}  # noqa: RUF012

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: Norm,
        bias: bool,
        padding: Literal["zeros", "reflect"] = "reflect",
        kernel: int = 3,
    ):
        super().__init__()
        self.out_channels = out_channels
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, kernel, padding=kernel // 2, padding_mode=padding, groups=in_channels, bias=bias
        )
        self.norm = make_norm(norm, in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H x W."""
        return self.pointwise(self.norm(self.depthwise(x)))  # type: ignore[no-any-return]


class Shift(nn.Module):
    """One constant a channel, in no batch: what is left of a branch that reads nothing any more."""

    AXES = {"value": ("out_channels",)}  # noqa: RUF012

    def __init__(self, channels: int, *, seat: bool = True):
        super().__init__()
        self.GATES = {"": ""} if seat else {}
        self.out_channels = channels
        self.register_buffer("value", torch.zeros(channels))
        self.value: Tensor

    def forward(self) -> Tensor:
        """C x 1 x 1."""
        return self.value[:, None, None]
