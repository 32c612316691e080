"""StyleGAN2's discriminator: residual blocks that halve the size, and the standard deviation within the batch.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pocketgan.core.dims import FIXED, Dim, Widths
from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec
from pocketgan.models.discriminators import Discriminator
from pocketgan.models.layers import ConvNormAct, check_power_of_two
from pocketgan.models.stylegan2 import channels_at
from pocketgan.models.stylegan2_layers import Blur, DenseLayer, EqualConv2d, EqualLinear, ScaledLeakyReLU
from pocketgan.utils.registry import check_at_least


@ARCHITECTURES.register("stylegan2-discriminator")
@dataclass(frozen=True, kw_only=True)
class StyleGan2DiscriminatorSpec(Spec):
    """Groups: from the image's size down, ``b256`` (a block's input), ``b256_hidden``; ``b4``, ``last``, ``fc``."""

    size: int = 256
    """Height and width of the images: a power of two."""
    in_channels: int = 3
    residual: bool = True
    """Skip connections around the blocks; the published network for CIFAR-10 has none."""
    batch_group: int = 4
    """Largest number of images in a group of the batch deviation."""

    name: ClassVar[str] = "stylegan2-discriminator"

    def __post_init__(self) -> None:
        check_power_of_two(self.name, self.size, 8)
        check_at_least(self, self.name, batch_group=1)
        super().__post_init__()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the blocks' inputs, from the image's down to 8."""
        return tuple(2**k for k in range(self.size.bit_length() - 1, 2, -1))

    def groups(self) -> tuple[str, ...]:
        return (*(f"b{size}{part}" for size in self.sizes for part in ("", "_hidden")), "b4", "last", "fc")

    @property
    def taps(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((f"b{self.sizes[0]}", f"b{self.sizes[-1]}")))

    def init_(self, model: nn.Module) -> None:
        """Keep the layers' unit normal weights, which their gains scale."""

    def module(self) -> nn.Module:
        """N x in x size x size in [-1, 1] -> N x 1 logits; a logit depends on the other images of the batch."""
        w, model = Widths(self.widths), Discriminator()
        model.from_rgb = ConvNormAct(EqualConv2d(self.in_channels, w[f"b{self.size}"], 1), None, ScaledLeakyReLU())
        for size in self.sizes:
            widths = (w[f"b{size}"], w[f"b{size}_hidden"], w[f"b{size // 2}"])
            model.add_module(f"b{size}", DiscriminatorBlock(*widths, residual=self.residual))
        model.compare = WithDeviation(w.b4, self.batch_group)
        model.last = ConvNormAct(EqualConv2d(w.b4 + Dim([(FIXED, 1, 1)]), w.last, 3, padding=1), None, ScaledLeakyReLU())
        model.flatten = nn.Flatten()
        model.fc = DenseLayer(w.last * 16, w.fc)
        model.head = EqualLinear(w.fc, 1)
        return model


class DiscriminatorBlock(nn.Module):
    """Two 3x3 convolutions, the second on a smoothed map with stride 2 (figure 7c)."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int, *, residual: bool):
        super().__init__()
        self.conv0 = ConvNormAct(EqualConv2d(in_channels, hidden, 3, padding=1), None, ScaledLeakyReLU())
        self.blur = Blur(padding=2)
        self.conv1 = ConvNormAct(EqualConv2d(hidden, out_channels, 3, stride=2), None, ScaledLeakyReLU())
        self.smaller = Blur(padding=1, stride=2) if residual else None
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False) if residual else None
        self.GATES = {"skip": "skip"} if residual else {}

    def forward(self, x: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H/2 x W/2."""
        y = self.conv1(self.blur(self.conv0(x)))
        if self.skip is None or self.smaller is None:
            return y  # type: ignore[no-any-return]
        return (y + self.skip(self.smaller(x))) * 0.5**0.5  # type: ignore[no-any-return]


class BatchDeviation(nn.Module):
    """Standard deviation of each channel within groups of a batch, N x C x H x W -> N x C x 1 x 1, times its share.

    The standard deviation over the group, averaged over all pixels (Karras et al. 2018, "Progressive Growing of
    GANs", section 3). The sum of the outputs is the published mean over channels: the shares are 1 / C, also after channels
    have been removed. A gate of the input channels applies here, too: a closed channel has still the deviation of epsilon.
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
        # The largest group, of at most ``group`` images, that divides the batch.
        count = next(count for count in range(min(self.group, len(x)), 0, -1) if len(x) % count == 0)
        members = x.reshape(count, -1, *x.shape[1:])  # count x groups x C x H x W
        deviation: Tensor = (members.var(0, correction=0) + 1e-8).sqrt().mean((2, 3))
        return (deviation * self.share).repeat(count, 1)[:, :, None, None]


class WithDeviation(nn.Module):
    """Append the batch deviation, averaged over channels, as the last channel: N x C x H x W -> N x (C + 1) x H x W."""

    def __init__(self, channels: int, group: int):
        super().__init__()
        self.deviation = BatchDeviation(channels, group)

    def forward(self, x: Tensor) -> Tensor:
        deviation = self.deviation(x).sum(1, keepdim=True)
        return torch.cat([x, deviation.expand(-1, -1, *x.shape[2:])], 1)


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

    The defaults are ``paper256`` of stylegan2-ada-pytorch, but for its groups of 8; ``cifar`` there is ``size=32,
    channel_base=32768, residual=False, batch_group=32``.
    """
    widths: dict[str, int] = {}
    for side in (2**k for k in range(size.bit_length() - 1, 2, -1)):
        widths |= dict.fromkeys((f"b{side}", f"b{side}_hidden"), channels_at(side, channel_base, channel_max))
    widths |= dict.fromkeys(("b4", "last", "fc"), channels_at(4, channel_base, channel_max))
    return StyleGan2DiscriminatorSpec(
        widths=widths, size=size, in_channels=in_channels, residual=residual, batch_group=batch_group
    )
