"""Inputs of a network (images, latents or both) by the names that batches have for them, and sizes of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pocketgan.utils.registry import listed

MAX_SIDE = 16_384
"""Longest side of an image, in pixels."""

Shape = tuple[int, int]
"""Height and width in pixels."""

Size = int | Shape
"""Side of a square, or height and width."""

ModelInputs = Tensor | tuple[Tensor, ...]
"""An image, or all inputs of a network in the order of its `inputs_of`."""


def shape_of(width: int, aspect: float) -> Shape:
    """Height and width of an image of ``width``, whose width over height is ``aspect``.

    Raises ``ValueError`` for an aspect that is no positive number, or leaves less than two rows, and above `MAX_SIDE`.
    """
    if width > MAX_SIDE or 0 < aspect < width / MAX_SIDE:
        raise ValueError(f"size={listed([str(width)])}, aspect={aspect:g}: images have at most {MAX_SIDE:,} pixels a side")
    if not 0 < aspect < math.inf or round(width / aspect) < 2:
        raise ValueError(
            f"aspect={aspect:g} is width over height: with size={width} it must be above 0 and at most {width / 2:g}"
        )
    return round(width / aspect), width


def as_shape(size: int | Sequence[int]) -> Shape:
    """Height and width of a `Size`."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


def as_size(shape: Shape) -> Size:
    """Inverse of `as_shape`: one number for a square, else (height, width)."""
    return shape[1] if shape[0] == shape[1] else shape


def size_text(shape: Shape) -> str:
    """Size for people, width first: ``512 x 256``."""
    return f"{shape[1]} x {shape[0]}"


@dataclass(frozen=True)
class Input:
    """Description of one input tensor of a network."""

    name: str
    """Key in a batch: ``input``, ``style``, ``noise``."""
    channels: int
    is_latent: bool = False
    """True for N x channels standard normal numbers, drawn anew for every image; else images N x channels x H x W."""
    optional: bool = False
    """True if the network has constants in its place. Drawn in training and where sets of images are evaluated, as
    published; left out of exported files and of single images for display."""
    reference_channels: int = 0
    """Channels of an image that may be given instead of the latent, which the network then encodes; 0 for none."""

    def shape(self, batch: int, shape: Shape) -> tuple[int, ...]:
        """Shape of the tensor for ``batch`` images of that height and width: of the reference image, where there may be one."""
        spatial = not self.is_latent or self.reference_channels > 0
        return (batch, self.reference_channels or self.channels, *(shape if spatial else ()))


def inputs_of(model: nn.Module) -> tuple[Input, ...]:
    """Inputs of the network, in the order of its forward: those of its spec, else one image."""
    return _of_spec(model) or (Input("input", image_channels(model)),)


def required_extra_inputs(model: nn.Module) -> tuple[Input, ...]:
    """Inputs after the first that are not optional."""
    return tuple(spec for spec in _of_spec(model)[1:] if not spec.optional)


def latent_inputs(model: nn.Module) -> dict[str, int]:
    """``{name: numbers an image}`` of the latents; empty for a network of images alone."""
    return {spec.name: spec.channels for spec in _of_spec(model) if spec.is_latent}


def select_inputs(batch: Mapping[str, Tensor], model: nn.Module) -> tuple[Tensor, ...]:
    """Inputs of the network from a batch, in order; optional ones that are absent are left out."""
    specs = _of_spec(model)
    names = [spec.name for spec in specs if spec.name in batch or not spec.optional] if specs else ["input"]
    return tuple(batch[name] for name in names)


def examples(model: nn.Module, shape: Shape, *, batch: int = 1, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
    """Random inputs (no optional ones) for images of that height and width: images in [-1, 1], normal latents."""
    with torch.device(device):
        return tuple(
            torch.rand(lengths) * 2 - 1 if len(lengths) == 4 else torch.randn(lengths)
            for lengths in (spec.shape(batch, shape) for spec in inputs_of(model) if not spec.optional)
        )


def input_shapes(model: nn.Module, shape: Shape) -> tuple[tuple[int, ...], ...]:
    """Shapes of the required inputs for one image of that height and width."""
    return tuple(spec.shape(1, shape) for spec in inputs_of(model) if not spec.optional)


def latent_from_seed(seed: int, length: int) -> Tensor:
    """1 x length standard normal numbers, the same ones for a seed always."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((1, length), dtype=np.float32))


def as_tuple(given: ModelInputs) -> tuple[Tensor, ...]:
    """Inputs as the arguments of a forward."""
    return given if isinstance(given, tuple) else (given,)


def image_channels(model: nn.Module) -> int:
    """Channels of the input image: ``in_channels`` of the spec, else those of the first convolution."""
    channels = getattr(getattr(model, "spec", None), "in_channels", None)
    if isinstance(channels, int):
        return channels
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return int(module.in_channels)
    raise ValueError(f"{type(model).__name__} has no convolution: say how many channels its input has")


def output_channels(model: nn.Module) -> int:
    """Channels of the output image: ``out_channels`` of the spec; 3 where a spec states none."""
    channels = getattr(getattr(model, "spec", None), "out_channels", 3)
    assert isinstance(channels, int)
    return channels


def run(model: nn.Module, given: ModelInputs) -> Tensor:
    """Output of the network for an image, or for all of its inputs."""
    return model(*as_tuple(given))  # type: ignore[no-any-return]


def _of_spec(model: nn.Module) -> tuple[Input, ...]:
    inputs: tuple[Input, ...] = getattr(getattr(model, "spec", None), "inputs", ())
    return inputs
