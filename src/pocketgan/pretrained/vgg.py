"""VGG16 and VGG19 of perceptual losses: an image to features, by the names of their layers.

Simonyan and Zisserman 2015, configurations D and E, up to the last layer that losses read, with the weights and tensor names
of torchvision. The files also hold the rest of the networks, which is not loaded.

Verified: names, shapes and the order of layers. Not verified, as the weights were not available: the features of real images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from pocketgan.core.state_dict import read_state
from pocketgan.pretrained.weights import Published, filled, find

WEIGHTS_16 = Published(
    name="the VGG16 of torchvision",
    file="vgg16-397923af.pth",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
)
WEIGHTS = Published(
    name="the VGG19 of torchvision",
    file="vgg19-dcbb9e9d.pth",
    url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
)

BLOCKS_16 = ((64, 2), (128, 2), (256, 3), (512, 3))
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))
"""Width and number of convolutions of each block; the image is halved before all but the first."""
CONV4_3, CONV5_1 = 21, 28
"""Index of the last convolution among the published layers, in VGG16 and in VGG19."""

Network = TypeVar("Network", bound=nn.Module)


class Vgg(nn.Module):
    """Convolutions and ReLUs of a VGG; ``relu3_2`` is the second ReLU of the third block, at a quarter of the image's size.

    Takes N x 3 x H x W unchanged. torchvision trained it on RGB normalized by ImageNet's mean and deviation; the losses of
    GANs leave that out, each in its own way, and so must a loss with their weights.
    """

    def __init__(self, blocks: Iterable[tuple[int, int]]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.indices: dict[str, int] = {}
        """Index in ``features`` of each ReLU by name."""
        width_in = 3
        for block, (width, count) in enumerate(blocks, 1):
            if block > 1:
                layers.append(nn.MaxPool2d(2))
            for number in range(1, count + 1):
                layers += [nn.Conv2d(width_in, width, 3, padding=1), nn.ReLU()]
                self.indices[f"relu{block}_{number}"] = len(layers) - 1
                width_in = width
        self.features = nn.Sequential(*layers)

    def activations(self, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Outputs of the layers ``names``; the layers after the last of them do not run."""
        wanted = {self.indices[name]: name for name in names}
        found = {}
        for index in range(max(wanted) + 1):
            x = self.features[index](x)
            if index in wanted:
                found[wanted[index]] = x
        return found


class Vgg16(Vgg):
    """VGG16 up to relu4_3."""

    def __init__(self) -> None:
        super().__init__(BLOCKS_16)


class Vgg19(Vgg):
    """N x 3 x H x W in [-1, 1] -> relu1_1, relu2_1, relu3_1, relu4_1, relu5_1, N x 64 to 512 x H to H/16 x W to W/16.

    The images are taken unchanged, as in pix2pixHD, SPADE and their successors.
    """

    def __init__(self) -> None:
        super().__init__(BLOCKS)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.activations(x, [f"relu{block}_1" for block in range(1, 6)]).values())


def load_vgg16(given: str | Path | None = None) -> Vgg16:
    """`load_vgg19`, for VGG16."""
    return _load(Vgg16, CONV4_3, WEIGHTS_16, given)


def load_vgg19(given: str | Path | None = None) -> Vgg19:
    """Load the weights of the file ``given``, else the published ones from the cache or the web, frozen, on the CPU.

    Raises ``ValueError`` for missing weights and those of another network.
    """
    return _load(Vgg19, CONV5_1, WEIGHTS, given)


def _load(make: Callable[[], Network], last: int, weights: Published, given: str | Path | None) -> Network:
    """Network of the published layers up to that of index ``last``."""
    path = find(weights, given)
    published = read_state(path).state
    kept = {name: published[name] for name in published if name.startswith("features.") and int(name.split(".")[1]) <= last}
    return filled(make, kept, path=path, weights=weights)
