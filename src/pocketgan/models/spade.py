"""GauGAN's generators: a label map decides, place by place, how every feature is scaled and shifted.

Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization" (SPADE). The mobile form is GAN
Compression's. `SpadeGenerator` serves CAT's generator of parallel branches, too: they differ in what their blocks are made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Preset, Spec, init_weights_
from pocketgan.models.layers import Separable, Unit, make_norm
from pocketgan.models.spectral import spectral_

Plain = Literal["batch_plain", "instance"]
"""The norm without parameters that SPADE modulates: batch (published) or instance."""

FACTORS = (8, 4, 2, 1)
"""Widths of up0 to up3, in units of ngf."""


@dataclass(frozen=True, kw_only=True)
class LabelledSpec(Spec):
    """What the descriptions of both generators share: blocks from a small map of the labels up to the image."""

    in_channels: int = 36
    """One channel a class, and one of instance edges (Cityscapes: 35 + 1)."""
    out_channels: int = 3
    upsamplings: int = 6
    """Doublings from the first map to the image: 5 (``normal``), 6 (``more``) or 7 (``most``)."""
    spade_norm: Plain = "batch_plain"
    spectral: bool = False
    """Spectral norm on the blocks' convolutions while a teacher is trained; artifacts have it folded into the weights."""

    def __post_init__(self) -> None:
        if self.upsamplings not in (5, 6, 7):
            raise ValueError(f"{self.name} upsamplings={self.upsamplings}: allowed are 5 (normal), 6 (more) and 7 (most)")
        super().__post_init__()

    @property
    def blocks(self) -> tuple[str, ...]:
        """Their names, from the smallest map to the image."""
        return ("head", "middle0", "middle1", "up0", "up1", "up2", "up3", *(("up4",) if self.upsamplings == 7 else ()))

    def ends(self, block: str) -> tuple[str, str]:
        """The groups that a block reads and writes: head and middle stay on the trunk."""
        order = ("trunk", "trunk", "trunk", "trunk", *self.blocks[3:])
        index = self.blocks.index(block)
        return order[index], order[index + 1]

    @property
    def taps(self) -> tuple[str, ...]:
        """The blocks that GAN Compression and CAT distil: head, G_middle_1 and up_1 there."""
        return ("head", "middle1", "up1")

    def init_(self, model: nn.Module) -> None:
        """Xavier with a gain of 0.02, as published for GauGAN; norms as everywhere."""
        init_weights_(model, convolution=lambda weight: nn.init.xavier_normal_(weight, 0.02))

    def finish_(self, model: nn.Module) -> None:
        """Spectral norm, where it is asked for."""
        if self.spectral:
            for module in model.modules():
                for name in getattr(module, "SPECTRAL", ()):
                    if getattr(module, name) is not None:
                        spectral_(getattr(module, name))


