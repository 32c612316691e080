"""SAGAN: unconditional generator and discriminator with self-attention.

Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", without classes: the network of 64 x 64 faces that GCC
(Li et al. 2021) and DMAD compress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.inputs import Input, Shape
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.discriminators import Discriminator
from pocketgan.models.layers import ConvNormAct, check_power_of_two, make_norm, spectral_
from pocketgan.utils.registry import check_at_least

LEAST_SIZE = 32
"""Smallest side of images: two maps with attention."""


class SelfAttention(nn.Module):
    """``gamma o + x``: each pixel adds a weighted mean over all pixels (Zhang et al. 2019, eqs. 1 to 3).

    As in the released PyTorch networks, the values have all channels at once, where eq. 2 goes through fewer and back.
    ``gamma`` starts at 0. Query and key share one width; the values belong to the group of ``x``.
    """

    AXES = {"gamma": (None,)}  # noqa: RUF012
    GATES = {"query": "query", "key": "key", "value": "value"}  # noqa: RUF012
    QK_PAIRS = {"query": "key"}  # noqa: RUF012

    def __init__(self, channels: int, key_channels: int):
        super().__init__()
        self.query = nn.Conv2d(channels, key_channels, 1)
        self.key = nn.Conv2d(channels, key_channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x H x W -> the same shape."""
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        attention = (query.transpose(1, 2) @ key).softmax(-1)  # N x pixels (queries) x pixels (keys)
        return x + self.gamma * (value @ attention.transpose(1, 2)).view_as(x)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class AttentiveSpec(Spec):
    """Base of generator and discriminator: one map of every side from 4 to half the image's, attention after some.

    Groups and layers have the same names: ``map4`` (the channels of that map), ``attention16`` (those of query and key), ...
    """

    size: int = 64
    """Side of the images, a power of two from 32."""
    attention: tuple[int, ...]
    """Sides of the maps followed by self-attention."""
    spectral: bool = False
    """Spectral norm on the maps' layers during training; folded into the weights of artifacts."""

    def __post_init__(self) -> None:
        check_power_of_two(self.name, self.size, LEAST_SIZE)
        for side in self.attention:
            if side not in sides(self.size):
                allowed = ", ".join(map(str, sides(self.size)))
                raise ValueError(f"{self.name} attention={self.attention}: no map has side {side}; allowed are {allowed}")
        super().__post_init__()

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the maps, from input to output."""
        return sides(self.size)

    def groups(self) -> tuple[str, ...]:
        return tuple(name for side in self.sides for name in self._layers(side))

    def _layers(self, side: int) -> list[str]:
        return [f"map{side}", *([f"attention{side}"] if side in self.attention else [])]

    @property
    def tied_groups(self) -> Mapping[str, str]:
        """Query and key have no norm: their width stays in proportion to that of the map."""
        return {f"attention{side}": f"map{side}" for side in self.sides if side in self.attention}

    def init_(self, model: nn.Module) -> None:
        """Keep torch's own initial weights, as released."""

    def finish_(self, model: nn.Module) -> None:
        for side in self.sides if self.spectral else ():
            spectral_(model.get_submodule(f"map{side}.conv"))

    def add_layers_(self, model: nn.Module, width: int, unit: Callable[[int, int, int], ConvNormAct]) -> int:
        """Add the maps' layers and the attention after them to ``model``, in order; returns the last width.

        ``width`` is that of the input; ``unit`` makes a layer from side, input and output channels.
        """
        w = Widths(self.widths)
        for side in self.sides:
            model.add_module(f"map{side}", unit(side, width, w[f"map{side}"]))
            width = w[f"map{side}"]
            if side in self.attention:
                model.add_module(f"attention{side}", SelfAttention(width, w[f"attention{side}"]))
        return width


def sides(size: int) -> tuple[int, ...]:
    """Sides of the maps of an image of that side, from 4 to half of it."""
    return tuple(2**k for k in range(2, size.bit_length() - 1))


@ARCHITECTURES.register("sagan")
@dataclass(frozen=True, kw_only=True)
class SaganSpec(AttentiveSpec):
    """Transposed 4x4 convolutions from a latent to an image; spectral norm on all but the last."""

    latent: int = 128
    """Length of the latent."""
    out_channels: int = 3

    name: ClassVar[str] = "sagan"

    def __post_init__(self) -> None:
        check_at_least(self, self.name, latent=1)
        super().__post_init__()

    @property
    def inputs(self) -> tuple[Input, ...]:
        return (Input("input", self.latent, is_latent=True),)

    @property
    def output_shape(self) -> Shape:
        return self.size, self.size

    @property
    def taps(self) -> tuple[str, ...]:
        """GCC's: the second map, and the last one after its attention."""
        return f"map{self.sides[1]}", self._layers(self.sides[-1])[-1]

    def module(self) -> nn.Module:
        return SaganGenerator(self)


class SaganGenerator(nn.Module):
    """Latents N x latent, standard normal -> N x out x size x size in [-1, 1]."""

    def __init__(self, spec: SaganSpec):
        super().__init__()

        def unit(side: int, start: int, end: int) -> ConvNormAct:
            # The norm subtracts this bias again; the released network has one all the same.
            conv = nn.ConvTranspose2d(start, end, 4, *((1, 0) if side == 4 else (2, 1)))
            return ConvNormAct(conv, make_norm("batch", end), nn.ReLU())

        last = spec.add_layers_(self, spec.latent, unit)
        self.layer_names = spec.groups()
        self.head = nn.ConvTranspose2d(last, spec.out_channels, 4, 2, 1)

    def forward(self, latent: Tensor) -> Tensor:
        x = latent[:, :, None, None]
        for name in self.layer_names:  # not all children: a search adds its own state to them
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
        return sides(self.size)[::-1]

    @property
    def taps(self) -> tuple[str, ...]:
        """The second and the last hidden map, as in a PatchGAN, after their attention if any."""
        return tuple(self._layers(side)[-1] for side in (self.sides[1], self.sides[-1]))

    def module(self) -> nn.Module:
        """N x in x H x W in [-1, 1] -> logits N x 1 x H' x W'; one logit for an image of the spec's size."""
        model = Discriminator()
        last = self.add_layers_(
            model, self.in_channels, lambda _, start, end: ConvNormAct(nn.Conv2d(start, end, 4, 2, 1), None, nn.LeakyReLU(0.1))
        )
        model.head = nn.Conv2d(last, 1, 4)
        return model


def _widths(n: int, size: int, attention: tuple[int, ...]) -> dict[str, int]:
    """n channels at half the image's side, doubled at each halving; an eighth of them for query and key."""
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
    chosen = sides(size)[:2] if attention is None else tuple(attention)
    widths = _widths(ndf, size, chosen)
    return SaganDiscriminatorSpec(widths=widths, size=size, in_channels=in_channels, attention=chosen, spectral=spectral)
