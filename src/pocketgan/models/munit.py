"""MUNIT's generator: the content of an image of one domain, generated in a style of the other.

Huang et al. 2018, "Multimodal Unsupervised Image-to-Image Translation"; the separable form is GAN Compression's. It is one
direction as it is used: the content encoder of the source's domain, the rest of the target's.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.inputs import Input
from pocketgan.core.spec import ARCHITECTURES, MODELS, Preset, Spec, init_weights_, spec_of
from pocketgan.models.munit_layers import STYLE, ContentEncoder, Decoder, Mlp, StyleEncoder, dense, separable


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
    """Whether a style may also be read off an image of the target's domain."""
    norm: Literal["instance", "instance_affine"] = "instance"
    """The content encoder's; with ``instance_affine`` the decoder's adaptive norms have a scale, too."""
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
        """The image that is translated, and a style, or the image that it is read off."""
        reference_channels = self.out_channels if self.style_encoder else 0
        return (
            Input("input", self.in_channels),
            Input("style", self.style_dim, is_latent=True, reference_channels=reference_channels),
        )

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
        w, mixing = Widths(spec.widths), separable if spec.separable else dense
        self.in_channels, self.style_dim = spec.in_channels, spec.style_dim
        self.style = StyleEncoder(w, spec.out_channels, spec.style_dim) if spec.style_encoder else None
        self.content = ContentEncoder(w, spec.in_channels, spec.blocks, mixing, spec.norm)
        self.decoder = Decoder(w, spec.out_channels, spec.blocks, mixing, scaled=spec.norm == "instance_affine")
        self.mlp = Mlp(w, spec.style_dim, sum(block.reads for block in self.decoder.blocks()))

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        """The image in that style: N x style_dim numbers, or N x out x H' x W' images that it is read off."""
        return self.decode(self.content(image), style if style.ndim == 2 else self.style_of(style))

    def style_of(self, reference: Tensor) -> Tensor:
        """N x out x H x W in [-1, 1] -> N x style_dim. Raises ``ValueError`` for a network without a style encoder."""
        if self.style is None:
            raise ValueError(
                f"a style of shape {tuple(reference.shape)} is an image's, and this network has no style encoder: give it "
                f"N x {self.style_dim} numbers"
            )
        return self.style(reference)  # type: ignore[no-any-return]

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """N x trunk x H/4 x W/4 and N x style_dim -> N x out x H x W."""
        return self.decoder(content, self.mlp(style))  # type: ignore[no-any-return]


def without_style_encoder(model: nn.Module) -> nn.Module:
    """A copy that takes styles as numbers alone; the rest is as it was.

    Raises ``ValueError`` for another architecture.
    """
    spec, bare = _munit_spec(model), copy.deepcopy(model)
    kept = {group: width for group, width in spec.widths.items() if group not in STYLE}
    bare.style, bare.spec = None, dataclasses.replace(spec, widths=kept, style_encoder=False)  # type: ignore[assignment]
    return bare


def assembled(source: nn.Module, target: nn.Module) -> nn.Module:
    """The generator from one domain to another: the content encoder of ``input``, all else of ``target``; both are left alone.

    Raises ``ValueError`` for another architecture, and for two that do not agree on the content code.
    """
    reads, generates, whole = _munit_spec(source), _munit_spec(target), copy.deepcopy(target)
    for what in ("blocks", "separable", "norm"):
        if getattr(reads, what) != getattr(generates, what):
            raise ValueError(
                f"the content encoder has {what}={getattr(reads, what)}, the decoder {getattr(generates, what)}: they must "
                "agree"
            )
    if reads.widths["trunk"] != generates.widths["trunk"]:
        raise ValueError(
            f"the content encoder gives {reads.widths['trunk']} channels, the decoder reads {generates.widths['trunk']}: "
            "take two that were trained together"
        )
    own = {group: width for group, width in reads.widths.items() if group in ("stem", "down1") or group.startswith("content")}
    spec = dataclasses.replace(generates, in_channels=reads.in_channels, widths={**generates.widths, **own})
    whole.content, whole.in_channels, whole.spec = copy.deepcopy(source.content), spec.in_channels, spec  # type: ignore[assignment]
    return whole


def _munit_spec(model: nn.Module) -> MunitSpec:
    spec = spec_of(model)
    if not isinstance(spec, MunitSpec):
        raise ValueError(f"this is a {spec.name}: content and style encoders are parts of a munit")
    return spec


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