@ARCHITECTURES.register("spade")
@dataclass(frozen=True, kw_only=True)
class SpadeSpec(LabelledSpec):
    """The original generator, and the mobile one with separable modulations (GAN Compression).

    Groups: ``trunk`` (16 ngf; head and middle blocks add to it), ``head``, ``middle0``, ``middle1`` (their hidden widths),
    ``up0_hidden``, ``up0`` ... (hidden width and output), and the hidden width of every modulation: ``head_spade0``,
    ``head_spade1``, ..., ``up0_spades`` (on the shortcut).
    """

    separable: bool = False
    """Decompose the convolutions that give scale and shift (mobile SPADE)."""
    depthwise_norm: Literal["instance", "batch"] = "instance"
    """The norm between the halves of a decomposed convolution."""

    name: ClassVar[str] = "spade"

    def groups(self) -> tuple[str, ...]:
        """From input to output."""
        found = ["trunk"]
        for block in self.blocks:
            reads, writes = self.ends(block)
            kept = reads == writes
            found += [f"{block}_spade0", hidden_group(block, kept), f"{block}_spade1"]
            found += [] if kept else [f"{block}_spades", writes]
        return tuple(found)

    def mobile(self, ngf: int | None = None) -> Preset | None:
        """``mobile-spade``."""
        if self.separable:
            return None
        kept = {name: getattr(self, name) for name in ("in_channels", "out_channels", "upsamplings", "spade_norm")}
        return Preset("mobile-spade", {"ngf": ngf or self.widths["up3"], **kept})

    def module(self) -> nn.Module:
        """The network."""

        def modulated(w: Widths, channels: int, group: str) -> Spade:
            return Spade(make_norm(self.spade_norm, channels), channels, Modulation(self, w[group], channels))

        def block(w: Widths, name: str) -> nn.Module:
            (reads, writes), kept = (w[group] for group in self.ends(name)), len(set(self.ends(name))) == 1
            hidden = w[hidden_group(name, kept)]
            return SpadeBlock(
                modulated(w, reads, f"{name}_spade0"),
                nn.Conv2d(reads, hidden, 3, padding=1),
                modulated(w, hidden, f"{name}_spade1"),
                nn.Conv2d(hidden, writes, 3, padding=1),
                None if kept else modulated(w, reads, f"{name}_spades"),
                None if kept else nn.Conv2d(reads, writes, 1, bias=False),
            )

        return SpadeGenerator(self, block, first_norm=None)


def hidden_group(block: str, kept: bool) -> str:
    """The group of a block's hidden width: by its own name where its output is the trunk's."""
    return block if kept else f"{block}_hidden"


class Modulation(nn.Module):
    """The label map, a hidden width, and from there scale and shift of every place (SPADE, figure 3)."""

    def __init__(self, spec: SpadeSpec, hidden: int, channels: int):
        super().__init__()
        self.shared = Unit(nn.Conv2d(spec.in_channels, hidden, 3, padding=1), None, nn.ReLU())

        def conv() -> nn.Module:
            if spec.separable:
                return Separable(hidden, channels, norm=spec.depthwise_norm, bias=True, padding="zeros")
            return nn.Conv2d(hidden, channels, 3, padding=1)

        self.gamma, self.beta = conv(), conv()

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """N x labels x H x W -> two of N x channels x H x W."""
        hidden = self.shared(labels)
        return self.gamma(hidden), self.beta(hidden)


class Spade(nn.Module):
    """``norm(x) (1 + gamma) + beta``, scale and shift from the label map (SPADE, eq. 1, with 1 + gamma as released)."""

    PASS_THROUGH = True
    GATES = {"": ""}  # noqa: RUF012

    def __init__(self, norm: nn.Module, channels: int, modulation: nn.Module):
        super().__init__()
        self.out_channels, self.norm, self.modulation = channels, norm, modulation

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """N x channels x H x W and N x labels x H x W -> N x channels x H x W."""
        gamma, beta = self.modulation(labels)
        return self.norm(x) * (1 + gamma) + beta  # type: ignore[no-any-return]


class SpadeBlock(nn.Module):
    """``shortcut + conv1(act(spade1(conv0(act(spade0(x))))))``, no activation on the shortcut (SPADE, figure 4)."""

    SPECTRAL = ("conv0", "conv1", "convs")

    def __init__(
        self,
        spade0: Spade,
        conv0: nn.Module,
        spade1: Spade,
        conv1: nn.Module,
        spades: Spade | None,
        convs: nn.Module | None,
    ):
        super().__init__()
        self.spade0, self.conv0, self.spade1, self.conv1, self.spades, self.convs = spade0, conv0, spade1, conv1, spades, convs
        self.GATES = {"conv0": "conv0", "conv1": "conv1"} | ({} if convs is None else {"convs": "convs"})

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """N x in x H x W and N x labels x H x W -> N x out x H x W."""
        shortcut = x if self.spades is None or self.convs is None else self.convs(self.spades(x, labels))
        y = self.conv0(F.leaky_relu(self.spade0(x, labels), 0.2))
        return shortcut + self.conv1(F.leaky_relu(self.spade1(y, labels), 0.2))  # type: ignore[no-any-return]


