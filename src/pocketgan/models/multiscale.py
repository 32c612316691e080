"""Discriminators of several scales, each at half the resolution of the one before: GauGAN's (from pix2pixHD) and MUNIT's."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec, init_weights_
from pocketgan.models.discriminators import Discriminator
from pocketgan.models.layers import Norm, Unit, make_norm
from pocketgan.models.spectral import spectral_


@dataclass(frozen=True, kw_only=True)
class ScalesSpec(Spec):
    """``scales`` discriminators of ``layers`` hidden layers each. Groups: ``scale0_conv1`` ..."""

    scales: int
    layers: int = 4
    in_channels: int

    def __post_init__(self) -> None:
        for field in ("scales", "layers"):
            if getattr(self, field) < 1:
                raise ValueError(f"{self.name} {field}={getattr(self, field)}: the least is 1")
        super().__post_init__()

    def groups(self) -> tuple[str, ...]:
        """Scale by scale, from input to output."""
        return tuple(f"scale{k}_conv{j}" for k in range(self.scales) for j in range(1, self.layers + 1))

    @property
    def taps(self) -> tuple[str, ...]:
        """The second and the last hidden activation of the finest scale, as of a PatchGAN."""
        return tuple(dict.fromkeys(f"scale0.conv{j}" for j in (min(2, self.layers), self.layers)))

    @abstractmethod
    def unit(self, i: int, o: int, j: int) -> Unit:
        """Hidden layer ``j`` (from 1) of a scale."""

    @abstractmethod
    def head(self, i: int) -> nn.Module:
        """The layer that gives the logits of a scale."""

    def module(self) -> nn.Module:
        """The network."""
        w = Widths(self.widths)
        return Multiscale([self._scale(w, k) for k in range(self.scales)])

    def _scale(self, w: Widths, k: int) -> Discriminator:
        units, previous = [], self.in_channels
        for j in range(1, self.layers + 1):
            own = w[f"scale{k}_conv{j}"]
            units.append(self.unit(previous, own, j))
            previous = own
        return Discriminator(units, self.head(previous))


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
        """Spectral norm, where it is asked for."""
        for scale in model.children() if self.spectral else ():
            for unit in list(scale.children())[1:-1]:
                spectral_(unit.get_submodule("conv"))

    def unit(self, i: int, o: int, j: int) -> Unit:
        """A norm takes a bias before it away again, so the released code has none there."""
        first = j == 1
        conv = nn.Conv2d(i, o, 4, 2 if j < self.layers else 1, 2, bias=first)
        return Unit(conv, None if first else make_norm(self.norm, o), nn.LeakyReLU(0.2))

    def head(self, i: int) -> nn.Module:
        """As wide as the others."""
        return nn.Conv2d(i, 1, 4, 1, 2)


@ARCHITECTURES.register("ms-image")
@dataclass(frozen=True, kw_only=True)
class MsImageSpec(ScalesSpec):
    """``layers`` strided 4x4 convolutions a scale, without norms, and one logit a place (MUNIT, section 5.1 and appendix B)."""

    scales: int = 3
    in_channels: int = 3

    name: ClassVar[str] = "ms-image"

    def unit(self, i: int, o: int, j: int) -> Unit:
        """All of them alike."""
        return Unit(nn.Conv2d(i, o, 4, 2, 1, padding_mode="reflect"), None, nn.LeakyReLU(0.2))

    def head(self, i: int) -> nn.Module:
        """1x1."""
        return nn.Conv2d(i, 1, 1)


class Multiscale(nn.Module):
    """N x in x H x W -> logits of every scale, N x 1 x H' x W' each, the finest first."""

    def __init__(self, scales: list[Discriminator]):
        super().__init__()
        for k, scale in enumerate(scales):
            self.add_module(f"scale{k}", scale)

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """The names of its layers from input to logits, scale by scale."""
        return tuple(tuple(f"{name}.{layer}" for layer, _ in scale.named_children()) for name, scale in self.named_children())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The logits."""
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
