"""The ResNet generator of CycleGAN and pix2pix, dense or separable ("mobile")."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Preset, Spec
from pocketgan.models.layers import ConvNormAct, Norm, SeparableConv2d, Shift, make_norm, needs_bias


@dataclass(frozen=True, kw_only=True)
class TrunkSpec(Spec):
    """Base of generators with stem, two downsamplings, blocks on one trunk, two upsamplings and head."""

    blocks: int = 9
    in_channels: int = 3
    out_channels: int = 3
    norm: Norm = "instance"
    dropout: float = 0.0
    """Rate of the dropout inside each block."""

    @abstractmethod
    def block_groups(self) -> tuple[str, ...]:
        """Groups of the blocks' hidden widths; 0 removes what they size."""

    def groups(self) -> tuple[str, ...]:
        return ("stem", "down1", "trunk", *self.block_groups(), "up1", "up2")

    def optional(self) -> frozenset[str]:
        return frozenset(self.block_groups())

    @property
    def taps(self) -> tuple[str, ...]:
        """After the last downsampling and after each third of the blocks (GAN Compression, section 3.1; CAT)."""
        last = sorted({round(self.blocks * k / 3) - 1 for k in (1, 2, 3)} - {-1})
        return ("down2", *(f"block{i}" for i in last))


@ARCHITECTURES.register("resnet")
@dataclass(frozen=True, kw_only=True)
class ResnetSpec(TrunkSpec):
    """Stem, two downsamplings, residual blocks on one trunk, two upsamplings, head (Johnson et al. 2016; CycleGAN, 7.1).

    Groups: ``stem``, ``down1``, ``trunk`` (the output of the second downsampling and of every block), ``block0`` ...
    (each block's hidden width; 0 removes the block), ``up1``, ``up2``.
    """

    separable: bool = False
    """Decompose the two convolutions of every block (GAN Compression's mobile ResNet)."""
    depthwise_norm: Norm = "instance"
    """Norm between the halves of a decomposed convolution; published: instance, whatever ``norm`` is."""

    name: ClassVar[str] = "resnet"

    def block_groups(self) -> tuple[str, ...]:
        return tuple(f"block{i}" for i in range(self.blocks))

    def mobile(self, ngf: int | None = None) -> Preset | None:
        if self.separable:
            return None
        kept = {name: getattr(self, name) for name in ("blocks", "norm", "in_channels", "out_channels", "dropout")}
        return Preset("mobile-resnet", {"ngf": ngf or self.widths["stem"], **kept})

    def module(self) -> nn.Module:
        return ResnetGenerator(self, lambda w, name: ResnetBlock(w.trunk, w[name], self))


class ResnetBlock(nn.Module):
    """``x + b(a(x))``. With a hidden width of 0 only the output of the empty branch remains: a constant a channel."""

    BRANCHES = {"a": ("hidden",), "b": ("hidden",)}  # noqa: RUF012

    def __init__(self, trunk: int, hidden: int, spec: ResnetSpec):
        super().__init__()
        self.trunk, self.hidden = trunk, hidden
        affine = spec.norm != "instance"  # an instance norm without parameters maps a constant to 0
        self.shift = Shift(trunk) if hidden == 0 and affine else None
        self.a = self.b = None
        if hidden == 0:
            return
        bias = needs_bias(spec.norm)

        def conv(in_channels: int, out_channels: int) -> nn.Module:
            if spec.separable:
                return SeparableConv2d(in_channels, out_channels, norm=spec.depthwise_norm, bias=bias)
            return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="reflect", bias=bias)

        self.a = ConvNormAct(conv(trunk, hidden), make_norm(spec.norm, hidden), nn.ReLU(), dropout=spec.dropout)
        self.b = ConvNormAct(conv(hidden, trunk), make_norm(spec.norm, trunk))

    def forward(self, x: Tensor) -> Tensor:
        """N x trunk x H x W -> the same shape."""
        if self.hidden and self.a is not None and self.b is not None:
            return x + self.b(self.a(x))  # type: ignore[no-any-return]
        residue = self._residue()
        return x if residue is None else x + residue

    def _residue(self) -> Tensor | None:
        """Output of the branch at a hidden width of 0, trunk x 1 x 1; None where that is 0."""
        if self.b is not None and self.b.norm.affine:  # type: ignore[union-attr]
            return self.b.constant()[:, None, None]
        return None if self.shift is None else self.shift()

    def remove_branches_(self) -> None:
        """Keep the residue, drop the layers; called once the hidden width has become 0."""
        if self.b is not None and (residue := self._residue()) is not None:
            self.shift = Shift(self.trunk, residue.detach().flatten())
        self.a = self.b = None


