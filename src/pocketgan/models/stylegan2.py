"""StyleGAN2's generator: a mapping network from latents to styles, and a synthesis network from styles to images.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"; mapping network and truncation of Karras et al.
2019, "A Style-Based Generator Architecture". Sizes and widths as in the released stylegan2-ada-pytorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim, Widths
from pocketgan.core.inputs import Input, Shape
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.layers import check_power_of_two
from pocketgan.models.stylegan2_layers import (
    ConstantInput,
    DenseLayer,
    ModulatedConv2d,
    StyledConv,
    SynthesisBlock,
    Upsample,
)
from pocketgan.utils.registry import check_at_least

Output = Literal["skip", "residual"]
"""Connections to the image: each size adds to the image (figure 7b), or each block to its features (figure 7c)."""

MAPPING_RATE = 0.01
"""Learning rate of the mapping network, relative to the rest (StyleGAN, appendix C)."""


def channels_at(size: int, base: int, most: int) -> int:
    """Published width at a size: ``base / size``, at most ``most``."""
    return min(base // size, most)


@ARCHITECTURES.register("stylegan2")
@dataclass(frozen=True, kw_only=True)
class StyleGan2Spec(Spec):
    """Groups: ``map1`` ... and ``style`` (the mapping network), ``const``, ``b4``, then a size ``b8_hidden``, ``b8`` ..."""

    size: int = 256
    """Height and width of the images: a power of two."""
    latent: int = 512
    """Length of the latent."""
    mapping: int = 8
    """Layers of the mapping network."""
    output: Output = "skip"

    name: ClassVar[str] = "stylegan2"

    def __post_init__(self) -> None:
        check_power_of_two(self.name, self.size, 8)
        check_at_least(self, self.name, latent=1, mapping=1)
        super().__post_init__()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Heights of the blocks' maps, from 4 to the image's."""
        return tuple(2**k for k in range(2, self.size.bit_length()))

    def groups(self) -> tuple[str, ...]:
        mapped = [f"map{k}" for k in range(1, self.mapping)]
        return (*mapped, "style", "const", "b4", *(f"b{size}{part}" for size in self.sizes[1:] for part in ("_hidden", "")))

    @property
    def taps(self) -> tuple[str, ...]:
        return tuple(f"b{size}" for size in self.sizes)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The latent, and the noise of all layers in one vector, the smallest map first."""
        noise = sum(size**2 for size in noise_sizes(self.sizes))
        return Input("input", self.latent, is_latent=True), Input("noise", noise, is_latent=True, optional=True)

    @property
    def output_shape(self) -> Shape:
        return self.size, self.size

    def init_(self, model: nn.Module) -> None:
        """Keep the layers' unit normal weights, which their gains scale."""

    def module(self) -> nn.Module:
        return StyleGan2(self)


def noise_sizes(sizes: Sequence[int]) -> list[int]:
    """Side of each layer's noise map: one layer at 4 x 4, two at every other size."""
    return [sizes[0], *(size for size in sizes[1:] for _ in range(2))]


