"""DRN-D-105, the segmentation network of Cityscapes: scores of 19 classes for each pixel of a street scene.

Yu, Koltun and Funkhouser 2017, "Dilated Residual Networks", in the form "D" of their published code (github.com/fyu/drn):
eight levels of (1, 1, 3, 4, 23, 3, 1, 1) layers, no pooling, an eighth of the image's size from the fourth on, where
dilation replaces strides. Modules have the published names, so that ``drn-d-105_ms_cityscapes.pth`` loads strictly;
"ms" is its training, it runs once for an image.

Verified: names, shapes and outputs are those of the published code with the same random weights. Not verified, as the
weights were not available: that the published file holds these names, and the 75.6 % mIoU that its authors state on real
images of the validation set. Measure it before you trust a number.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from pocketgan.pretrained.weights import Published

WEIGHTS = Published(
    name="the DRN-D-105 of Cityscapes",
    file="drn-d-105_ms_cityscapes.pth",
    url=None,
    sha256="",
    page="http://go.yf.io/drn-cityscapes-models",
)
CLASSES = 19
SCALE = 8
"""Factor by which the scores are enlarged."""


class Bottleneck(nn.Module):
    """``relu(x + c(b(a(x))))``, with a projection of x where the shapes differ (He et al. 2016, figure 5)."""

    def __init__(self, in_width: int, width: int, stride: int, dilation: int):
        super().__init__()
        out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(in_width, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        same = stride == 1 and in_width == out
        self.downsample = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(in_width, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        return relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Drn(nn.Module):
    """N x 3 x H x W, normalized -> log-probabilities N x 19 x H x W; H and W are rounded up to multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Sequential(
            _plain(3, 16, 7),
            _plain(16, 16),
            _plain(16, 32, stride=2),
            _residual(32, 64, 3, stride=2),
            _residual(256, 128, 4, stride=2),
            _residual(512, 256, 23, dilation=2),
            _residual(1024, 512, 3, dilation=4),
            _plain(2048, 512, dilation=2),
            _plain(512, 512),
        )
        self.seg = nn.Conv2d(512, CLASSES, 1)
        self.up = nn.ConvTranspose2d(CLASSES, CLASSES, 2 * SCALE, SCALE, SCALE // 2, groups=CLASSES, bias=False)
        with torch.no_grad():
            self.up.weight.copy_(bilinear(SCALE))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.up(self.seg(self.base(x)))
        return scores.log_softmax(1)


def bilinear(scale: int) -> Tensor:
    """Filter, 2 scale x 2 scale, of a transposed convolution that enlarges ``scale`` times by linear interpolation."""
    position = torch.arange(2 * scale, device="cpu")  # on the meta device torch would import its compiler first
    distance = (position - (scale - 0.5)).abs() / scale
    return (1 - distance).outer(1 - distance)


def _plain(in_width: int, width: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(in_width, width, kernel, stride, padding, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())


def _residual(in_width: int, width: int, count: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width, 1, dilation) for _ in range(count - 1))
    return nn.Sequential(Bottleneck(in_width, width, stride, dilation), *rest)
