"""SAGAN: images out of random numbers, with self-attention in the generator and in the discriminator.

Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", without classes: the network of 64 x 64 faces that GCC
(Li et al. 2021) and DMAD compress.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.inputs import Input
from pocketgan.core.shape import Shape
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.attention import SelfAttention
from pocketgan.models.layers import Unit, make_norm
from pocketgan.models.spectral import spectral_


@dataclass(frozen=True, kw_only=True)
class AttentiveSpec(Spec):
    """What generator and discriminator share: one map of every side from 4 to half the image's, attention after some.

    Groups and layers have the same names: ``map4`` (the channels of that map), ``attention16`` (those of query and key), ...
    """

    size: int = 64
    """Side of the images, a power of two from 32."""
    attention: tuple[int, ...]
    """Sides of the maps that self-attention follows."""
    spectral: bool = False
    """Spectral norm on the layers that make the maps while they learn; artifacts have it folded into the weights."""

    def __post_init__(self) -> None:
        check_size(self.name, self.size)
        for side in self.attention:
            if side not in sides(self.size):
                allowed = ", ".join(map(str, sides(self.size)))
                raise ValueError(f"{self.name} attention={self.attention}: no map has side {side}; allowed are {allowed}")
        super().__post_init__()

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the maps, from input to output."""
        return sides(self.size)

    def groups(self) -> tuple[str, ...]:
        """From input to output."""
        return tuple(name for side in self.sides for name in self._layers(side))

    def _layers(self, side: int) -> list[str]:
        return [f"map{side}", *([f"attention{side}"] if side in self.attention else [])]

    @property
    def tied_groups(self) -> Mapping[str, str]:
        """Query and key have no norm: they stay in proportion to the map that they look at."""
        return {f"attention{side}": f"map{side}" for side in self.sides if side in self.attention}

    def init_(self, model: nn.Module) -> None:
        """Torch's own, as released."""

    def finish_(self, model: nn.Module) -> None:
        """Spectral norm, where it is asked for."""
        for side in self.sides if self.spectral else ():
            spectral_(model.get_submodule(f"map{side}.conv"))

    def add_layers_(self, model: nn.Module, units: Mapping[int, Unit]) -> None:
        """Put the maps' ``units`` and what attends to them into ``model``, in their order."""
        w = Widths(self.widths)
        for side, unit in units.items():
            model.add_module(f"map{side}", unit)
            if side in self.attention:
                model.add_module(f"attention{side}", SelfAttention(w[f"map{side}"], w[f"attention{side}"]))


def sides(size: int) -> tuple[int, ...]:
    """Of the maps of an image of that side, from 4 to its half."""
    return tuple(2**k for k in range(2, size.bit_length() - 1))


def check_size(name: str, size: int) -> None:
    """Raise ``ValueError`` for a side that is no power of two, or too small for two maps with attention."""
    if size < 32 or size & (size - 1):
        raise ValueError(f"{name} size={size}: allowed are powers of two from 32; scale the images to one of these")


@ARCHITECTURES.register("sagan")
@dataclass(frozen=True, kw_only=True)
class SaganSpec(AttentiveSpec):
    """Transposed 4x4 convolutions from numbers to an image; spectral norm on all but the last."""

    latent: int = 128
    """How many numbers an image is made of."""
    out_channels: int = 3

    name: ClassVar[str] = "sagan"

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"sagan latent={self.latent}: an image is made of one number at least; published: 128")
        super().__post_init__()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The numbers."""
        return (Input("input", self.latent, is_latent=True),)

    @property
    def output_shape(self) -> Shape:
        """As many layers as there are, as large is the image."""
        return self.size, self.size

    @property
    def taps(self) -> tuple[str, ...]:
        """GCC's: the second map, and the last one as attention leaves it."""
        return f"map{self.sides[1]}", self._layers(self.sides[-1])[-1]

    def module(self) -> nn.Module:
        """The network."""
        return SaganGenerator(self)