class ResnetGenerator(nn.Module):
    """N x in x H x W in [-1, 1] -> N x out x H x W in [-1, 1]; H and W multiples of 4."""

    stride = 4

    def __init__(self, spec: TrunkSpec, block: Callable[[Widths, str], nn.Module]):
        """``block`` makes the residual block of a name."""
        super().__init__()
        self.in_channels = spec.in_channels
        w, bias = Widths(spec.widths), needs_bias(spec.norm)

        def unit(conv: nn.Module, width: int) -> ConvNormAct:
            return ConvNormAct(conv, make_norm(spec.norm, width), nn.ReLU())

        self.stem = unit(nn.Conv2d(spec.in_channels, w.stem, 7, 1, 3, padding_mode="reflect", bias=bias), w.stem)
        self.down1 = unit(nn.Conv2d(w.stem, w.down1, 3, 2, 1, bias=bias), w.down1)
        self.down2 = unit(nn.Conv2d(w.down1, w.trunk, 3, 2, 1, bias=bias), w.trunk)
        for name in (f"block{i}" for i in range(spec.blocks)):
            self.add_module(name, block(w, name))
        self.up1 = unit(nn.ConvTranspose2d(w.trunk, w.up1, 3, 2, 1, 1, bias=bias), w.up1)
        self.up2 = unit(nn.ConvTranspose2d(w.up1, w.up2, 3, 2, 1, 1, bias=bias), w.up2)
        self.head = nn.Conv2d(w.up2, spec.out_channels, 7, padding=3, padding_mode="reflect")
        self.layer_names = [name for name, _ in self.named_children()]

    def forward(self, x: Tensor) -> Tensor:
        for name in self.layer_names:  # not all children: a search adds its own state to them
            x = self.get_submodule(name)(x)
        return x.tanh()


def trunk_widths(ngf: int) -> dict[str, int]:
    """``{group: width}`` of everything but the blocks."""
    return {"stem": ngf, "down1": 2 * ngf, "trunk": 4 * ngf, "up1": 2 * ngf, "up2": ngf}


@MODELS.register("resnet")
def resnet(
    ngf: int = 64,
    blocks: int = 9,
    norm: Norm = "instance",
    in_channels: int = 3,
    out_channels: int = 3,
    dropout: float = 0.0,
) -> ResnetSpec:
    """The published generator: widths ngf, 2 ngf, 4 ngf; 9 blocks for 256 x 256, 6 for 128 x 128."""
    widths = trunk_widths(ngf) | {f"block{i}": 4 * ngf for i in range(blocks)}
    return ResnetSpec(
        widths=widths, blocks=blocks, norm=norm, in_channels=in_channels, out_channels=out_channels, dropout=dropout
    )


@MODELS.register("mobile-resnet")
def mobile_resnet(
    ngf: int = 64,
    blocks: int = 9,
    norm: Norm = "instance",
    in_channels: int = 3,
    out_channels: int = 3,
    dropout: float = 0.0,
    depthwise_norm: Norm = "instance",
) -> ResnetSpec:
    """The same with separable blocks: 5.7x fewer parameters, 4.5x fewer MACs at equal ngf (GAN Compression)."""
    spec = resnet(ngf, blocks, norm, in_channels, out_channels, dropout)
    return replace(spec, separable=True, depthwise_norm=depthwise_norm)
