"""PatchGAN and pixel discriminators of pix2pix and CycleGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.layers import Norm, Unit, make_norm, needs_bias


@ARCHITECTURES.register("patchgan")
@dataclass(frozen=True, kw_only=True)
class PatchSpec(Spec):
    """``layers`` strided 4x4 convolutions, one more of stride 1, one logit a patch (pix2pix, 6.1.2). Groups: ``conv1`` ..."""

    layers: int = 3
    in_channels: int = 3
    norm: Norm = "instance"

    name: ClassVar[str] = "patchgan"

    def groups(self) -> tuple[str, ...]:
        """From input to output."""
        return tuple(f"conv{k}" for k in range(1, self.layers + 2))

    @property
    def taps(self) -> tuple[str, ...]:
        """The second and the last hidden activation: the maps that DMAD attends to and compares."""
        return tuple(dict.fromkeys((f"conv{min(2, self.layers + 1)}", f"conv{self.layers + 1}")))

    def module(self) -> nn.Module:
        """The network."""
        w, bias = Widths(self.widths), needs_bias(self.norm)
        units, previous = [], self.in_channels
        for k, group in enumerate(self.groups(), 1):
            stride = 2 if k <= self.layers else 1
            conv = nn.Conv2d(previous, w[group], 4, stride, 1, bias=bias or k == 1)
            units.append(Unit(conv, make_norm(self.norm, w[group]) if k > 1 else None, nn.LeakyReLU(0.2)))
            previous = w[group]
        return Discriminator(units, nn.Conv2d(previous, 1, 4, 1, 1))


@ARCHITECTURES.register("pixel")
@dataclass(frozen=True, kw_only=True)
class PixelSpec(Spec):
    """1x1 convolutions: one logit a pixel (pix2pix, 6.1.2). Groups: ``conv1``, ``conv2``."""

    in_channels: int = 3
    norm: Norm = "instance"

    name: ClassVar[str] = "pixel"

    def groups(self) -> tuple[str, ...]:
        """From input to output."""
        return ("conv1", "conv2")

    @property
    def taps(self) -> tuple[str, ...]:
        """The last hidden activation."""
        return ("conv2",)

    def module(self) -> nn.Module:
        """The network."""
        w, bias = Widths(self.widths), needs_bias(self.norm)
        first = Unit(nn.Conv2d(self.in_channels, w.conv1, 1), None, nn.LeakyReLU(0.2))
        second = Unit(nn.Conv2d(w.conv1, w.conv2, 1, bias=bias), make_norm(self.norm, w.conv2), nn.LeakyReLU(0.2))
        return Discriminator([first, second], nn.Conv2d(w.conv2, 1, 1, bias=bias))


class Discriminator(nn.Module):
    """N x in x H x W in [-1, 1] -> N x 1 x H' x W' logits; a conditional one takes source and image, concatenated."""

    def __init__(self, units: list[Unit], head: nn.Module):
        super().__init__()
        for k, unit in enumerate(units, 1):
            self.add_module(f"conv{k}", unit)
        self.head = head

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """The names of its layers from input to logits, scale by scale: there is one scale."""
        return (tuple(name for name, _ in self.named_children()),)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        for layer in self.children():
            x = layer(x)
        return x


@MODELS.register("patchgan")
def patchgan(ndf: int = 64, layers: int = 3, norm: Norm = "instance", in_channels: int = 3) -> PatchSpec:
    """The published discriminator: widths ndf doubling up to 8 ndf; 3 layers see patches of 70 x 70 pixels."""
    widths = {f"conv{k + 1}": ndf * min(2**k, 8) for k in range(layers + 1)}
    return PatchSpec(widths=widths, layers=layers, norm=norm, in_channels=in_channels)


@MODELS.register("pixel")
def pixel(ndf: int = 64, norm: Norm = "instance", in_channels: int = 3) -> PixelSpec:
    """The published pixel discriminator: widths ndf, 2 ndf."""
    return PixelSpec(widths={"conv1": ndf, "conv2": 2 * ndf}, norm=norm, in_channels=in_channels)
