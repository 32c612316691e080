"""CAT's generators, written down again in plain PyTorch with the published structure, hence names.

A block's branches are given as ``{"res": {kernel: width}, "dw": {kernel: width}}``: those that were pruned are left out, as in
the published files.
"""

import torch
from published import norm_of
from published_gaugan import LabelGenerator
from torch import nn


class InceptionBlock(nn.Module):
    def __init__(self, trunk, branches, norm, dropout=0.0):
        super().__init__()
        bias = norm not in ("batch", "untracked")

        def unit(i, o, k, groups=1):
            return nn.Sequential(nn.Conv2d(i, o, k, groups=groups, bias=bias), make(norm, o), nn.ReLU())

        self.res_ops, self.dw_ops = nn.ModuleList(), nn.ModuleList()
        for k, width in branches["res"].items():
            pad, last = nn.ReflectionPad2d(k // 2), nn.Conv2d(width, trunk, k, bias=bias)
            self.res_ops.append(nn.Sequential(pad, unit(trunk, width, k), nn.Dropout(dropout), pad, last))
        for k, width in branches["dw"].items():
            last = nn.Conv2d(width, trunk, 1, bias=bias)
            inner = unit(width, width, k, width)
            self.dw_ops.append(
                nn.Sequential(unit(trunk, width, 1), nn.ReflectionPad2d(k // 2), inner, nn.Dropout(dropout), last)
            )
        self.pw_bn = make(norm, trunk)

    def forward(self, x):
        parts = [op(x) for op in (*self.res_ops, *self.dw_ops)]
        return x + self.pw_bn(sum(parts)) if parts else x


def make(norm, channels):
    """``untracked``: batch norm that keeps no statistics."""
    return nn.BatchNorm2d(channels, track_running_stats=False) if norm == "untracked" else norm_of(norm, channels)


def inception(stem, down1, trunk, up1, up2, blocks, norm="instance_affine", channels=(3, 3)):
    bias = norm not in ("batch", "untracked")
    down = [nn.ReflectionPad2d(3), nn.Conv2d(channels[0], stem, 7, bias=bias), make(norm, stem), nn.ReLU()]
    for i, o in ((stem, down1), (down1, trunk)):
        down += [nn.Conv2d(i, o, 3, 2, 1, bias=bias), make(norm, o), nn.ReLU()]
    up = []
    for i, o in ((trunk, up1), (up1, up2)):
        up += [nn.ConvTranspose2d(i, o, 3, 2, 1, 1, bias=bias), make(norm, o), nn.ReLU()]
    up += [nn.ReflectionPad2d(3), nn.Conv2d(up2, channels[1], 7), nn.Tanh()]
    whole = nn.Sequential()
    whole.add_module("down_sampling", nn.Sequential(*down))
    whole.add_module("features", nn.Sequential(*(InceptionBlock(trunk, block, norm) for block in blocks)))
    whole.add_module("up_sampling", nn.Sequential(*up))
    return whole


class ConvNorm(nn.Module):
    def __init__(self, i, o, k, *, groups=1, affine=True):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(i, o, k, padding=k // 2, groups=groups), nn.BatchNorm2d(o, affine=affine)

    def forward(self, x):
        return self.norm(self.conv(x)).relu()


class Conv(nn.Module):
    def __init__(self, i, o, k, *, bias=True):
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, padding=k // 2, bias=bias)

    def forward(self, x):
        return self.conv(x)


def plain_conv(i, o, k):
    return nn.Conv2d(i, o, k, padding=k // 2)


def ops(reads, writes, branches, last, affine):
    """Both lists of branches; ``last`` makes their last convolution, ``affine`` is of the depthwise norms."""
    res = [nn.Sequential(ConvNorm(reads, w, k), last(w, writes, k)) for k, w in branches["res"].items()]
    dw = [
        nn.Sequential(ConvNorm(reads, w, 1), ConvNorm(w, w, k, groups=w, affine=affine), last(w, writes, 1))
        for k, w in branches["dw"].items()
    ]
    return nn.ModuleList(res), nn.ModuleList(dw)


class Modulation(nn.Module):
    def __init__(self, channels, labels, branches):
        super().__init__()
        self.param_free_norm = nn.BatchNorm2d(channels, affine=False)
        self.res_ops, self.dw_ops = ops(labels, 2 * channels, branches, plain_conv, True)

    def forward(self, x, labels):
        labels = nn.functional.interpolate(labels, size=x.shape[2:], mode="nearest")
        parts = [op(labels) for op in (*self.res_ops, *self.dw_ops)]
        if not parts:
            return self.param_free_norm(x)
        gamma, beta = sum(parts).chunk(2, 1)
        return self.param_free_norm(x) * (1 + gamma) + beta


class LabelBlock(nn.Module):
    def __init__(self, reads, writes, labels, branches, modulating, shortcut):
        super().__init__()
        self.res_ops, self.dw_ops = ops(reads, writes, branches, Conv, False)
        self.learned = shortcut
        if shortcut:
            self.shortcut = nn.Sequential(nn.BatchNorm2d(reads), Conv(reads, writes, 1, bias=False))
        self.spade = Modulation(reads, labels, modulating)

    def forward(self, x, labels):
        skip = self.shortcut(x) if self.learned else x
        if not (self.res_ops or self.dw_ops):
            return skip
        y = self.spade(x, labels).relu()
        return skip + sum(op(y) for op in (*self.res_ops, *self.dw_ops))


def inception_spade(trunk, ups, blocks, labels=4, upsamplings=5):
    """``blocks``: ``(branches, branches of the modulation)`` of each, from the smallest map up."""
    ends = [(trunk, trunk)] * 3 + [(a, b) for a, b in zip([trunk, *ups], ups, strict=False)]
    names = ["head_0", "G_middle_0", "G_middle_1", *(f"up_{k}" for k in range(len(ups)))]
    made = {
        name: LabelBlock(*end, labels, *own, shortcut=name.startswith("up"))
        for name, end, own in zip(names, ends, blocks, strict=True)
    }
    return LabelGenerator(made, trunk, ups[-1], labels, upsamplings, fc_norm=nn.BatchNorm2d(trunk))


def draw(branches):
    """``{"res1": 3, "dw5": 2, ...}`` as the nested form."""
    found = {"res": {}, "dw": {}}
    for name, width in branches.items():
        kind = name.rstrip("0123456789")
        found[kind][int(name.removeprefix(kind))] = width
    return found


def one_image(net, image):
    """Batch norms without statistics see one image at a time."""
    return torch.cat([net(one[None]) for one in image])
