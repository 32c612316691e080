"""GauGAN's generators: a label map gives scale and shift of every feature at every pixel.

Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization" (SPADE). The mobile form is GAN
Compression's. `SpadeGenerator` also serves CAT's generator of parallel branches, which has other blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Preset, Spec, init_weights_
from pocketgan.models.layers import ConvNormAct, Norm, PlainNorm, SeparableConv2d, make_norm, spectral_


@dataclass(frozen=True, kw_only=True)
class LabelMapSpec(Spec):
    """Base of both generators: blocks from a small label map up to the image."""

    in_channels: int = 36
    """Channels of the label map: a channel a class, and one of instance edges (Cityscapes: 35 + 1)."""
    out_channels: int = 3
    upsamplings: int = 6
    """Doublings from the first map to the image: 5 (``normal``), 6 (``more``) or 7 (``most``)."""
    spade_norm: PlainNorm = "batch_plain"
    """Norm that SPADE modulates: batch (published) or instance."""
    spectral: bool = False
    """Spectral norm on the blocks' convolutions during the training of a teacher; folded into the weights of artifacts."""

    def __post_init__(self) -> None:
        if self.upsamplings not in (5, 6, 7):
            raise ValueError(f"{self.name} upsamplings={self.upsamplings}: allowed are 5 (normal), 6 (more) and 7 (most)")
        super().__post_init__()

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks, from the smallest map to the image."""
        return ("head", "middle0", "middle1", "up0", "up1", "up2", "up3", *(("up4",) if self.upsamplings == 7 else ()))

    def ends(self, block: str) -> tuple[str, str]:
        """Groups of a block's input and output: head and middle stay on the trunk."""
        order = ("trunk", "trunk", "trunk", "trunk", *self.blocks[3:])
        index = self.blocks.index(block)
        return order[index], order[index + 1]

    @property
    def taps(self) -> tuple[str, ...]:
        """Blocks that GAN Compression and CAT distill: head, G_middle_1 and up_1 there."""
        return ("head", "middle1", "up1")

    def init_(self, model: nn.Module) -> None:
        """Xavier with a gain of 0.02, as published for GauGAN; norms as everywhere."""
        init_weights_(model, convolution=lambda weight: nn.init.xavier_normal_(weight, 0.02))

    def finish_(self, model: nn.Module) -> None:
        for name, layer in list(model.named_modules()) if self.spectral else ():
            if name.endswith((".conv0", ".conv1", ".convs")):
                spectral_(layer)


@ARCHITECTURES.register("spade")
@dataclass(frozen=True, kw_only=True)
class SpadeSpec(LabelMapSpec):
    """The original generator, and the mobile one with separable modulations (GAN Compression).

    Groups: ``trunk`` (16 ngf; head and middle blocks add to it), ``head``, ``middle0``, ``middle1`` (their hidden widths),
    ``up0_hidden``, ``up0`` ... (hidden width and output), and the hidden width of every modulation: ``head_spade0``,
    ``head_spade1``, ..., ``up0_spades`` (on the shortcut).
    """

    separable: bool = False
    """Decompose the convolutions that give scale and shift (mobile SPADE)."""
    depthwise_norm: Literal["instance", "batch"] = "instance"
    """Norm between the halves of a decomposed convolution."""

    name: ClassVar[str] = "spade"

    def groups(self) -> tuple[str, ...]:
        groups = ["trunk"]
        for block in self.blocks:
            start, end = self.ends(block)
            groups += [f"{block}_spade0", self.hidden_group(block), f"{block}_spade1"]
            groups += [] if start == end else [f"{block}_spades", end]
        return tuple(groups)

    def hidden_group(self, block: str) -> str:
        """Group of the width between the two convolutions of a block."""
        start, end = self.ends(block)
        return block if start == end else f"{block}_hidden"

    def mobile(self, ngf: int | None = None) -> Preset | None:
        if self.separable:
            return None
        kept = {name: getattr(self, name) for name in ("in_channels", "out_channels", "upsamplings", "spade_norm")}
        return Preset("mobile-spade", {"ngf": ngf or self.widths["up3"], **kept})

    def module(self) -> nn.Module:
        return SpadeGenerator(self, lambda w, name: SpadeBlock(w, name, self))


