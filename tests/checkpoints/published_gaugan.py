"""GauGAN's networks (SPADE, GAN Compression), written down again in plain PyTorch with the published structure, hence names.

Widths are free. ``normed``: channels that the running statistics have, more than the network's own in a sub-network that
GAN Compression exported.
"""

import torch
import torch.nn.functional as F
from published import norm_of
from torch import nn
from torch.nn.utils import spectral_norm


def separable(i, o, norm):
    """Depthwise and pointwise, zero padding."""
    whole = nn.Module()
    middle = nn.BatchNorm2d(i) if norm == "batch" else nn.InstanceNorm2d(i)
    whole.conv = nn.Sequential(nn.Conv2d(i, i, 3, padding=1, groups=i), middle, nn.Conv2d(i, o, 1))
    whole.forward = whole.conv.forward
    return whole


class PrefixNorm(nn.BatchNorm2d):
    """Running statistics of more channels than it sees: those of the leading ones count, in evaluation."""

    def forward(self, x):
        mean, variance = self.running_mean[: x.shape[1]], self.running_var[: x.shape[1]]
        return F.batch_norm(x, mean, variance, None, None, False, 0.0, self.eps)


class Spade(nn.Module):
    def __init__(self, channels, labels, hidden, *, norm="batch", mobile=None, normed=None):
        super().__init__()
        batch = PrefixNorm(normed, affine=False) if normed else nn.BatchNorm2d(channels, affine=False)
        self.param_free_norm = batch if norm == "batch" else nn.InstanceNorm2d(channels)
        self.mlp_shared = nn.Sequential(nn.Conv2d(labels, hidden, 3, padding=1), nn.ReLU())
        for name in ("mlp_gamma", "mlp_beta"):
            conv = nn.Conv2d(hidden, channels, 3, padding=1) if mobile is None else separable(hidden, channels, mobile)
            self.add_module(name, conv)

    def forward(self, x, labels):
        hidden = self.mlp_shared(F.interpolate(labels, size=x.shape[2:], mode="nearest"))
        return self.param_free_norm(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)


class SpadeBlock(nn.Module):
    """``shortcut``: whether it is learned, which the full widths decide and not the slim ones."""

    def __init__(self, reads, middle, writes, labels, hidden, *, shortcut, spectral=False, normed=None, **style):
        super().__init__()
        wrap = spectral_norm if spectral else (lambda layer: layer)
        before, between = normed or (None, None)
        self.conv_0 = wrap(nn.Conv2d(reads, middle, 3, padding=1))
        self.conv_1 = wrap(nn.Conv2d(middle, writes, 3, padding=1))
        self.norm_0 = Spade(reads, labels, hidden[0], normed=before, **style)
        self.norm_1 = Spade(middle, labels, hidden[1], normed=between, **style)
        self.learned = shortcut
        if shortcut:
            self.conv_s = wrap(nn.Conv2d(reads, writes, 1, bias=False))
            self.norm_s = Spade(reads, labels, hidden[2], normed=before, **style)

    def forward(self, x, labels):
        skip = self.conv_s(self.norm_s(x, labels)) if self.learned else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, labels), 0.2))
        return skip + self.conv_1(F.leaky_relu(self.norm_1(y, labels), 0.2))


class LabelGenerator(nn.Module):
    """The shell: ``blocks`` by their published names, from the smallest map up."""

    def __init__(self, blocks, first, last, labels, upsamplings, writes=3, fc_norm=None):
        super().__init__()
        self.upsamplings = upsamplings
        if fc_norm is not None:
            self.fc_norm = fc_norm
        self.fc = nn.Conv2d(labels, first, 3, padding=1)
        for name, block in blocks.items():
            self.add_module(name, block)
        self.names = list(blocks)
        self.conv_img = nn.Conv2d(last, writes, 3, padding=1)

    def forward(self, labels):
        size = [side // 2**self.upsamplings for side in labels.shape[2:]]
        x = self.fc(F.interpolate(labels, size=size, mode="nearest"))
        x = self.fc_norm(x) if hasattr(self, "fc_norm") else x
        for name in self.names:
            if name != "head_0" and (name != "G_middle_1" or self.upsamplings > 5):
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.get_submodule(name)(x, labels)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


def spade(trunk, hidden, ups, labels=4, upsamplings=5, modulations=3, **style):
    """``hidden``: of head and middle; ``ups``: ``(hidden, output)`` of the others."""
    blocks, reads = {}, trunk
    for name, own in zip(("head_0", "G_middle_0", "G_middle_1"), hidden, strict=True):
        blocks[name] = SpadeBlock(trunk, own, trunk, labels, (modulations, modulations + 1), shortcut=False, **style)
    for k, (own, writes) in enumerate(ups):
        widths = (modulations + k, modulations, modulations + 2)
        blocks[f"up_{k}"] = SpadeBlock(reads, own, writes, labels, widths, shortcut=True, **style)
        reads = writes
    return LabelGenerator(blocks, trunk, reads, labels, upsamplings)


def sub_mobile_spade(configuration, ngf, labels=4, upsamplings=6):
    """Network that GAN Compression exports: widths by eight numbers, running statistics as wide as at ``ngf``."""
    trunk = 16 * configuration[0]
    blocks, reads, whole = {}, trunk, 16 * ngf
    for name, c in zip(("head_0", "G_middle_0", "G_middle_1"), configuration[1:4], strict=True):
        style = {"shortcut": False, "mobile": "instance", "normed": (whole, whole)}
        blocks[name] = SpadeBlock(trunk, 16 * c, trunk, labels, (2 * c, 2 * c), **style)
    for k, (c, times) in enumerate(zip(configuration[4:], (8, 4, 2, 1), strict=True)):
        style = {"shortcut": True, "mobile": "instance", "normed": (whole, times * ngf)}
        blocks[f"up_{k}"] = SpadeBlock(reads, times * c, times * c, labels, (2 * c,) * 3, **style)
        reads, whole = times * c, times * ngf
    return LabelGenerator(blocks, trunk, reads, labels, upsamplings)


def multiscale(widths, channels=5, norm="instance", spectral=True):
    """``widths``: of every scale, from input to output."""
    wrap = spectral_norm if spectral else (lambda layer: layer)
    whole = nn.Module()
    for k, own in enumerate(widths):
        scale, reads = nn.Module(), channels
        for j, width in enumerate(own):
            conv = nn.Conv2d(reads, width, 4, 1 if 0 < j == len(own) - 1 else 2, 2, bias=j == 0)
            inner = nn.Sequential(wrap(conv), norm_of(norm, width)) if j else conv
            scale.add_module(f"model{j}", nn.Sequential(inner, nn.LeakyReLU(0.2)))
            reads = width
        scale.add_module(f"model{len(own)}", nn.Sequential(nn.Conv2d(reads, 1, 4, 1, 2)))
        whole.add_module(f"discriminator_{k}", scale)

    def forward(x):
        logits = []
        for scale in whole.children():
            y = x
            for layer in scale.children():
                y = layer(y)
            logits.append(y)
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return tuple(logits)

    whole.forward = forward
    return whole