class SpadeGenerator(nn.Module):
    """One-hot labels N x in x H x W -> N x out x H x W in [-1, 1]; H and W multiples of 2**upsamplings."""

    def __init__(
        self, spec: LabelledSpec, block: Callable[[Widths, str], nn.Module], *, first_norm: Callable[[int], nn.Module] | None
    ):
        """``block`` makes the block of a name; ``first_norm`` what follows the first convolution."""
        super().__init__()
        w = Widths(spec.widths)
        self.in_channels, self.stride = spec.in_channels, 2**spec.upsamplings
        norm = first_norm(w.trunk) if first_norm is not None else None
        self.first = Unit(nn.Conv2d(spec.in_channels, w.trunk, 3, padding=1), norm)
        self.block_names = spec.blocks
        for name in spec.blocks:
            self.add_module(name, block(w, name))
        # How much finer each block's map is than that of the block before; "normal" keeps one size in the middle.
        self.doubled = {"head": False, "middle1": spec.upsamplings > 5}
        self.head_conv = nn.Conv2d(w[spec.blocks[-1]], spec.out_channels, 3, padding=1)

    def forward(self, labels: Tensor) -> Tensor:
        """The image for the label map."""
        step = self.stride
        x = self.first(labels[..., ::step, ::step])  # every step-th place: what resizing to the nearest gives
        for name in self.block_names:
            if self.doubled.get(name, True):
                x, step = F.interpolate(x, scale_factor=2, mode="nearest"), step // 2
            x = self.get_submodule(name)(x, labels[..., ::step, ::step])
        return self.head_conv(F.leaky_relu(x, 0.2)).tanh()  # type: ignore[no-any-return]


def outputs(ngf: int, upsamplings: int) -> dict[str, int]:
    """``{group: width}`` of the trunk and of what every further block writes."""
    widths = {"trunk": 16 * ngf, **{f"up{i}": ngf * factor for i, factor in enumerate(FACTORS)}}
    return widths | ({"up4": ngf // 2} if upsamplings == 7 else {})


def _spade(ngf: int, upsamplings: int, **choices: object) -> SpadeSpec:
    widths = outputs(ngf, upsamplings)
    further = list(widths.items())[1:]
    for block in ("head", "middle0", "middle1"):
        widths |= {block: 16 * ngf, f"{block}_spade0": 2 * ngf, f"{block}_spade1": 2 * ngf}
    for block, width in further:
        widths |= {f"{block}_hidden": width, **{f"{block}_spade{end}": 2 * ngf for end in "01s"}}
    return SpadeSpec(widths=widths, upsamplings=upsamplings, **choices)  # type: ignore[arg-type]


@MODELS.register("spade")
def spade(
    ngf: int = 64,
    in_channels: int = 36,
    out_channels: int = 3,
    upsamplings: int = 6,
    spade_norm: Plain = "batch_plain",
    spectral: bool = True,
) -> SpadeSpec:
    """The published generator: 16 ngf down to ngf; modulations of 2 ngf (GAN Compression; SPADE's own 128 at any ngf)."""
    return _spade(
        ngf, upsamplings, in_channels=in_channels, out_channels=out_channels, spade_norm=spade_norm, spectral=spectral
    )


@MODELS.register("mobile-spade")
def mobile_spade(
    ngf: int = 64,
    in_channels: int = 36,
    out_channels: int = 3,
    upsamplings: int = 6,
    spade_norm: Plain = "batch_plain",
    spectral: bool = True,
    depthwise_norm: Literal["instance", "batch"] = "instance",
) -> SpadeSpec:
    """The same with separable modulations: 2.4x fewer MACs at equal ngf (GAN Compression)."""
    return _spade(
        ngf,
        upsamplings,
        in_channels=in_channels,
        out_channels=out_channels,
        spade_norm=spade_norm,
        spectral=spectral,
        separable=True,
        depthwise_norm=depthwise_norm,
    )
