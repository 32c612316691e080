"""What the images of label maps are compared with the real ones by, beside a discriminator."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.pretrained.vgg import load_vgg19
from pocketgan.tasks.spade import Perception
from pocketgan.utils.errors import unknown

KINDS = ("vgg19", "pixels", "none")


class Perceptual(NamedTuple):
    """What `pocketgan.tasks.spade` is told of it."""

    perception: Perception | None
    pixels: bool


def make_perceptual(text: str, device: torch.device) -> Perceptual:
    """``vgg19``, ``vgg19:FILE``, ``pixels`` or ``none``.

    Raises ``ValueError`` for another name, and where the weights of VGG19 cannot be had, naming the two ways to do without.
    """
    name, _, file = text.partition(":")
    if name not in KINDS or (file and name != "vgg19"):
        raise unknown("perceptual loss", text, KINDS)
    if name != "vgg19":
        return Perceptual(None, name == "pixels")
    try:
        network = _vgg19(file)
    except ValueError as error:
        raise ValueError(
            f"{error}; or train without: perceptual=pixels compares pixels (L1), perceptual=none leaves it to the discriminator"
        ) from None
    return Perceptual(_On(network.to(device)), pixels=False)


@lru_cache(maxsize=1)
def _vgg19(file: str) -> nn.Module:
    return load_vgg19(file or None)


class _On:
    """The network, on the device of the images; no module of a task, as nobody trains or saves it."""

    def __init__(self, network: nn.Module):
        self.network = network

    def __call__(self, images: Tensor) -> Any:
        return self.network(images)
