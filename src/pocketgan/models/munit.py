"""MUNIT's generator: the content of a picture of one domain, painted in a style of the other.

Huang et al. 2018, "Multimodal Unsupervised Image-to-Image Translation"; the separable form is GAN Compression's. It is one
direction as it is used: the content encoder of the source's domain, the rest of the target's.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.inputs import Input
from pocketgan.core.spec import ARCHITECTURES, MODELS, Preset, Spec, init_weights_, spec_of
from pocketgan.models.adaptive import AdaptiveNorm, LayerNorm
from pocketgan.models.layers import Separable, Unit, make_norm

STYLE = {"style_stem": 1, "style_down1": 2, "style_down2": 4, "style_down3": 4, "style_down4": 4}
"""Widths of the style encoder, in units of ngf."""


@ARCHITECTURES.register("munit")
@dataclass(frozen=True, kw_only=True)
class MunitSpec(Spec):
    """Content encoder, style encoder, and the decoder that a style steers through its MLP (MUNIT, section 5.1).

    Groups: ``style_stem``, ``style_down1`` ... ``style_down4``; ``stem``, ``down1``, ``trunk`` (the content code: the output
    of the second downsampling, of every block that follows and of the decoder's blocks), ``content0`` ... (each block's hidden
    width), ``decoder0`` ..., ``up1``, ``up2``; ``mlp1``, ``mlp2``.
    """

    blocks: int = 4
    """Residual blocks of the content encoder, and as many of the decoder."""
    in_channels: int = 3
    out_channels: int = 3
    style_dim: int = 8
    """Numbers of a style."""
    style_encoder: bool = True
    """Whether a style may also be read off a picture of the target's domain."""
    norm: Literal["instance", "instance_affine"] = "instance"
    """The content encoder's."""
    separable: bool = False
    """Decompose the convolutions of the residual blocks and of the upsamplings (GAN Compression)."""

    name: ClassVar[str] = "munit"

    def __post_init__(self) -> None:
        for field in ("blocks", "style_dim"):
            if getattr(self, field) < 1:
                raise ValueError(f"munit {field}={getattr(self, field)}: the least is 1")
        super().__post_init__()

    def groups(self) -> tuple[str, ...]:
        """From input to output; the MLP, which steers the decoder, last."""
        blocks = (f"{part}{i}" for part in ("content", "decoder") for i in range(self.blocks))
        style = tuple(STYLE) if self.style_encoder else ()
        return (*style, "stem", "down1", "trunk", *blocks, "up1", "up2", "mlp1", "mlp2")

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The picture that is translated, and a style, or the picture that it is read off."""
        picture = self.out_channels if self.style_encoder else 0
        return (Input("source", self.in_channels), Input("style", self.style_dim, drawn=True, picture=picture))

    @property
    def taps(self) -> tuple[str, ...]:
        """The content code (GAN Compression)."""
        return (f"content.block{self.blocks - 1}",)

    def mobile(self, ngf: int | None = None) -> Preset | None:
        """``mobile-munit``."""
        if self.separable:
            return None
        names = ("blocks", "in_channels", "out_channels", "style_dim", "style_encoder", "norm")
        kept = {name: getattr(self, name) for name in names}
        return Preset("mobile-munit", {"ngf": ngf or self.widths["stem"], "mlp": self.widths["mlp1"], **kept})

    def init_(self, model: nn.Module) -> None:
        """He et al. 2015, by the numbers that a layer reads, as published."""
        init_weights_(model, convolution=nn.init.kaiming_normal_)

    def module(self) -> nn.Module:
        """The network."""
        return MunitGenerator(self)


class MunitGenerator(nn.Module):
    """N x in x H x W in [-1, 1] and a style -> N x out x H x W in [-1, 1]; H and W multiples of 4."""

    stride = 4

    def __init__(self, spec: MunitSpec):
        super().__init__()
        w = Widths(spec.widths)
        self.in_channels, self.style_dim = spec.in_channels, spec.style_dim
        self.style = StyleEncoder(spec, w) if spec.style_encoder else None
        self.content = ContentEncoder(spec, w)
        self.decoder = Decoder(spec, w)
        self.mlp = Mlp(spec.style_dim, w, sum(block.reads for block in self.decoder.blocks()))

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        """The picture in that style: N x style_dim numbers, or N x out x H' x W' pictures that it is read off."""
        return self.decode(self.content(image), style if style.ndim == 2 else self.style_of(style))

    def style_of(self, picture: Tensor) -> Tensor:
        """N x out x H x W in [-1, 1] -> N x style_dim. Raises ``ValueError`` for a network without a style encoder."""
        if self.style is None:
            raise ValueError(
                f"a style of shape {tuple(picture.shape)} is a picture's, and this network has no style encoder: give it "
                f"N x {self.style_dim} numbers"
            )
        return self.style(picture)  # type: ignore[no-any-return]

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """N x trunk x H/4 x W/4 and N x style_dim -> N x out x H x W."""
        return self.decoder(content, self.mlp(style))  # type: ignore[no-any-return]


class ContentEncoder(nn.Module):
    """N x in x H x W -> the content code, N x trunk x H/4 x W/4."""

    def __init__(self, spec: MunitSpec, w: Widths):
        super().__init__()

        def unit(conv: nn.Module, width: int, act: nn.Module | None) -> Unit:
            return Unit(conv, make_norm(spec.norm, width), act)

        self.stem = unit(_conv(spec.in_channels, w.stem, 7), w.stem, nn.ReLU())
        self.down1 = unit(_down(w.stem, w.down1), w.down1, nn.ReLU())
        self.down2 = unit(_down(w.down1, w.trunk), w.trunk, nn.ReLU())
        for i in range(spec.blocks):
            hidden = w[f"content{i}"]
            first = unit(_mixing(spec, w.trunk, hidden, 3), hidden, nn.ReLU())
            self.add_module(f"block{i}", Residual(first, unit(_mixing(spec, hidden, w.trunk, 3), w.trunk, None)))

    def forward(self, x: Tensor) -> Tensor:
        """The code."""
        for layer in self.children():
            x = layer(x)
        return x


class Residual(nn.Module):
    """``x + b(a(x))``, nothing after the sum."""

    def __init__(self, a: Unit, b: Unit):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        """N x trunk x H x W -> the same shape."""
        return x + self.b(self.a(x))  # type: ignore[no-any-return]


class StyleEncoder(nn.Module):
    """N x out x H x W -> N x style_dim. No norm: it would take away the mean and variance that a style is."""

    def __init__(self, spec: MunitSpec, w: Widths):
        super().__init__()
        previous = w.style_stem
        self.stem = Unit(_conv(spec.out_channels, previous, 7), None, nn.ReLU())
        for k in range(1, len(STYLE)):
            own = w[f"style_down{k}"]
            self.add_module(f"down{k}", Unit(_down(previous, own), None, nn.ReLU()))
            previous = own
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(previous, spec.style_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The style."""
        for layer in self.children():
            x = layer(x)
        return x.flatten(1)


