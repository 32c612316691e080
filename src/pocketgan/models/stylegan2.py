"""StyleGAN2's generator: numbers drawn at random become a style, and the style, layer by layer, an image.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"; mapping network and truncation of Karras et al.
2019, "A Style-Based Generator Architecture". Sizes and widths as in the released stylegan2-ada-pytorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pocketgan.core.dims import Dim, Widths
from pocketgan.core.inputs import Input
from pocketgan.core.shape import Shape
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.equalized import Dense
from pocketgan.models.modulated import Block, Constant, Modulated, StyledLayer
from pocketgan.models.resample import Upsample

Output = Literal["skip", "residual"]
"""How layers come to the image: each size adds to it (figure 7b), or blocks add to their features (figure 7c)."""

SLOW = 0.01
"""How fast the mapping network learns, compared to the rest (StyleGAN, appendix C)."""


def check_size(name: str, size: int) -> None:
    """Raise ``ValueError`` unless images of 4 x 4, doubled a few times, become as large."""
    if size < 8 or size & (size - 1):
        raise ValueError(f"{name} size={size}: allowed are powers of two from 8 on")


def channels_at(size: int, base: int, most: int) -> int:
    """The published width at a size: ``base / size``, at most ``most``."""
    return min(base // size, most)


@ARCHITECTURES.register("stylegan2")
@dataclass(frozen=True, kw_only=True)
class StyleGan2Spec(Spec):
    """Groups: ``map1`` ... and ``style`` (the mapping network), ``const``, ``b4``, then a size ``b8_hidden``, ``b8`` ..."""

    size: int = 256
    """Height and width of its images: a power of two."""
    latent: int = 512
    """Numbers drawn for an image."""
    mapping: int = 8
    """Layers of the mapping network."""
    output: Output = "skip"

    name: ClassVar[str] = "stylegan2"

    def __post_init__(self) -> None:
        check_size(self.name, self.size)
        for field in ("latent", "mapping"):
            if getattr(self, field) < 1:
                raise ValueError(f"{self.name} {field}={getattr(self, field)}: the least is 1")
        super().__post_init__()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Heights of the blocks' maps, from 4 to the image's."""
        return tuple(2**k for k in range(2, self.size.bit_length()))

    def groups(self) -> tuple[str, ...]:
        """From input to output."""
        mapped = [f"map{k}" for k in range(1, self.mapping)]
        return (*mapped, "style", "const", "b4", *(f"b{size}{part}" for size in self.sizes[1:] for part in ("_hidden", "")))

    @property
    def taps(self) -> tuple[str, ...]:
        """The blocks, by the size of their maps."""
        return tuple(f"b{size}" for size in self.sizes)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The latent, and the noise of all layers in one row, the smallest map first."""
        noise = sum(size**2 for size in noise_sizes(self.sizes))
        return Input("input", self.latent, is_latent=True), Input("noise", noise, is_latent=True, optional=True)

    @property
    def output_shape(self) -> Shape:
        """Squares of its size."""
        return self.size, self.size

    def init_(self, model: nn.Module) -> None:
        """Unit normal, as the layers begin: their gains do the rest."""

    def module(self) -> nn.Module:
        """The network."""
        return StyleGan2(self)


def noise_sizes(sizes: Sequence[int]) -> list[int]:
    """The side of each layer's noise: one layer at 4 x 4, two at every other size."""
    return [sizes[0], *(size for size in sizes[1:] for _ in range(2))]