class SaganGenerator(nn.Module):
    """Numbers N x latent, standard normal -> N x out x size x size in [-1, 1]."""

    def __init__(self, spec: SaganSpec):
        super().__init__()
        w, units, previous = Widths(spec.widths), {}, spec.latent
        for side in spec.sides:
            own = w[f"map{side}"]
            # A norm takes a bias before it away again; the released network has one all the same.
            conv = nn.ConvTranspose2d(previous, own, 4, *((1, 0) if side == 4 else (2, 1)))
            units[side] = Unit(conv, make_norm("batch", own), nn.ReLU())
            previous = own
        spec.add_layers_(self, units)
        self.layer_names = spec.groups()
        self.head = nn.ConvTranspose2d(previous, spec.out_channels, 4, 2, 1)

    def forward(self, latent: Tensor) -> Tensor:
        """The images."""
        x = latent[:, :, None, None]
        for name in self.layer_names:  # not all children: a search hangs its own state beside them
            x = self.get_submodule(name)(x)
        return self.head(x).tanh()  # type: ignore[no-any-return]


@ARCHITECTURES.register("sagan-discriminator")
@dataclass(frozen=True, kw_only=True)
class SaganDiscriminatorSpec(AttentiveSpec):
    """Strided 4x4 convolutions down to one logit; spectral norm on all but the last, no other norm."""

    in_channels: int = 3

    name: ClassVar[str] = "sagan-discriminator"

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the maps, from input to output."""
        return sides(self.size)[::-1]

    @property
    def taps(self) -> tuple[str, ...]:
        """The second and the last hidden map, as of a PatchGAN, where there is attention as that leaves them."""
        return tuple(self._layers(side)[-1] for side in (self.sides[1], self.sides[-1]))

    def module(self) -> nn.Module:
        """The network."""
        return SaganDiscriminator(self)


class SaganDiscriminator(nn.Module):
    """N x in x H x W in [-1, 1] -> logits N x 1 x H' x W', of images of the spec's size one each."""

    def __init__(self, spec: SaganDiscriminatorSpec):
        super().__init__()
        w, units, previous = Widths(spec.widths), {}, spec.in_channels
        for side in spec.sides:
            own = w[f"map{side}"]
            units[side] = Unit(nn.Conv2d(previous, own, 4, 2, 1), None, nn.LeakyReLU(0.1))
            previous = own
        spec.add_layers_(self, units)
        self.layer_names = spec.groups()
        self.head = nn.Conv2d(previous, 1, 4)

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """The names of its layers from input to logits, scale by scale: there is one scale."""
        return ((*self.layer_names, "head"),)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        for name in self.layer_names:
            x = self.get_submodule(name)(x)
        return self.head(x)  # type: ignore[no-any-return]


def _widths(n: int, size: int, attention: tuple[int, ...]) -> dict[str, int]:
    """n at half the image's side, twice as many channels at each half of that; an eighth of them for query and key."""
    maps = {side: n * size // (2 * side) for side in sides(size)}
    return {f"map{side}": width for side, width in maps.items()} | {
        f"attention{side}": max(1, maps[side] // 8) for side in attention if side in maps
    }


@MODELS.register("sagan")
def sagan(
    ngf: int = 64,
    size: int = 64,
    latent: int = 128,
    out_channels: int = 3,
    attention: tuple[int, ...] | None = None,
    spectral: bool = True,
) -> SaganSpec:
    """The published generator: 8 ngf down to ngf at 64 x 64; attention after the last two maps, or those of other sides."""
    check_size("sagan", size)
    chosen = sides(size)[-2:] if attention is None else tuple(attention)
    widths = _widths(ngf, size, chosen)
    return SaganSpec(widths=widths, size=size, latent=latent, out_channels=out_channels, attention=chosen, spectral=spectral)


@MODELS.register("sagan-discriminator")
def sagan_discriminator(
    ndf: int = 64,
    size: int = 64,
    in_channels: int = 3,
    attention: tuple[int, ...] | None = None,
    spectral: bool = True,
) -> SaganDiscriminatorSpec:
    """The published discriminator: ndf up to 8 ndf at 64 x 64; attention after the last two maps, or those of other sides."""
    check_size("sagan-discriminator", size)
    chosen = sides(size)[:2] if attention is None else tuple(attention)
    widths = _widths(ndf, size, chosen)
    return SaganDiscriminatorSpec(widths=widths, size=size, in_channels=in_channels, attention=chosen, spectral=spectral)