class Modulation(nn.Module):
    """Scale and shift of every pixel from the label map, by way of a hidden width (SPADE, figure 3)."""

    def __init__(self, spec: SpadeSpec, hidden: int, channels: int):
        super().__init__()
        self.shared = ConvNormAct(nn.Conv2d(spec.in_channels, hidden, 3, padding=1), None, nn.ReLU())

        def conv() -> nn.Module:
            if spec.separable:
                return SeparableConv2d(hidden, channels, norm=spec.depthwise_norm, bias=True, padding="zeros")
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

    def __init__(self, w: Widths, name: str, spec: SpadeSpec):
        super().__init__()
        start, end = spec.ends(name)
        in_channels, hidden, out_channels = w[start], w[spec.hidden_group(name)], w[end]

        def spade(channels: int, group: str) -> Spade:
            return Spade(make_norm(spec.spade_norm, channels), channels, Modulation(spec, w[group], channels))

        self.spade0, self.conv0 = spade(in_channels, f"{name}_spade0"), nn.Conv2d(in_channels, hidden, 3, padding=1)
        self.spade1, self.conv1 = spade(hidden, f"{name}_spade1"), nn.Conv2d(hidden, out_channels, 3, padding=1)
        self.spades = None if start == end else spade(in_channels, f"{name}_spades")
        self.convs = None if start == end else nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.GATES = {"conv0": "conv0", "conv1": "conv1"} | ({} if self.convs is None else {"convs": "convs"})

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """N x in x H x W and N x labels x H x W -> N x out x H x W."""
        shortcut = x if self.spades is None or self.convs is None else self.convs(self.spades(x, labels))
        y = self.conv0(F.leaky_relu(self.spade0(x, labels), 0.2))
        return shortcut + self.conv1(F.leaky_relu(self.spade1(y, labels), 0.2))  # type: ignore[no-any-return]


class SpadeGenerator(nn.Module):
    """Labels as channels N x in x H x W -> N x out x H x W in [-1, 1]; H and W multiples of 2**upsamplings."""

    def __init__(self, spec: LabelMapSpec, block: Callable[[Widths, str], nn.Module], *, first_norm: Norm | None = None):
        """``block`` makes the block of a name; ``first_norm`` is the norm after the first convolution."""
        super().__init__()
        w = Widths(spec.widths)
        self.in_channels, self.stride = spec.in_channels, 2**spec.upsamplings
        norm = None if first_norm is None else make_norm(first_norm, w.trunk)
        self.first = ConvNormAct(nn.Conv2d(spec.in_channels, w.trunk, 3, padding=1), norm)
        self.block_names = spec.blocks
        for name in spec.blocks:
            self.add_module(name, block(w, name))
        # True if a block's map is twice as large as that of the block before; "normal" keeps one size in the middle.
        self.doubled = {"head": False, "middle1": spec.upsamplings > 5}
        self.head_conv = nn.Conv2d(w[spec.blocks[-1]], spec.out_channels, 3, padding=1)

    def forward(self, labels: Tensor) -> Tensor:
        step = self.stride
        x = self.first(labels[..., ::step, ::step])  # every step-th pixel: equal to nearest resizing
        for name in self.block_names:
            if self.doubled.get(name, True):
                x, step = F.interpolate(x, scale_factor=2, mode="nearest"), step // 2
            x = self.get_submodule(name)(x, labels[..., ::step, ::step])
        return self.head_conv(F.leaky_relu(x, 0.2)).tanh()  # type: ignore[no-any-return]


def output_widths(ngf: int, upsamplings: int) -> dict[str, int]:
    """``{group: width}`` of the trunk and of the output of every further block."""
    widths = {"trunk": 16 * ngf, "up0": 8 * ngf, "up1": 4 * ngf, "up2": 2 * ngf, "up3": ngf}
    return widths | ({"up4": ngf // 2} if upsamplings == 7 else {})


@MODELS.register("spade")
def spade(
    ngf: int = 64,
    in_channels: int = 36,
    out_channels: int = 3,
    upsamplings: int = 6,
    spade_norm: PlainNorm = "batch_plain",
    spectral: bool = True,
) -> SpadeSpec:
    """The published generator: 16 ngf down to ngf; modulations of 2 ngf (GAN Compression; SPADE's own 128 at any ngf)."""
    outputs = output_widths(ngf, upsamplings)
    widths = dict(outputs)
    for block in ("head", "middle0", "middle1"):
        widths |= {block: 16 * ngf, f"{block}_spade0": 2 * ngf, f"{block}_spade1": 2 * ngf}
    for block, width in list(outputs.items())[1:]:
        widths |= {f"{block}_hidden": width, **{f"{block}_spade{end}": 2 * ngf for end in "01s"}}
    return SpadeSpec(
        widths=widths,
        in_channels=in_channels,
        out_channels=out_channels,
        upsamplings=upsamplings,
        spade_norm=spade_norm,
        spectral=spectral,
    )


@MODELS.register("mobile-spade")
def mobile_spade(
    ngf: int = 64,
    in_channels: int = 36,
    out_channels: int = 3,
    upsamplings: int = 6,
    spade_norm: PlainNorm = "batch_plain",
    spectral: bool = True,
    depthwise_norm: Literal["instance", "batch"] = "instance",
) -> SpadeSpec:
    """The same with separable modulations: 2.4x fewer MACs at equal ngf (GAN Compression)."""
    spec = spade(ngf, in_channels, out_channels, upsamplings, spade_norm, spectral)
    return replace(spec, separable=True, depthwise_norm=depthwise_norm)
