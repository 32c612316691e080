"""StyleGAN2's discriminator: residual blocks that halve the size, and a look at how images of a batch differ.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pocketgan.core.dims import FIXED, Dim, Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.equalized import Dense, EqualConv2d, EqualLinear, Leaky
from pocketgan.models.layers import Unit
from pocketgan.models.resample import Blur
from pocketgan.models.stylegan2 import channels_at, check_size


@ARCHITECTURES.register("stylegan2-discriminator")
@dataclass(frozen=True, kw_only=True)
class StyleGan2DiscriminatorSpec(Spec):
    """Groups: a size, from the image's down, ``b256`` (what its block reads), ``b256_hidden``; ``b4``, ``last``, ``fc``."""

    size: int = 256
    """Height and width of the images: a power of two."""
    in_channels: int = 3
    residual: bool = True
    """Blocks add what they read to what they make; the published network for CIFAR-10 does without."""
    batch_group: int = 4
    """How many images are compared with one another, at most."""

    name: ClassVar[str] = "stylegan2-discriminator"

    def __post_init__(self) -> None:
        check_size(self.name, self.size)
        if self.batch_group < 1:
            raise ValueError(f"{self.name} batch_group={self.batch_group}: the least is 1, which compares nothing")
        super().__post_init__()

    @property
    def sizes(self) -> tuple[int, ...]:
        """What the blocks read, from the image's down to 8."""
        return tuple(2**k for k in range(self.size.bit_length() - 1, 2, -1))

    def groups(self) -> tuple[str, ...]:
        """From input to output."""
        return (*(f"b{size}{part}" for size in self.sizes for part in ("", "_hidden")), "b4", "last", "fc")

    @property
    def taps(self) -> tuple[str, ...]:
        """What the first and the last block make."""
        return tuple(dict.fromkeys((f"b{self.sizes[0]}", f"b{self.sizes[-1]}")))

    def init_(self, model: nn.Module) -> None:
        """Unit normal, as the layers begin: their gains do the rest."""

    def module(self) -> nn.Module:
        """The network."""
        return StyleGan2Discriminator(self)


class DiscriminatorBlock(nn.Module):
    """Two 3x3 convolutions, the second of which halves the size of what is smoothed first (figure 7c)."""

    def __init__(self, reads: int, hidden: int, writes: int, *, residual: bool):
        super().__init__()
        self.conv0 = Unit(EqualConv2d(reads, hidden, 3, padding=1), None, Leaky())
        self.blur = Blur(padding=2)
        self.conv1 = Unit(EqualConv2d(hidden, writes, 3, stride=2), None, Leaky())
        self.smaller = Blur(padding=1, stride=2) if residual else None
        self.skip = EqualConv2d(reads, writes, 1, bias=False) if residual else None
        self.GATES = {"skip": "skip"} if residual else {}

    def forward(self, x: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H/2 x W/2."""
        y = self.conv1(self.blur(self.conv0(x)))
        if self.skip is None or self.smaller is None:
            return y  # type: ignore[no-any-return]
        return (y + self.skip(self.smaller(x))) * 0.5**0.5  # type: ignore[no-any-return]


class BatchDeviation(nn.Module):
    """How much each channel differs within groups of a batch, N x C x H x W -> N x C x 1 x 1, times its share.

    The standard deviation over the group, the mean of that over all places (Karras et al. 2018, "Progressive Growing of
    GANs", section 3). The published mean over channels is the sum of what this gives: the shares are 1 / C, and stay so when
    channels are removed. It follows the channels that it reads, as one that is closed has still the deviation of epsilon.
    """

    PASS_THROUGH = True
    AXES = {"share": ("out_channels",)}  # noqa: RUF012
    GATES = {"": ""}  # noqa: RUF012

    def __init__(self, channels: int, group: int):
        super().__init__()
        self.out_channels, self.group = channels, group
        self.register_buffer("share", torch.full((channels,), 1 / int(channels)))
        self.share: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Groups of the largest size, ``group`` at most, that divides the batch."""
        count = next(count for count in range(min(self.group, len(x)), 0, -1) if len(x) % count == 0)
        members = x.reshape(count, -1, *x.shape[1:])  # count x groups x C x H x W
        deviation: Tensor = (members.var(0, correction=0) + 1e-8).sqrt().mean((2, 3))
        return (deviation * self.share).repeat(count, 1)[:, :, None, None]


class WithDeviation(nn.Module):
    """What it reads and, as one channel more, how the batch differs: N x C x H x W -> N x (C + 1) x H x W."""

    def __init__(self, channels: int, group: int):
        super().__init__()
        self.deviation = BatchDeviation(channels, group)

    def forward(self, x: Tensor) -> Tensor:
        """The channel more is the last."""
        differs = self.deviation(x).sum(1, keepdim=True)
        return torch.cat([x, differs.expand(-1, -1, *x.shape[2:])], 1)


class StyleGan2Discriminator(nn.Module):
    """N x in x size x size in [-1, 1] -> N x 1 logits; what it makes of an image depends on the others of its batch."""

    def __init__(self, spec: StyleGan2DiscriminatorSpec):
        super().__init__()
        w = Widths(spec.widths)
        self.from_rgb = Unit(EqualConv2d(spec.in_channels, w[f"b{spec.size}"], 1), None, Leaky())
        for size in spec.sizes:
            widths = (w[f"b{size}"], w[f"b{size}_hidden"], w[f"b{size // 2}"])
            self.add_module(f"b{size}", DiscriminatorBlock(*widths, residual=spec.residual))
        self.compare = WithDeviation(w.b4, spec.batch_group)
        self.last = Unit(EqualConv2d(w.b4 + Dim([(FIXED, 1, 1)]), w.last, 3, padding=1), None, Leaky())
        self.flatten = nn.Flatten()
        self.fc = Dense(w.last * 16, w.fc)
        self.head = EqualLinear(w.fc, 1)

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """The names of its layers from input to logits, scale by scale: there is one scale."""
        return (tuple(name for name, _ in self.named_children() if name not in ("compare", "flatten")),)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        for layer in self.children():
            x = layer(x)
        return x


@MODELS.register("stylegan2-discriminator")
def stylegan2_discriminator(
    size: int = 256,
    channel_base: int = 16384,
    channel_max: int = 512,
    in_channels: int = 3,
    residual: bool = True,
    batch_group: int = 4,
) -> StyleGan2DiscriminatorSpec:
    """The published discriminator: ``channel_base / size`` channels at a size, at most ``channel_max``.

    As it stands ``paper256`` of stylegan2-ada-pytorch, but for its groups of 8; ``cifar`` there is ``size=32,
    channel_base=32768, residual=False, batch_group=32``.
    """
    widths: dict[str, int] = {}
    for own in (2**k for k in range(size.bit_length() - 1, 2, -1)):
        widths |= dict.fromkeys((f"b{own}", f"b{own}_hidden"), channels_at(own, channel_base, channel_max))
    widths |= dict.fromkeys(("b4", "last", "fc"), channels_at(4, channel_base, channel_max))
    return StyleGan2DiscriminatorSpec(
        widths=widths, size=size, in_channels=in_channels, residual=residual, batch_group=batch_group
    )
