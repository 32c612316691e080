"""DeepLabV2, the segmentation network of COCO-Stuff: scores of 182 classes at an eighth of the image's size.

Chen et al. 2017, "DeepLab: semantic image segmentation with deep convolutional nets, atrous convolution, and fully connected
CRFs": a ResNet-101 whose last two levels are dilated instead of strided, four dilated classifiers that are summed
(section 3.2), and the maximum over three sizes of the image (section 4.1.2), without the CRF. Weights and names
are those of K. Nakashima (github.com/kazuto1011/deeplab-pytorch), whose file loads strictly.

Verified: names, shapes and outputs are those of the published code with the same random weights. Not verified, as the
weights were not available: that the published file holds these names, and its stated accuracy.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from pocketgan.pretrained.weights import Published

WEIGHTS = Published(
    name="the DeepLabV2 of COCO-Stuff",
    file="deeplabv2_resnet101_msc-cocostuff164k-100000.pth",
    url="https://github.com/kazuto1011/deeplab-pytorch/releases/download/v1.0/deeplabv2_resnet101_msc-cocostuff164k-100000.pth",
    sha256="",
)
CLASSES = 182
RATES = (6, 12, 18, 24)
"""Dilations of the four classifiers."""
SCALES = (0.5, 0.75)
"""Sizes of the image in addition to its own."""


class Unit(nn.Sequential):
    """Convolution and batch norm."""

    def __init__(self, in_width: int, width: int, kernel: int = 1, stride: int = 1, dilation: int = 1):
        padding = dilation * (kernel // 2)
        conv = nn.Conv2d(in_width, width, kernel, stride, padding, dilation, bias=False)
        super().__init__(OrderedDict(conv=conv, bn=nn.BatchNorm2d(width)))


class Bottleneck(nn.Module):
    """``relu(shortcut(x) + increase(conv3x3(reduce(x))))``; the stride is that of the first, as in the Caffe ResNet."""

    def __init__(self, in_width: int, width: int, stride: int, dilation: int, *, first: bool):
        super().__init__()
        self.reduce = Unit(in_width, width // 4, stride=stride)
        self.conv3x3 = Unit(width // 4, width // 4, 3, dilation=dilation)
        self.increase = Unit(width // 4, width)
        self.shortcut = Unit(in_width, width, stride=stride) if first else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.increase(relu(self.conv3x3(relu(self.reduce(x))))) + self.shortcut(x))


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: classifiers of increasing dilation, summed (section 3.2)."""

    def __init__(self, in_width: int):
        super().__init__()
        for index, rate in enumerate(RATES):
            self.add_module(f"c{index}", nn.Conv2d(in_width, CLASSES, 3, padding=rate, dilation=rate))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([classifier(x) for classifier in self.children()]).sum(0)


class DeepLab(nn.Module):
    """N x 3 x H x W, BGR minus the mean -> N x 182 x h x w, the largest scores over three sizes; h and w are about H/8, W/8."""

    def __init__(self) -> None:
        super().__init__()
        stem = OrderedDict(conv1=Unit(3, 64, 7, 2), relu=nn.ReLU(), pool=nn.MaxPool2d(3, 2, 1, ceil_mode=True))
        self.base = nn.Sequential(
            OrderedDict(
                layer1=nn.Sequential(stem),
                layer2=_level(64, 256, 3),
                layer3=_level(256, 512, 4, stride=2),
                layer4=_level(512, 1024, 23, dilation=2),
                layer5=_level(1024, 2048, 3, dilation=4),
                aspp=Aspp(2048),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.base(x)
        for scale in SCALES:
            smaller = self.base(interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False))
            enlarged = interpolate(smaller, size=scores.shape[-2:], mode="bilinear", align_corners=False)
            scores = scores.maximum(enlarged)
        return scores


def _level(in_width: int, width: int, count: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    blocks = OrderedDict[str, nn.Module](block1=Bottleneck(in_width, width, stride, dilation, first=True))
    blocks |= {f"block{index}": Bottleneck(width, width, 1, dilation, first=False) for index in range(2, count + 1)}
    return nn.Sequential(blocks)