class Mlp(nn.Module):
    """A style to the means and standard deviations of the decoder's adaptive norms: N x style_dim -> N x ``writes``."""

    SEATS = {"first": "first", "second": "second"}  # noqa: RUF012

    def __init__(self, style_dim: int, w: Widths, writes: int):
        super().__init__()
        self.first, self.second = nn.Linear(style_dim, w.mlp1), nn.Linear(w.mlp1, w.mlp2)
        self.last = nn.Linear(w.mlp2, writes)

    def forward(self, style: Tensor) -> Tensor:
        """Block after block and norm after norm, its means, then its standard deviations."""
        return self.last(self.second(self.first(style).relu()).relu())  # type: ignore[no-any-return]


class AdaptiveBlock(nn.Module):
    """A residual block whose norms are adaptive."""

    def __init__(self, spec: MunitSpec, trunk: int, hidden: int):
        super().__init__()
        self.reads = hidden + hidden + trunk + trunk
        self.hidden, self.trunk = hidden, trunk
        self.a = Unit(_mixing(spec, trunk, hidden, 3), AdaptiveNorm(hidden), nn.ReLU())
        self.b = Unit(_mixing(spec, hidden, trunk, 3), AdaptiveNorm(trunk))

    def forward(self, x: Tensor, moments: Tensor) -> Tensor:
        """N x trunk x H x W and N x ``reads`` -> N x trunk x H x W."""
        hidden, trunk = int(self.hidden), int(self.trunk)
        a_mean, a_std, b_mean, b_std = torch.split(moments, [hidden, hidden, trunk, trunk], 1)
        return x + self.b(self.a(x, a_mean, a_std), b_mean, b_std)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """N x trunk x H x W and the moments of the style -> N x out x 4 H x 4 W in [-1, 1]."""

    def __init__(self, spec: MunitSpec, w: Widths):
        super().__init__()
        for i in range(spec.blocks):
            self.add_module(f"block{i}", AdaptiveBlock(spec, w.trunk, w[f"decoder{i}"]))
        self.up1 = Unit(_mixing(spec, w.trunk, w.up1, 5), LayerNorm(w.up1), nn.ReLU())
        self.up2 = Unit(_mixing(spec, w.up1, w.up2, 5), LayerNorm(w.up2), nn.ReLU())
        self.head = _conv(w.up2, spec.out_channels, 7)

    def blocks(self) -> list[AdaptiveBlock]:
        """In order."""
        return [block for block in self.children() if isinstance(block, AdaptiveBlock)]

    def forward(self, x: Tensor, moments: Tensor) -> Tensor:
        """The picture."""
        blocks = self.blocks()
        for block, own in zip(blocks, torch.split(moments, [int(block.reads) for block in blocks], 1), strict=True):
            x = block(x, own)
        for up in (self.up1, self.up2):
            x = up(F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.head(x).tanh()  # type: ignore[no-any-return]


def _conv(i: int, o: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(i, o, kernel, padding=kernel // 2, padding_mode="reflect")


def _down(i: int, o: int) -> nn.Conv2d:
    return nn.Conv2d(i, o, 4, 2, 1, padding_mode="reflect")


def _mixing(spec: MunitSpec, i: int, o: int, kernel: int) -> nn.Module:
    """The kind that the separable form decomposes."""
    return Separable(i, o, norm="instance", bias=True, kernel=kernel) if spec.separable else _conv(i, o, kernel)


def without_style_encoder(model: nn.Module) -> nn.Module:
    """A copy that takes styles as numbers alone; the rest is as it was.

    Raises ``ValueError`` for another architecture.
    """
    spec = spec_of(model)
    if not isinstance(spec, MunitSpec):
        raise ValueError(f"without_style_encoder is for a munit; this {spec.name} has no style encoder")
    bare = copy.deepcopy(model)
    kept = {group: width for group, width in spec.widths.items() if group not in STYLE}
    bare.style, bare.spec = None, dataclasses.replace(spec, widths=kept, style_encoder=False)  # type: ignore[assignment]
    return bare


def _munit(ngf: int, mlp: int, blocks: int, style_encoder: bool, **choices: object) -> MunitSpec:
    widths = {group: ngf * factor for group, factor in STYLE.items()} if style_encoder else {}
    widths |= {"stem": ngf, "down1": 2 * ngf, "trunk": 4 * ngf, "up1": 2 * ngf, "up2": ngf, "mlp1": mlp, "mlp2": mlp}
    widths |= {f"{part}{i}": 4 * ngf for part in ("content", "decoder") for i in range(blocks)}
    return MunitSpec(widths=widths, blocks=blocks, style_encoder=style_encoder, **choices)  # type: ignore[arg-type]


@MODELS.register("munit")
def munit(
    ngf: int = 64,
    mlp: int = 256,
    blocks: int = 4,
    in_channels: int = 3,
    out_channels: int = 3,
    style_dim: int = 8,
    style_encoder: bool = True,
    norm: Literal["instance", "instance_affine"] = "instance",
) -> MunitSpec:
    """The published generator: widths ngf, 2 ngf, 4 ngf; 4 blocks on either side; a style of 8 numbers."""
    return _munit(
        ngf, mlp, blocks, style_encoder, in_channels=in_channels, out_channels=out_channels, style_dim=style_dim, norm=norm
    )


@MODELS.register("mobile-munit")
def mobile_munit(
    ngf: int = 64,
    mlp: int = 256,
    blocks: int = 4,
    in_channels: int = 3,
    out_channels: int = 3,
    style_dim: int = 8,
    style_encoder: bool = True,
    norm: Literal["instance", "instance_affine"] = "instance",
) -> MunitSpec:
    """The same with separable blocks and upsamplings (GAN Compression)."""
    return _munit(
        ngf,
        mlp,
        blocks,
        style_encoder,
        in_channels=in_channels,
        out_channels=out_channels,
        style_dim=style_dim,
        norm=norm,
        separable=True,
    )
