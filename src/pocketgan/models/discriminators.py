"""Convolutional discriminators: PatchGAN and pixel (pix2pix, CycleGAN), multiscale (GauGAN, from pix2pixHD; MUNIT).

Each scale of a multiscale discriminator works at half the resolution of the one before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec, init_weights_
from pocketgan.models.layers import ConvNormAct, Norm, make_norm, needs_bias, spectral_
from pocketgan.utils.registry import check_at_least


@ARCHITECTURES.register("patchgan")
@dataclass(frozen=True, kw_only=True)
class PatchSpec(Spec):
    """``layers`` strided 4x4 convolutions, one more of stride 1, one logit a patch (pix2pix, 6.1.2). Groups: ``conv1`` ..."""

    layers: int = 3
    in_channels: int = 3
    norm: Norm = "instance"

    name: ClassVar[str] = "patchgan"

    def groups(self) -> tuple[str, ...]:
        return tuple(f"conv{k}" for k in range(1, self.layers + 2))

    @property
    def taps(self) -> tuple[str, ...]:
        """The second and the last hidden activation, those that DMAD compares."""
        return tuple(dict.fromkeys((f"conv{min(2, self.layers + 1)}", f"conv{self.layers + 1}")))

    def module(self) -> nn.Module:
        units, ends = [], (self.in_channels, *Widths(self.widths).values())
        for k, (start, end) in enumerate(pairwise(ends), 1):
            conv = nn.Conv2d(start, end, 4, 2 if k <= self.layers else 1, 1, bias=needs_bias(self.norm) or k == 1)
            units.append(ConvNormAct(conv, make_norm(self.norm, end) if k > 1 else None, nn.LeakyReLU(0.2)))
        return Discriminator.of(units, nn.Conv2d(ends[-1], 1, 4, 1, 1))


@ARCHITECTURES.register("pixel")
@dataclass(frozen=True, kw_only=True)
class PixelSpec(Spec):
    """1x1 convolutions: one logit a pixel (pix2pix, 6.1.2). Groups: ``conv1``, ``conv2``."""

    in_channels: int = 3
    norm: Norm = "instance"

    name: ClassVar[str] = "pixel"

    def groups(self) -> tuple[str, ...]:
        return ("conv1", "conv2")

    @property
    def taps(self) -> tuple[str, ...]:
        return ("conv2",)

    def module(self) -> nn.Module:
        w, bias = Widths(self.widths), needs_bias(self.norm)
        first = ConvNormAct(nn.Conv2d(self.in_channels, w.conv1, 1), None, nn.LeakyReLU(0.2))
        second = ConvNormAct(nn.Conv2d(w.conv1, w.conv2, 1, bias=bias), make_norm(self.norm, w.conv2), nn.LeakyReLU(0.2))
        return Discriminator.of([first, second], nn.Conv2d(w.conv2, 1, 1, bias=bias))


class Discriminator(nn.Sequential):
    """N x in x H x W in [-1, 1] -> N x 1 x H' x W' logits; a conditional one takes input and image, concatenated."""

    @classmethod
    def of(cls, units: Sequence[nn.Module], head: nn.Module) -> Discriminator:
        """Discriminator of the layers ``conv1`` ... and ``head``."""
        return cls(OrderedDict({f"conv{k}": unit for k, unit in enumerate(units, 1)} | {"head": head}))

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """Names of the layers with parameters from input to logits, in one tuple for the only scale."""
        return (tuple(name for name, layer in self.named_children() if any(True for _ in layer.parameters())),)


@MODELS.register("patchgan")
def patchgan(ndf: int = 64, layers: int = 3, norm: Norm = "instance", in_channels: int = 3) -> PatchSpec:
    """The published discriminator: widths ndf doubling up to 8 ndf; 3 layers give patches of 70 x 70 pixels."""
    widths = {f"conv{k + 1}": ndf * min(2**k, 8) for k in range(layers + 1)}
    return PatchSpec(widths=widths, layers=layers, norm=norm, in_channels=in_channels)


@MODELS.register("pixel")
def pixel(ndf: int = 64, norm: Norm = "instance", in_channels: int = 3) -> PixelSpec:
    """The published pixel discriminator: widths ndf, 2 ndf."""
    return PixelSpec(widths={"conv1": ndf, "conv2": 2 * ndf}, norm=norm, in_channels=in_channels)


@dataclass(frozen=True, kw_only=True)
class ScalesSpec(Spec):
    """``scales`` discriminators of ``layers`` hidden layers each. Groups: ``scale0_conv1`` ..."""

    scales: int
    layers: int = 4
    in_channels: int

    def __post_init__(self) -> None:
        check_at_least(self, self.name, scales=1, layers=1)
        super().__post_init__()

    def groups(self) -> tuple[str, ...]:
        return tuple(f"scale{k}_conv{j}" for k in range(self.scales) for j in range(1, self.layers + 1))

    @property
    def taps(self) -> tuple[str, ...]:
        """The second and the last hidden activation of the finest scale, as in a PatchGAN."""
        return tuple(dict.fromkeys(f"scale0.conv{j}" for j in (min(2, self.layers), self.layers)))

    @abstractmethod
    def unit(self, in_channels: int, out_channels: int, index: int) -> ConvNormAct:
        """Hidden layer ``index`` (from 1) of a scale."""

    @abstractmethod
    def head(self, in_channels: int) -> nn.Module:
        """Last layer of a scale, for the logits."""

    def module(self) -> nn.Module:
        w, scales = Widths(self.widths), []
        for k in range(self.scales):
            ends = (self.in_channels, *(w[f"scale{k}_conv{j}"] for j in range(1, self.layers + 1)))
            units = [self.unit(start, end, j) for j, (start, end) in enumerate(pairwise(ends), 1)]
            scales.append(Discriminator.of(units, self.head(ends[-1])))
        return Multiscale(scales)


@ARCHITECTURES.register("multiscale")
@dataclass(frozen=True, kw_only=True)
class MultiscaleSpec(ScalesSpec):
    """``layers`` 4x4 convolutions a scale, all but the last strided, and one for the logits (SPADE, appendix A)."""

    scales: int = 2
    in_channels: int = 39
    norm: Norm = "instance"
    spectral: bool = True
    """Spectral norm on the convolutions between the first and the logits."""

    name: ClassVar[str] = "multiscale"

    def init_(self, model: nn.Module) -> None:
        """Xavier with a gain of 0.02, as published for GauGAN."""
        init_weights_(model, convolution=lambda weight: nn.init.xavier_normal_(weight, 0.02))

    def finish_(self, model: nn.Module) -> None:
        for scale in model.children() if self.spectral else ():
            for unit in list(scale.children())[1:-1]:
                spectral_(unit.get_submodule("conv"))

    def unit(self, in_channels: int, out_channels: int, index: int) -> ConvNormAct:
        # A norm would subtract a bias again, so the released code has none before norms.
        first = index == 1
        conv = nn.Conv2d(in_channels, out_channels, 4, 2 if index < self.layers else 1, 2, bias=first)
        return ConvNormAct(conv, None if first else make_norm(self.norm, out_channels), nn.LeakyReLU(0.2))

    def head(self, in_channels: int) -> nn.Module:
        return nn.Conv2d(in_channels, 1, 4, 1, 2)


@ARCHITECTURES.register("ms-image")
@dataclass(frozen=True, kw_only=True)
class MsImageSpec(ScalesSpec):
    """``layers`` strided 4x4 convolutions a scale without norms, one of 1x1 for the logits (MUNIT, appendix B)."""

    scales: int = 3
    in_channels: int = 3

    name: ClassVar[str] = "ms-image"

    def unit(self, in_channels: int, out_channels: int, index: int) -> ConvNormAct:
        return ConvNormAct(nn.Conv2d(in_channels, out_channels, 4, 2, 1, padding_mode="reflect"), None, nn.LeakyReLU(0.2))

    def head(self, in_channels: int) -> nn.Module:
        return nn.Conv2d(in_channels, 1, 1)


class Multiscale(nn.Module):
    """N x in x H x W -> logits of every scale, N x 1 x H' x W' each, the finest first."""

    def __init__(self, scales: list[Discriminator]):
        super().__init__()
        for k, scale in enumerate(scales):
            self.add_module(f"scale{k}", scale)

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """Names of the layers from input to logits, scale by scale."""
        return tuple(tuple(f"{name}.{layer}" for layer, _ in scale.named_children()) for name, scale in self.named_children())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        logits = []
        for k, scale in enumerate(self.children()):
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False) if k else x
            logits.append(scale(x))
        return tuple(logits)


@MODELS.register("multiscale")
def multiscale(
    ndf: int = 64,
    scales: int = 2,
    layers: int = 4,
    norm: Norm = "instance",
    in_channels: int = 39,
    spectral: bool = True,
) -> MultiscaleSpec:
    """The published discriminator: widths ndf doubling up to 8 ndf, at two resolutions, spectral and instance norm."""
    return MultiscaleSpec(
        widths=_widths(ndf, scales, layers), scales=scales, layers=layers, norm=norm, in_channels=in_channels, spectral=spectral
    )


@MODELS.register("ms-image")
def ms_image(ndf: int = 64, scales: int = 3, layers: int = 4, in_channels: int = 3) -> MsImageSpec:
    """MUNIT's discriminator: widths ndf doubling up to 8 ndf, at three resolutions, no norm."""
    return MsImageSpec(widths=_widths(ndf, scales, layers), scales=scales, layers=layers, in_channels=in_channels)


def _widths(ndf: int, scales: int, layers: int) -> dict[str, int]:
    return {f"scale{k}_conv{j + 1}": ndf * min(2**j, 8) for k in range(scales) for j in range(layers)}
