"""The published networks, written down again in plain PyTorch with the published structure, hence names.

From the descriptions of pytorch-CycleGAN-and-pix2pix and GAN Compression; widths are free, so that pruned files exist.
"""

from itertools import pairwise

import torch
from torch import nn


def norm_of(kind, channels):
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=kind == "instance_affine")


class Net(nn.Module):
    def __init__(self, layers, name="model"):
        super().__init__()
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x):
        return next(self.children())(x)


class Separable(nn.Module):
    def __init__(self, i, o, bias):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(i, i, 3, groups=i, bias=bias), nn.InstanceNorm2d(i), nn.Conv2d(i, o, 1, bias=bias))

    def forward(self, x):
        return self.conv(x)


class Block(nn.Module):
    def __init__(self, trunk, hidden, norm, dropout, mobile):
        super().__init__()
        bias = norm != "batch"

        def conv(i, o):
            return Separable(i, o, bias) if mobile else nn.Conv2d(i, o, 3, bias=bias)

        layers = [nn.ReflectionPad2d(1), conv(trunk, hidden), norm_of(norm, hidden), nn.ReLU(True)]
        layers += [nn.Dropout(0.5)] if dropout or mobile else []
        layers += [nn.ReflectionPad2d(1), conv(hidden, trunk), norm_of(norm, trunk)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv_block(x)


def resnet(stem, down1, trunk, up1, up2, hidden=(), norm="instance", dropout=False, channels=(3, 3), mobile=False):
    bias = norm != "batch"
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels[0], stem, 7, bias=bias), norm_of(norm, stem), nn.ReLU(True)]
    for i, o in ((stem, down1), (down1, trunk)):
        layers += [nn.Conv2d(i, o, 3, 2, 1, bias=bias), norm_of(norm, o), nn.ReLU(True)]
    layers += [Block(trunk, h, norm, dropout, mobile) for h in hidden]
    for i, o in ((trunk, up1), (up1, up2)):
        layers += [nn.ConvTranspose2d(i, o, 3, 2, 1, 1, bias=bias), norm_of(norm, o), nn.ReLU(True)]
    return Net([*layers, nn.ReflectionPad2d(3), nn.Conv2d(up2, channels[1], 7), nn.Tanh()])


class SkipBlock(nn.Module):
    """A level of the U-Net around the next inner one."""

    def __init__(self, layers, outermost):
        super().__init__()
        self.outermost = outermost
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        # The first layer of an inner level works in place, as published: x is then what the skip carries.
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def unet(down, up, norm="batch", channels=(3, 3)):
    """``down``: widths of levels 1..depth; ``up``: what levels 2..depth give to the level outside."""
    depth, bias, inner = len(down), norm != "batch", None
    for k in range(depth, 0, -1):
        before = channels[0] if k == 1 else down[k - 2]
        after = channels[1] if k == 1 else up[k - 2]
        below = down[k - 1] if k == depth else down[k - 1] + up[k - 1]
        if k == 1:
            head = nn.ConvTranspose2d(below, after, 4, 2, 1)
            layers = [nn.Conv2d(before, down[0], 4, 2, 1, bias=bias), inner, nn.ReLU(True), head, nn.Tanh()]
        else:
            layers = [nn.LeakyReLU(0.2, True), nn.Conv2d(before, down[k - 1], 4, 2, 1, bias=bias)]
            layers += [] if k == depth else [norm_of(norm, down[k - 1]), inner]
            layers += [nn.ReLU(True), nn.ConvTranspose2d(below, after, 4, 2, 1, bias=bias), norm_of(norm, after)]
            layers += [nn.Dropout(0.5)] if 5 <= k < depth else []
        inner = SkipBlock(layers, k == 1)
    whole = nn.Module()
    whole.model = inner
    whole.forward = inner.forward
    return whole


def patchgan(widths, norm="instance", channels=3):
    layers = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for k, (i, o) in enumerate(pairwise(widths), 2):
        stride = 1 if k == len(widths) else 2
        layers += [nn.Conv2d(i, o, 4, stride, 1, bias=norm != "batch"), norm_of(norm, o), nn.LeakyReLU(0.2, True)]
    return Net([*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1)])


def pixel(first, second, norm="instance", channels=3):
    bias = norm != "batch"
    layers = [nn.Conv2d(channels, first, 1), nn.LeakyReLU(0.2, True), nn.Conv2d(first, second, 1, bias=bias)]
    layers += [norm_of(norm, second), nn.LeakyReLU(0.2, True), nn.Conv2d(second, 1, 1, bias=bias)]
    return Net(layers, "net")


def trained(net, seed=0):
    """The network with random values in every tensor, so that no two can be swapped unnoticed; evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif tensor.is_floating_point():
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
        else:
            tensor.fill_(17)
    return net.eval()
