"""VGG19 of perceptual losses: an image to five features.

Simonyan and Zisserman 2015, configuration E, up to the first ReLU of its fifth block, with the weights and tensor names of
torchvision. The file also holds the rest of the network, which is not loaded.

Verified: names, shapes and the order of layers. Not verified, as the weights were not available: the features of real images.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from pocketgan.core.state_dict import read_state
from pocketgan.pretrained.weights import Published, filled, find

WEIGHTS = Published(
    name="the VGG19 of torchvision",
    file="vgg19-dcbb9e9d.pth",
    url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
)

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))
"""Width and number of convolutions of each block; the image is halved before all but the first."""
CONV5_1 = 28
"""Index of the last convolution among the published layers."""


class Vgg19(nn.Module):
    """N x 3 x H x W -> the outputs relu1_1, relu2_1, relu3_1, relu4_1, relu5_1, N x 64 to 512 x H to H/16 x W to W/16.

    Takes images in [-1, 1] unchanged. torchvision trained it on RGB normalized by ImageNet's mean and deviation;
    pix2pixHD, SPADE and their successors leave that out, and so must a loss with their weights.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        """Index in ``features`` of the first ReLU of each block."""
        width_in = 3
        for block, (width, count) in enumerate(BLOCKS):
            if block > 0:
                layers.append(nn.MaxPool2d(2))
            self.taps.append(len(layers) + 1)
            for _ in range(count):
                layers += [nn.Conv2d(width_in, width, 3, padding=1), nn.ReLU()]
                width_in = width
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        kept = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                kept.append(x)
        return tuple(kept)


def load_vgg19(given: str | Path | None = None) -> Vgg19:
    """Load the weights of the file ``given``, else the published ones from the cache or the web, frozen, on the CPU.

    Raises ``ValueError`` for missing weights and those of another network.
    """
    path = find(WEIGHTS, given)
    published = read_state(path).state
    kept = {name: published[name] for name in published if name.startswith("features.") and int(name.split(".")[1]) <= CONV5_1}
    return filled(Vgg19, kept, path=path, weights=WEIGHTS)
