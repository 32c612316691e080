"""What a network reads: an image, numbers drawn at random, or both; by the names that batches have for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pocketgan.core.shape import Shape

ModelInputs = Tensor | tuple[Tensor, ...]
"""An image, or all that a network reads, in the order of its `inputs_of`."""


@dataclass(frozen=True)
class Input:
    """One tensor that a network reads."""

    name: str
    """What a batch calls it: ``input``, ``style``, ``noise``."""
    channels: int
    is_latent: bool = False
    """N x channels numbers, standard normal and drawn anew for every image; else images N x channels x H x W."""
    optional: bool = False
    """It may be left out: the network then has constants of its own. Drawn while it learns and where sets of images are
    evaluated, as published; left out of exported files and where single images are shown."""
    reference_channels: int = 0
    """Of how many channels an image may be that is given in the place of the numbers, which are then read off it."""

    def shape(self, batch: int, shape: Shape) -> tuple[int, ...]:
        """Of the tensor for ``batch`` images of that height and width: the image, where there may be one."""
        spatial = not self.is_latent or self.reference_channels > 0
        return (batch, self.reference_channels or self.channels, *(shape if spatial else ()))


def inputs_of(model: nn.Module) -> tuple[Input, ...]:
    """What the network reads, in the order of its forward: as its spec says, else one image."""
    return _said(model) or (Input("input", image_channels(model)),)


def required_extra_inputs(model: nn.Module) -> tuple[Input, ...]:
    """What the network cannot do without beside the first that it reads."""
    return tuple(each for each in _said(model)[1:] if not each.optional)


def latent_inputs(model: nn.Module) -> dict[str, int]:
    """``{name: numbers an image}`` of what must be drawn at random for it; empty where it reads images alone."""
    return {each.name: each.channels for each in _said(model) if each.is_latent}


def select_inputs(batch: Mapping[str, Tensor], model: nn.Module) -> tuple[Tensor, ...]:
    """What the network reads of a batch, in its order; what is optional and not there is left out."""
    said = _said(model)
    names = [each.name for each in said if each.name in batch or not each.optional] if said else ["input"]
    return tuple(batch[name] for name in names)


def examples(model: nn.Module, shape: Shape, *, batch: int = 1, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
    """Random inputs as the network meets them in use (nothing optional), for images of that height and width."""
    with torch.device(device):
        return tuple(
            torch.rand(own) * 2 - 1 if len(own) == 4 else torch.randn(own)
            for own in (each.shape(batch, shape) for each in inputs_of(model) if not each.optional)
        )


def input_shapes(model: nn.Module, shape: Shape) -> tuple[tuple[int, ...], ...]:
    """The shapes of what it reads for one image of that height and width."""
    return tuple(each.shape(1, shape) for each in inputs_of(model) if not each.optional)


def latent_from_seed(seed: int, length: int) -> Tensor:
    """1 x length standard normal numbers: the same ones for that seed always, whatever network reads them."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((1, length), dtype=np.float32))


def as_tuple(given: ModelInputs) -> tuple[Tensor, ...]:
    """All that is given to a network, as its forward takes it."""
    return given if isinstance(given, tuple) else (given,)


def image_channels(model: nn.Module) -> int:
    """How many channels the image has that the network reads: as its spec says, else what the first convolution reads."""
    said = getattr(getattr(model, "spec", None), "in_channels", None)
    if isinstance(said, int):
        return said
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return int(module.in_channels)
    raise ValueError(f"{type(model).__name__} has no convolution: say how many channels its input has")


def run(model: nn.Module, given: ModelInputs) -> Tensor:
    """What the network makes of an image, or of all that it reads."""
    return model(*as_tuple(given))  # type: ignore[no-any-return]


def _said(model: nn.Module) -> tuple[Input, ...]:
    said: tuple[Input, ...] = getattr(getattr(model, "spec", None), "inputs", ())
    return said