class StyleGan2(nn.Module):
    """N x latent, standard normal -> N x 3 x size x size, about [-1, 1] and not clamped.

    ``w_avg`` is the average style for `truncated`, updated by the training.
    """

    stride = 1
    AXES = {"w_avg": ("in_style",)}  # noqa: RUF012

    def __init__(self, spec: StyleGan2Spec):
        super().__init__()
        w = Widths(spec.widths)
        self.sizes, self.skips, self.num_style_layers = spec.sizes, spec.output == "skip", 2 * len(spec.sizes)
        self.in_style: Dim = w.style
        self.register_buffer("w_avg", torch.zeros(w.style))
        self.w_avg: Tensor
        mapped = (spec.latent, *(w[f"map{k}"] for k in range(1, spec.mapping)), w.style)
        self.mapper = nn.Sequential(*(DenseLayer(start, end, rate=MAPPING_RATE) for start, end in pairwise(mapped)))
        self.const = ConstantInput(w.const)
        self.b4 = StyledConv(w.style, w.const, w.b4, 4)
        for small, size in pairwise(spec.sizes):
            widths = (w[f"b{small}"], w[f"b{size}_hidden"], w[f"b{size}"])
            self.add_module(f"b{size}", SynthesisBlock(w.style, *widths, size, residual=not self.skips))
        for size in spec.sizes if self.skips else spec.sizes[-1:]:
            self.add_module(f"rgb{size}", ModulatedConv2d(w.style, w[f"b{size}"], 3, 1, demodulate=False))
        self.up = Upsample() if self.skips else None

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents N x latent and noise N x k -> images, not truncated; without ``noise`` with the layers' fixed noise."""
        return self.synthesis(self.mapping(z), noise)

    def mapping(self, z: Tensor) -> Tensor:
        """N x latent -> style, N x width; latents are normalized, so their norm does not matter."""
        style: Tensor = self.mapper(z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt())
        return style

    def truncated(self, w: Tensor, psi: float) -> Tensor:
        """Truncated styles ``w_avg + psi (w - w_avg)`` (StyleGAN, appendix B), N x width; psi = 1 changes nothing."""
        return self.w_avg.lerp(w, psi)

    def synthesis(self, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """Styles by image (N x width) or by layer (N x `num_style_layers` x width) -> N x 3 x size x size.

        ``noise``: N x k, standard normal, of all layers in one vector. Raises ``ValueError`` for another number of styles.
        """
        styles = self._by_layer(w).unbind(1)
        noises = self._noises(noise)
        x = self.b4(self.const(w.shape[0]), styles[0], noises[0])
        image = self._add_rgb(None, x, 4, styles[1])
        for k, size in enumerate(self.sizes[1:]):
            # The RGB layer of a size and the first layer of the next size share a style, as published.
            x = self.get_submodule(f"b{size}")(x, styles[2 * k + 1 : 2 * k + 3], noises[2 * k + 1 : 2 * k + 3])
            image = self._add_rgb(image, x, size, styles[2 * k + 3])
        assert image is not None
        return image

    def _add_rgb(self, image: Tensor | None, x: Tensor, size: int, style: Tensor) -> Tensor | None:
        """The upsampled image plus the RGB output of this size; without skips, the last size's RGB output alone."""
        if not self.skips and size < self.sizes[-1]:
            return None
        rgb: Tensor = self.get_submodule(f"rgb{size}")(x, style)
        return rgb if image is None or self.up is None else self.up(image) + rgb

    def _by_layer(self, w: Tensor) -> Tensor:
        if w.ndim == 2:
            return w[:, None].expand(-1, self.num_style_layers, -1)
        if w.shape[1] != self.num_style_layers:
            raise ValueError(f"{w.shape[1]} styles an image: give one, or one for each of {self.num_style_layers} layers")
        return w

    def _noises(self, noise: Tensor | None) -> Sequence[Tensor | None]:
        sizes = noise_sizes(self.sizes)
        if noise is None:
            return [None] * len(sizes)
        parts = torch.split(noise, [size**2 for size in sizes], 1)
        return [part.reshape(-1, 1, size, size) for size, part in zip(sizes, parts, strict=True)]


@MODELS.register("stylegan2")
def stylegan2(
    size: int = 256,
    channel_base: int = 16384,
    channel_max: int = 512,
    latent: int = 512,
    style: int = 512,
    mapping: int = 8,
    output: Output = "skip",
) -> StyleGan2Spec:
    """The published generator: ``channel_base / size`` channels at a size, at most ``channel_max``.

    The defaults are ``paper256`` of stylegan2-ada-pytorch; config F of the paper is ``channel_base=32768``, ``cifar`` is
    ``size=32, channel_base=32768, mapping=2``.
    """
    widths = {f"map{k}": style for k in range(1, mapping)} | {"style": style}
    first = channels_at(4, channel_base, channel_max)
    widths |= {"const": first, "b4": first}
    for side in (2**k for k in range(3, size.bit_length())):
        widths |= dict.fromkeys((f"b{side}_hidden", f"b{side}"), channels_at(side, channel_base, channel_max))
    return StyleGan2Spec(widths=widths, size=size, latent=latent, mapping=mapping, output=output)