class StyleGan2(nn.Module):
    """N x latent, standard normal -> N x 3 x size x size, about [-1, 1] and not clamped.

    ``w_avg`` is the average style, for `truncated`; whoever trains the network keeps it.
    """

    stride = 1
    AXES = {"w_avg": ("in_style",)}  # noqa: RUF012

    def __init__(self, spec: StyleGan2Spec):
        super().__init__()
        w = Widths(spec.widths)
        self.sizes, self.skips, self.layers_of_style = spec.sizes, spec.output == "skip", 2 * len(spec.sizes)
        self.in_style: Dim = w.style
        self.register_buffer("w_avg", torch.zeros(w.style))
        self.w_avg: Tensor
        self.mapper = nn.Sequential()
        reads: int = spec.latent
        for k in range(1, spec.mapping + 1):
            writes = w.style if k == spec.mapping else w[f"map{k}"]
            self.mapper.append(Dense(reads, writes, rate=SLOW))
            reads = writes
        self.const = Constant(w.const)
        self.b4 = StyledLayer(w.style, w.const, w.b4, 4)
        for small, size in zip(spec.sizes, spec.sizes[1:], strict=False):
            widths = (w[f"b{small}"], w[f"b{size}_hidden"], w[f"b{size}"])
            self.add_module(f"b{size}", Block(w.style, *widths, size, residual=not self.skips))
        for size in spec.sizes if self.skips else spec.sizes[-1:]:
            self.add_module(f"rgb{size}", Modulated(w.style, w[f"b{size}"], 3, 1, demodulate=False))
        self.up = Upsample() if self.skips else None

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """The image; without noise by the fixed noise of its layers, and never truncated."""
        return self.synthesis(self.mapping(z), noise)

    def mapping(self, z: Tensor) -> Tensor:
        """N x latent -> its style, N x width; the length of a latent does not matter."""
        style: Tensor = self.mapper(z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt())
        return style

    def truncated(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Styles nearer to the average one, ``w_avg + psi (w - w_avg)`` (StyleGAN, appendix B); 1 changes nothing.

        N x width, or N x layers x width; with ``cutoff`` only those of the first layers, then always N x layers x width.
        Raises ``ValueError`` for a cutoff that is no number of layers.
        """
        if cutoff is None:
            return self.w_avg.lerp(w, psi)
        if not 0 <= cutoff <= self.layers_of_style:
            raise ValueError(f"cutoff={cutoff}: the network has {self.layers_of_style} layers of style; allowed are 0 to that")
        w = self._by_layer(w)
        return torch.cat([self.w_avg.lerp(w[:, :cutoff], psi), w[:, cutoff:]], 1)

    def synthesis(self, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """One style an image (N x width) or one a layer (N x `layers_of_style` x width) -> N x 3 x size x size.

        ``noise``: N x k standard normal numbers, all layers' in one row. Raises ``ValueError`` for another number of styles.
        """
        styles = self._by_layer(w).unbind(1)
        noises = list(self._noises(noise))
        x = self.b4(self.const(w.shape[0]), styles[0], noises[0])
        image = self._onto(None, x, 4, styles[1])
        for k, size in enumerate(self.sizes[1:]):
            # What the colors of a size read is also what the next size's first layer reads, as published.
            x = self.get_submodule(f"b{size}")(x, styles[2 * k + 1 : 2 * k + 3], noises[2 * k + 1 : 2 * k + 3])
            image = self._onto(image, x, size, styles[2 * k + 3])
        assert image is not None
        return image

    def _onto(self, image: Tensor | None, x: Tensor, size: int, style: Tensor) -> Tensor | None:
        """What there is of the image, twice as large, with the colors of this size on it; without skips, only the last."""
        if not self.skips and size < self.sizes[-1]:
            return None
        colors: Tensor = self.get_submodule(f"rgb{size}")(x, style)
        return colors if image is None or self.up is None else self.up(image) + colors

    def _by_layer(self, w: Tensor) -> Tensor:
        if w.ndim == 2:
            return w[:, None].expand(-1, self.layers_of_style, -1)
        if w.shape[1] != self.layers_of_style:
            raise ValueError(f"{w.shape[1]} styles an image: give one, or one for each of {self.layers_of_style} layers")
        return w

    def _noises(self, noise: Tensor | None) -> Iterator[Tensor | None]:
        sizes = noise_sizes(self.sizes)
        pieces: Sequence[Tensor | None] = [None] * len(sizes)
        if noise is not None:
            pieces = torch.split(noise, [size**2 for size in sizes], 1)
        for size, piece in zip(sizes, pieces, strict=True):
            yield None if piece is None else piece.reshape(-1, 1, size, size)


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

    As it stands ``paper256`` of stylegan2-ada-pytorch; config F of the paper is ``channel_base=32768``, ``cifar`` is
    ``size=32, channel_base=32768, mapping=2``.
    """
    widths = {f"map{k}": style for k in range(1, mapping)} | {"style": style}
    first = channels_at(4, channel_base, channel_max)
    widths |= {"const": first, "b4": first}
    for own in (2**k for k in range(3, size.bit_length())):
        widths |= dict.fromkeys((f"b{own}_hidden", f"b{own}"), channels_at(own, channel_base, channel_max))
    return StyleGan2Spec(widths=widths, size=size, latent=latent, mapping=mapping, output=output)
