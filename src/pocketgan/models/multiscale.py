"""The discriminator of pix2pixHD and GauGAN: several PatchGANs, each at half the resolution of the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec, init_weights_
from pocketgan.models.discriminators import Discriminator
from pocketgan.models.layers import Norm, Unit, make_norm
from pocketgan.models.spectral import spectral_


@ARCHITECTURES.register("multiscale")
@dataclass(frozen=True, kw_only=True)
class MultiscaleSpec(Spec):
    """``scales`` times ``layers`` 4x4 convolutions (all but the last strided) and one for the logits (SPADE, appendix A).

    Groups: ``scale0_conv1`` ...
    """

    scales: int = 2
    layers: int = 4
    in_channels: int = 39
    norm: Norm = "instance"
    spectral: bool = True
    """Spectral norm on the convolutions between the first and the logits."""

    name: ClassVar[str] = "multiscale"

    def __post_init__(self) -> None:
        for field in ("scales", "layers"):
            if getattr(self, field) < 1:
                raise ValueError(f"multiscale {field}={getattr(self, field)}: the least is 1")
        super().__post_init__()

    def groups(self) -> tuple[str, ...]:
        """Scale by scale, from input to output."""
        return tuple(f"scale{k}_conv{j}" for k in range(self.scales) for j in range(1, self.layers + 1))

    @property
    def taps(self) -> tuple[str, ...]:
        """The second and the last hidden activation of the finest scale, as of a PatchGAN."""
        return tuple(dict.fromkeys(f"scale0.conv{j}" for j in (min(2, self.layers), self.layers)))

    def init_(self, model: nn.Module) -> None:
        """Xavier with a gain of 0.02, as published for GauGAN."""
        init_weights_(model, convolution=lambda weight: nn.init.xavier_normal_(weight, 0.02))

    def finish_(self, model: nn.Module) -> None:
        """Spectral norm, where it is asked for."""
        for scale in model.children() if self.spectral else ():
            for unit in list(scale.children())[1:-1]:
                spectral_(unit.get_submodule("conv"))

    def module(self) -> nn.Module:
        """The network."""
        w = Widths(self.widths)
        return Multiscale([self._scale(w, k) for k in range(self.scales)])

    def _scale(self, w: Widths, k: int) -> Discriminator:
        units, previous = [], self.in_channels
        for j in range(1, self.layers + 1):
            own, first = w[f"scale{k}_conv{j}"], j == 1
            # A norm takes a bias before it away again, so the released code has none there.
            conv = nn.Conv2d(previous, own, 4, 2 if j < self.layers else 1, 2, bias=first)
            units.append(Unit(conv, None if first else make_norm(self.norm, own), nn.LeakyReLU(0.2)))
            previous = own
        return Discriminator(units, nn.Conv2d(previous, 1, 4, 1, 2))


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
    widths = {f"scale{k}_conv{j + 1}": ndf * min(2**j, 8) for k in range(scales) for j in range(layers)}
    return MultiscaleSpec(widths=widths, scales=scales, layers=layers, norm=norm, in_channels=in_channels, spectral=spectral)
