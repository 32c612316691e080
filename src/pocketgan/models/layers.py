"""Layers that the architectures share, and spectral norm."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.overrides import TorchFunctionMode

from pocketgan.core.spec import Spec

Norm = Literal["instance", "instance_affine", "batch"]
"""``instance``: no parameters, no statistics (as published); ``instance_affine``: with scale and shift; ``batch``: both."""
PlainNorm = Literal["batch_plain", "instance"]
"""Norms without parameters; ``batch_plain`` has running statistics."""


def make_norm(kind: Norm | PlainNorm, channels: int) -> nn.Module:
    """The normalization layer of that kind for N x ``channels`` x H x W."""
    if kind.startswith("batch"):
        return nn.BatchNorm2d(channels, affine=kind == "batch")
    return nn.InstanceNorm2d(channels, affine=kind == "instance_affine")


def needs_bias(kind: Norm) -> bool:
    """True if a convolution before that norm has a bias: before instance norm always, as published."""
    return kind != "batch"


def check_power_of_two(name: str, size: int, least: int) -> None:
    """Raise ``ValueError`` for a side that is no power of two from ``least`` on."""
    if size < least or size & (size - 1):
        raise ValueError(f"{name} size={size}: allowed are powers of two from {least}; scale the images to one of these")


def norm_of_constants(norm: nn.Module, constants: Tensor) -> Tensor:
    """Output of a norm for images with one constant a channel, C -> C.

    Always with the statistics of evaluation, which remain when the layers before the norm are dropped.
    """
    training = norm.training
    result = norm.eval()(constants[None, :, None, None].expand(1, -1, 2, 2))[0, :, 0, 0]
    norm.train(training)
    return result  # type: ignore[no-any-return]


class ConvNormAct(nn.Module):
    """Convolution, then (if given) norm, activation, dropout. The gate is after the norm, else after the convolution."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None = None, act: nn.Module | None = None, *, dropout: float = 0.0):
        super().__init__()
        self.conv, self.norm, self.act = conv, norm, act
        self.drop = nn.Dropout(dropout) if dropout else None
        self.GATES = {"conv" if norm is None else "norm": "conv"}

    def forward(self, x: Tensor, *style: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H' x W'; ``style`` are the further inputs of an adaptive norm."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x, *style)
        if self.act is not None:
            x = self.act(x)
        return x if self.drop is None else self.drop(x)

    def constant(self) -> Tensor:
        """The norm of the convolution's bias alone, C: the output once no input channel is left."""
        layer = self.conv.pointwise if isinstance(self.conv, SeparableConv2d) else self.conv
        assert isinstance(layer, nn.Conv2d)
        assert self.norm is not None
        bias = layer.weight.new_zeros(int(layer.out_channels)) if layer.bias is None else layer.bias
        return norm_of_constants(self.norm, bias)


class SeparableConv2d(nn.Sequential):
    """Depthwise and norm, then pointwise 1x1: the decomposed convolution of MobileNet in GAN Compression, section 3.2.

    N x in x H x W -> N x out x H x W.
    """

    GATES = {"norm": "depthwise"}  # noqa: RUF012

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: Norm, bias: bool, padding: str = "reflect", kernel: int = 3
    ):
        super().__init__()
        self.out_channels = out_channels
        options: dict[str, Any] = {"padding": kernel // 2, "padding_mode": padding, "groups": in_channels, "bias": bias}
        self.depthwise = nn.Conv2d(in_channels, in_channels, kernel, **options)
        self.norm = make_norm(norm, in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)


class Shift(nn.Module):
    """Constant for each channel, C x 1 x 1: the output of a removed branch."""

    AXES = {"value": ("out_channels",)}  # noqa: RUF012

    def __init__(self, channels: int, value: Tensor | None = None, *, gated: bool = True):
        super().__init__()
        self.GATES = {"": ""} if gated else {}
        self.out_channels = channels
        self.register_buffer("value", torch.zeros(channels) if value is None else value)
        self.value: Tensor

    def forward(self) -> Tensor:
        return self.value[:, None, None]


def spectral_(layer: nn.Module) -> None:
    """Divide the layer's weight by its largest singular value from now on (Miyato et al. 2018, eq. 8), in place."""
    if any(parameter.is_meta for parameter in layer.parameters()):
        with _WithoutIterations():
            spectral_norm(layer)
    else:
        spectral_norm(layer)


class _WithoutIterations(TorchFunctionMode):
    """Skip what the first power iterations compute on the meta device: nothing, but it imports torch's compiler (2 s)."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (torch.mv, torch.vdot):
            return args[0].new_empty(args[0].shape[: args[0].ndim - 1])
        skipped = (nn.functional.normalize, Tensor.normal_, Tensor.div)
        return args[0] if func in skipped else func(*args, **(kwargs or {}))


def plain(spec: Spec) -> Spec:
    """The same spec without spectral norm, for pruning and export."""
    changed: dict[str, Any] = {"spectral": False}
    return dataclasses.replace(spec, **changed) if getattr(spec, "spectral", False) else spec


def folded(model: nn.Module) -> nn.Module:
    """The network with spectral norm folded into its weights, equal to ``model`` in evaluation mode; ``model`` without one.

    Built anew: torch shares the class of a parametrized layer among its copies, so a single copy cannot drop the norm.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, Spec) or not getattr(spec, "spectral", False):
        return model
    bare, training = plain(spec).build(device="meta"), model.training
    if any(parameter.is_meta for parameter in model.parameters()):
        return bare.train(training)
    bare.to_empty(device="cpu")
    model.eval()
    with torch.no_grad():
        for name, tensor in bare.state_dict().items():
            path, _, leaf = name.rpartition(".")
            tensor.copy_(getattr(model.get_submodule(path), leaf))
    model.train(training)
    return bare.train(training)
