"""MUNIT's networks (NVlabs, GAN Compression), written down again in plain PyTorch with the published structure, hence names.

Widths are free: ``style`` of the five convolutions of the style encoder, ``stem``, ``down1``, ``trunk``, ``content`` and
``decoder`` of each residual block, ``ups``, ``mlp``.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class LayerNorm(nn.Module):
    """Over all of an image, the deviation unbiased and ``eps`` outside the root."""

    def __init__(self, channels):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.rand(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        flat = x.flatten(1)
        mean, std = (value.view(-1, 1, 1, 1) for value in (flat.mean(1), flat.std(1)))
        return (x - mean) / (std + 1e-5) * self.gamma.view(1, -1, 1, 1) + self.beta.view(1, -1, 1, 1)


class Adain(nn.Module):
    """``old``: with the two buffers that NVlabs' has and that nothing reads."""

    def __init__(self, channels, old):
        super().__init__()
        self.channels, self.weight, self.bias = channels, None, None
        if old:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        n, c, h, w = x.shape
        flat = x.reshape(1, n * c, h, w)
        return F.batch_norm(flat, None, None, self.weight, self.bias, True).view(n, c, h, w)


class Unit(nn.Module):
    def __init__(self, i, o, kernel, stride=1, norm=None, act=None, mobile=False):
        super().__init__()
        self.pad = nn.ReflectionPad2d((kernel - 1) // 2)
        self.conv = nn.Conv2d(i, o, kernel, stride)
        if mobile:
            self.conv = nn.Module()
            self.conv.conv = nn.Sequential(nn.Conv2d(i, i, kernel, groups=i), nn.InstanceNorm2d(i), nn.Conv2d(i, o, 1))
            self.conv.forward = self.conv.conv.forward
        self.norm, self.act = norm, act

    def forward(self, x):
        x = self.conv(self.pad(x))
        x = x if self.norm is None else self.norm(x)
        return x if self.act is None else self.act(x)


class Block(nn.Module):
    def __init__(self, trunk, hidden, norm, mobile):
        super().__init__()
        first = Unit(trunk, hidden, 3, norm=norm(hidden), act=nn.ReLU(), mobile=mobile)
        self.model = nn.Sequential(first, Unit(hidden, trunk, 3, norm=norm(trunk), mobile=mobile))

    def forward(self, x):
        return x + self.model(x)


def stack(*layers):
    """A module whose child ``model`` holds them."""
    whole = nn.Module()
    whole.model = nn.Sequential(*layers)
    whole.forward = whole.model.forward
    return whole


def linear(i, o, act=True):
    whole = nn.Module()
    whole.fc, layers = nn.Linear(i, o), [nn.ReLU()] * act
    whole.forward = lambda x: nn.Sequential(whole.fc, *layers)(x)
    return whole


class Munit(nn.Module):
    def __init__(
        self, style, stem, down1, trunk, content, decoder, ups, mlp, *, mobile=False, old=False, channels=3, style_dim=8
    ):
        super().__init__()
        if style:
            units = [Unit(channels, style[0], 7, act=nn.ReLU())]
            units += [Unit(i, o, 4, 2, act=nn.ReLU()) for i, o in pairwise(style)]
            self.enc_style = stack(*units, nn.AdaptiveAvgPool2d(1), nn.Conv2d(style[-1], style_dim, 1))
        entry = [Unit(channels, stem, 7, norm=self.plain(stem, old), act=nn.ReLU())]
        entry += [Unit(i, o, 4, 2, norm=self.plain(o, old), act=nn.ReLU()) for i, o in ((stem, down1), (down1, trunk))]
        blocks = stack(*(Block(trunk, hidden, lambda c: self.plain(c, old), mobile) for hidden in content))
        self.enc_content = stack(*entry, blocks)
        blocks = stack(*(Block(trunk, hidden, lambda c: Adain(c, old), mobile) for hidden in decoder))
        rising = []
        for i, o in ((trunk, ups[0]), ups):
            rising += [nn.Upsample(scale_factor=2), Unit(i, o, 5, norm=LayerNorm(o), act=nn.ReLU(), mobile=mobile)]
        self.dec = stack(blocks, *rising, Unit(ups[1], channels, 7, act=nn.Tanh()))
        self.adaptive = [module for module in self.dec.modules() if isinstance(module, Adain)]
        moments = 2 * sum(norm.channels for norm in self.adaptive)
        self.mlp = stack(linear(style_dim, mlp[0]), linear(mlp[0], mlp[1]), linear(mlp[1], moments, act=False))

    @staticmethod
    def plain(channels, old):
        """``old``: with stored statistics, as PyTorch 0.3 kept them and NVlabs' code deletes them."""
        norm = nn.InstanceNorm2d(channels)
        if old:
            norm.register_buffer("running_mean", torch.zeros(channels))
            norm.register_buffer("running_var", torch.ones(channels))
            norm.forward = F.instance_norm
        return norm

    def forward(self, image, style):
        style = self.enc_style(style) if style.shape[2:] not in ((), (1, 1)) else style
        moments = self.mlp(style.flatten(1))
        for norm in self.adaptive:
            norm.bias, norm.weight, moments = (
                moments[:, : norm.channels].flatten(),
                moments[:, norm.channels : 2 * norm.channels].flatten(),
                moments[:, 2 * norm.channels :],
            )
        return self.dec(self.enc_content(image))


class MetricAccumulator(nn.Module):
    def __init__(self, widths, channels=3):
        super().__init__()
        self.cnns = nn.ModuleList()
        for own in widths:
            units = [Unit(i, o, 4, 2, act=nn.LeakyReLU(0.2)) for i, o in pairwise([channels, *own])]
            self.cnns.append(nn.Sequential(*units, nn.Conv2d(own[-1], 1, 1)))

    def forward(self, x):
        found = []
        for net in self.cnns:
            found.append(net(x))
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return found
