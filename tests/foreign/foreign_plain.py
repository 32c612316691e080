"""Small generators as people write them, N x 3 x H x W -> the same: convolutions, norms, and how they are joined.

None of them uses pocketgan. Widths are distinct where their style allows it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm


class Functional(nn.Module):
    """Everything but the layers themselves in forward: pads, crops, activations, interpolation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 7, 7), nn.Conv2d(7, 11, 3, stride=2, padding=1)
        self.conv3, self.conv4 = nn.Conv2d(11, 13, 3), nn.Conv2d(13, 3, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(7), nn.BatchNorm2d(11)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(F.pad(x, (3, 3, 3, 3), mode="reflect"))))
        x = F.leaky_relu(self.bn2(self.conv2(x)), 0.2)
        x = F.elu(self.conv3(F.pad(x, (2, 2, 2, 2)))[:, :, 1:-1, 1:-1])
        return torch.tanh(self.conv4(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)))


class PreActivation(nn.Module):
    """A ModuleList of blocks in which the norm comes before the convolution."""

    class Block(nn.Module):
        def __init__(self, dim: int, hidden: int):
            super().__init__()
            self.norm1, self.conv1 = nn.BatchNorm2d(dim), nn.Conv2d(dim, hidden, 3, 1, 1)
            self.norm2, self.conv2 = nn.BatchNorm2d(hidden), nn.Conv2d(hidden, dim, 3, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            h = self.conv1(F.relu(self.norm1(x)))
            return x + self.conv2(F.relu(self.norm2(h)))

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 11, 3, 1, 1)
        self.body = nn.ModuleList([self.Block(11, hidden) for hidden in (5, 7)])
        self.tail = nn.Sequential(nn.BatchNorm2d(11), nn.ReLU(True), nn.Conv2d(11, 3, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        for block in self.body:
            x = block(x)
        return self.tail(x)


class Reused(nn.Module):
    """A block that runs three times, as in DRRN, and one activation with slopes for all layers of a width."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.output = nn.Conv2d(3, 11, 3, padding=1, bias=False), nn.Conv2d(11, 3, 3, padding=1)
        self.conv1, self.conv2 = nn.Conv2d(11, 7, 3, padding=1), nn.Conv2d(7, 11, 3, padding=1)
        self.act, self.inner = nn.PReLU(11), nn.PReLU(7)

    def forward(self, x: Tensor) -> Tensor:
        inputs = self.input(self.act(x) if x.shape[1] == 11 else x)
        out = inputs
        for _ in range(3):
            out = self.conv2(self.inner(self.conv1(self.act(out)))) + inputs
        return self.output(out)


class ImageResidual(nn.Module):
    """x + net(x), with the image joined to the features once more: most restoration networks."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(3, 11, 3, padding=1), nn.ReLU(), nn.Conv2d(11, 7, 3, padding=1), nn.ReLU())
        self.mix, self.out = nn.Conv2d(7 + 3, 5, 3, padding=1), nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.relu(self.mix(torch.cat([self.encode(x), x], 1))))


class Dense(nn.Module):
    """Dense connections with scaled residuals, as in ESRGAN."""

    class Block(nn.Module):
        def __init__(self, features: int, growth: int):
            super().__init__()
            self.conv1 = nn.Conv2d(features, growth, 3, 1, 1)
            self.conv2 = nn.Conv2d(features + growth, growth, 3, 1, 1)
            self.conv3 = nn.Conv2d(features + 2 * growth, features, 3, 1, 1)
            self.lrelu = nn.LeakyReLU(0.2, inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            x1 = self.lrelu(self.conv1(x))
            x2 = self.lrelu(self.conv2(torch.cat((x, x1), 1)))
            return self.conv3(torch.cat((x, x1, x2), 1)) * 0.2 + x

    def __init__(self) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(3, 11, 3, 1, 1)
        self.trunk = nn.Sequential(*(self.Block(11, growth) for growth in (5, 7)))
        self.trunk_conv, self.conv_last = nn.Conv2d(11, 11, 3, 1, 1), nn.Conv2d(11, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        fea = self.conv_first(x)
        return self.conv_last(fea + self.trunk_conv(self.trunk(fea)))


class NearestUNet(nn.Module):
    """A U-Net with nearest upsampling, whose norm runs over the concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = self.block(3, 5), self.block(5, 7)
        self.bottom = nn.Conv2d(7, 11, 3, padding=1)
        self.norm = nn.BatchNorm2d(11 + 7)
        self.up = nn.Sequential(nn.Conv2d(18, 13, 3, padding=1), nn.InstanceNorm2d(13, affine=True), nn.GELU())
        self.last = nn.Conv2d(13 + 5, 3, 3, padding=1)

    @staticmethod
    def block(reads: int, writes: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(reads, writes, 3, padding=1), nn.BatchNorm2d(writes), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = F.interpolate(self.bottom(F.avg_pool2d(b, 2)), size=b.shape[2:])
        c = self.up(F.relu(self.norm(torch.cat([c, b], dim=1))))
        return self.last(torch.cat([F.interpolate(c, scale_factor=2), a], dim=1)).tanh()


class NonAffine(nn.Module):
    """Instance norms without scales, and transposed convolutions: the CycleGAN generator."""

    def __init__(self) -> None:
        super().__init__()
        model: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, 5, 7), nn.InstanceNorm2d(5), nn.ReLU(True)]
        model += [nn.Conv2d(5, 11, 3, stride=2, padding=1), nn.InstanceNorm2d(11), nn.ReLU(True)]
        model += [nn.ConvTranspose2d(11, 7, 3, stride=2, padding=1, output_padding=1), nn.InstanceNorm2d(7), nn.ReLU(True)]
        self.model = nn.Sequential(*model, nn.ReflectionPad2d(3), nn.Conv2d(7, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class GroupNormed(nn.Module):
    """Group norms: what is normalized together goes together."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm1 = nn.Conv2d(3, 20, 3, padding=1), nn.GroupNorm(5, 20)
        self.conv1, self.norm2 = nn.Conv2d(20, 21, 3, padding=1), nn.GroupNorm(7, 21)
        self.conv2, self.out = nn.Conv2d(21, 20, 3, padding=1), nn.Conv2d(20, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm1(self.stem(x)))
        x = x + self.conv2(F.silu(self.norm2(self.conv1(x))))
        return self.out(x)


class OneGroup(nn.Module):
    """GroupNorm(1, C), the LayerNorm of images: every channel changes all others."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 11, 3, padding=1), nn.GroupNorm(1, 11)
        self.conv, self.out = nn.Conv2d(11, 7, 3, padding=1), nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.conv(F.relu(self.norm(self.stem(x))))))


class PixelShuffled(nn.Module):
    """Space to depth and back, without a strided convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.body = nn.PixelUnshuffle(2), nn.Conv2d(12, 11, 3, padding=1)
        self.wide, self.up = nn.Conv2d(11, 4 * 7, 3, padding=1), nn.PixelShuffle(2)
        self.act, self.tail = nn.PReLU(), nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.act(self.up(self.wide(F.relu(self.body(self.down(x)))))))


class ResNeXt(nn.Module):
    """Convolutions in groups, neither dense nor depthwise."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 11, 3, padding=1), nn.BatchNorm2d(11), nn.ReLU())
        self.reduce, self.bn1 = nn.Conv2d(11, 20, 1, bias=False), nn.BatchNorm2d(20)
        self.conv, self.bn2 = nn.Conv2d(20, 20, 3, padding=1, groups=5, bias=False), nn.BatchNorm2d(20)
        self.expand, self.bn3 = nn.Conv2d(20, 11, 1, bias=False), nn.BatchNorm2d(11)
        self.out = nn.Conv2d(11, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        h = F.relu(self.bn1(self.reduce(x)))
        h = F.relu(self.bn2(self.conv(h)))
        return self.out(F.relu(x + self.bn3(self.expand(h))))


class InvertedResidual(nn.Module):
    """MobileNet blocks, one with two filters a channel in its depthwise layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 7, 3, padding=1)
        self.block = nn.Sequential(
            *(nn.Conv2d(7, 13, 1, bias=False), nn.BatchNorm2d(13), nn.ReLU6()),
            *(nn.Conv2d(13, 13, 3, padding=1, groups=13, bias=False), nn.BatchNorm2d(13), nn.Hardswish()),
            *(nn.Conv2d(13, 7, 1, bias=False), nn.BatchNorm2d(7)),
        )
        self.twice, self.point = nn.Conv2d(7, 14, 3, padding=1, groups=7), nn.Conv2d(14, 11, 1)
        self.out = nn.Conv2d(11, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.block(x)
        return self.out(F.relu(self.point(self.twice(x))))


class ChannelShuffle(nn.Module):
    """ShuffleNet: group convolutions with the channels shuffled between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.first, self.second = nn.Conv2d(12, 12, 1, groups=3), nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.mid, self.out = nn.Conv2d(12, 7, 3, padding=1), nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(self.stem(x)))
        b, c, h, w = x.shape
        x = x.view(b, 3, c // 3, h, w).transpose(1, 2).reshape(b, c, h, w)
        return self.out(F.relu(self.mid(F.relu(self.second(x)))))


class Normed(nn.Module):
    """Weight norm and spectral norm, in their old form and in their new one."""

    def __init__(self) -> None:
        super().__init__()
        self.old_weight = weight_norm(nn.Conv2d(3, 5, 3, padding=1))
        self.new_weight = parametrizations.weight_norm(nn.Conv2d(5, 7, 3, padding=1))
        self.old_spectral = spectral_norm(nn.Conv2d(7, 11, 3, padding=1))
        self.new_spectral = parametrizations.spectral_norm(nn.Conv2d(11, 13, 3, padding=1))
        self.out = nn.Conv2d(13, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.old_weight, self.new_weight, self.old_spectral, self.new_spectral):
            x = F.leaky_relu(layer(x), 0.1)
        return self.out(x)


class HardSlice(nn.Module):
    """A width written into forward: the first 8 channels go one way, the others another."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(8, 5, 3, padding=1), nn.Conv2d(8, 7, 1)
        self.mid, self.out = nn.Conv2d(12, 11, 3, padding=1), nn.Conv2d(11, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        return self.out(F.relu(self.mid(torch.cat([self.a(x[:, :8]), self.b(x[:, 8:])], 1))))


class HardView(nn.Module):
    """A width written into forward: `view(b, 16, -1)`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mid, self.out = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 11, 3, padding=1), nn.Conv2d(11, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        flat = self.stem(x).view(b, 16, h * w)
        flat = flat - flat.mean(2, keepdim=True)
        return self.out(F.relu(self.mid(flat.view(b, 16, h, w))))
