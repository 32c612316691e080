"""MUNIT's generator: an image of one domain translated into a style of the other.

Huang et al. 2018, "Multimodal Unsupervised Image-to-Image Translation"; the separable form is GAN Compression's. One generator
is one direction: the content encoder of the input's domain, all else of the target's.
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
from pocketgan.utils.registry import check_at_least


@ARCHITECTURES.register("munit")
@dataclass(frozen=True, kw_only=True)
class MunitSpec(Spec):
    """Content encoder, style encoder, an MLP from style to norm parameters, and an adaptive decoder (MUNIT, section 5.1).

    Groups: ``style_stem``, ``style_down1`` ... ``style_down4``; ``stem``, ``down1``, ``trunk`` (the content code: the output
    of the second downsampling, of every block that follows and of the decoder's blocks), ``content0`` ... (each block's hidden
    width), ``decoder0`` ..., ``up1``, ``up2``; ``mlp1``, ``mlp2``.
    """

    blocks: int = 4
    """Residual blocks of the content encoder; the decoder has as many."""
    in_channels: int = 3
    out_channels: int = 3
    style_dim: int = 8
    """Length of a style."""
    style_encoder: bool = True
    """True if a style can also be encoded from an image of the target's domain."""
    norm: Literal["instance", "instance_affine"] = "instance"
    """Norm of the content encoder; with ``instance_affine`` the decoder's adaptive norms have a scale, too."""
    separable: bool = False
    """Decompose the convolutions of the residual blocks and of the upsamplings (GAN Compression)."""

    name: ClassVar[str] = "munit"

    def __post_init__(self) -> None:
        check_at_least(self, self.name, blocks=1, style_dim=1)
        super().__post_init__()

    def groups(self) -> tuple[str, ...]:
        blocks = (f"{part}{i}" for part in ("content", "decoder") for i in range(self.blocks))
        style = tuple(STYLE) if self.style_encoder else ()
        return (*style, "stem", "down1", "trunk", *blocks, "up1", "up2", "mlp1", "mlp2")

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The image to translate, and a style, or a reference image to encode the style from."""
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
        if self.separable:
            return None
        names = ("blocks", "in_channels", "out_channels", "style_dim", "style_encoder", "norm")
        kept = {name: getattr(self, name) for name in names}
        return Preset("mobile-munit", {"ngf": ngf or self.widths["stem"], "mlp": self.widths["mlp1"], **kept})

    def init_(self, model: nn.Module) -> None:
        """Normal weights by fan-in (He et al. 2015), as published."""
        init_weights_(model, convolution=nn.init.kaiming_normal_)

    def module(self) -> nn.Module:
        return MunitGenerator(self)


class MunitGenerator(nn.Module):
    """N x in x H x W in [-1, 1] and a style -> N x out x H x W in [-1, 1]; H and W multiples of 4."""

    stride = 4

    def __init__(self, spec: MunitSpec):
        super().__init__()
        w, make_conv = Widths(spec.widths), separable if spec.separable else dense
        self.in_channels, self.style_dim = spec.in_channels, spec.style_dim
        self.style = StyleEncoder(w, spec.out_channels, spec.style_dim) if spec.style_encoder else None
        self.content = ContentEncoder(w, spec.in_channels, spec.blocks, make_conv, spec.norm)
        self.decoder = Decoder(w, spec.out_channels, spec.blocks, make_conv, scaled=spec.norm == "instance_affine")
        self.mlp = Mlp(w, spec.style_dim, sum(block.parameters_per_image for block in self.decoder.blocks()))

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        """``style``: N x style_dim, or N x out x H' x W' images to encode it from."""
        return self.decode(self.content(image), style if style.ndim == 2 else self.style_of(style))

    def style_of(self, reference: Tensor) -> Tensor:
        """N x out x H x W in [-1, 1] -> N x style_dim. Raises ``ValueError`` for a network without a style encoder."""
        if self.style is None:
            raise ValueError(
                f"a style of shape {tuple(reference.shape)} is an image, but this network has no style encoder: give it "
                f"N x {self.style_dim} numbers"
            )
        return self.style(reference)  # type: ignore[no-any-return]

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """N x trunk x H/4 x W/4 and N x style_dim -> N x out x H x W."""
        return self.decoder(content, self.mlp(style))  # type: ignore[no-any-return]


def without_style_encoder(model: nn.Module) -> nn.Module:
    """A copy whose style input is a vector only.

    Raises ``ValueError`` for another architecture.
    """
    spec, bare = _munit_spec(model), copy.deepcopy(model)
    kept = {group: width for group, width in spec.widths.items() if group not in STYLE}
    bare.style, bare.spec = None, dataclasses.replace(spec, widths=kept, style_encoder=False)  # type: ignore[assignment]
    return bare


def assembled(source: nn.Module, target: nn.Module) -> nn.Module:
    """The generator from one domain to another: a copy of ``target`` with the content encoder of ``source``.

    Raises ``ValueError`` for another architecture, and for two that do not agree on the content code.
    """
    encoder, decoder, model = _munit_spec(source), _munit_spec(target), copy.deepcopy(target)
    forms = [(spec.blocks, spec.separable, spec.norm, spec.widths["trunk"]) for spec in (encoder, decoder)]
    for name, ours, theirs in zip(("blocks", "separable", "norm", "trunk"), *forms, strict=True):
        if ours != theirs:
            raise ValueError(f"the content encoder has {name}={ours}, the decoder {theirs}: use two that were trained together")
    widths = {group: width for group, width in encoder.widths.items() if group.startswith(("stem", "down1", "content"))}
    spec = dataclasses.replace(decoder, in_channels=encoder.in_channels, widths={**decoder.widths, **widths})
    model.content, model.in_channels, model.spec = copy.deepcopy(source.content), spec.in_channels, spec  # type: ignore[assignment]
    return model


def _munit_spec(model: nn.Module) -> MunitSpec:
    spec = spec_of(model)
    if not isinstance(spec, MunitSpec):
        raise ValueError(f"this is a {spec.name}: content and style encoders are parts of a munit")
    return spec


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
    """The published generator: widths ngf, 2 ngf, 4 ngf; 4 blocks in encoder and decoder; a style of 8 numbers."""
    widths = {group: ngf * factor for group, factor in STYLE.items()} if style_encoder else {}
    widths |= {"stem": ngf, "down1": 2 * ngf, "trunk": 4 * ngf, "up1": 2 * ngf, "up2": ngf, "mlp1": mlp, "mlp2": mlp}
    widths |= {f"{part}{i}": 4 * ngf for part in ("content", "decoder") for i in range(blocks)}
    return MunitSpec(
        widths=widths,
        blocks=blocks,
        in_channels=in_channels,
        out_channels=out_channels,
        style_dim=style_dim,
        style_encoder=style_encoder,
        norm=norm,
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
    spec = munit(ngf, mlp, blocks, in_channels, out_channels, style_dim, style_encoder, norm)
    return dataclasses.replace(spec, separable=True)
