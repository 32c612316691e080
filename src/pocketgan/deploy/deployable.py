"""Generator in the form that is exported: frozen, float32, on the CPU and, if its input is an image, of any image size."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import Input, required_extra_inputs

MAX_UNITS = 64
"""Squares of 1 to this many strides a side are tried to find the smallest image."""


class Deployable(nn.Module):
    """A generator that takes any height and width from ``min_side`` up.

    The image is padded at the bottom and right to the next multiple of the generator's stride, and the output is
    cropped back. An image whose sides are multiples already is passed on untouched. The padding is a reflection:
    it keeps the statistics that instance norm takes over the whole image near those of the image itself, and it
    is one node in an exported graph.

    Further inputs (a style) are passed on. A generator that reads a latent instead of an image makes images of one size; its
    output is clamped to [-1, 1], as files of images hold no other values and not every such generator ends in a tanh.

    Args:
        generator: a module N x C x H x W -> N x D x H x W; the module or its ``spec`` has ``stride`` and ``in_channels``,
            or a spec whose first input is a latent.

    Raises:
        ValueError: one of the two is missing, or the generator accepts no image size, or its output has another size.
    """

    def __init__(self, generator: nn.Module):
        super().__init__()
        self.generator = generator
        self.extra_inputs = required_extra_inputs(generator)
        """Inputs beside the image or latent."""
        first = getattr(getattr(generator, "spec", None), "inputs", ())[:1]
        self.latent: Input | None = first[0] if first and first[0].is_latent else None
        """First input, if it is a latent instead of an image."""
        if self.latent is not None:
            self.stride, self.in_channels, self.units = 1, self.latent.channels, 1
            return
        self.stride = _positive_int(generator, "stride")
        self.in_channels = _positive_int(generator, "in_channels")
        self.units = _smallest_units(generator, self.stride, self.in_channels, self.extra_inputs)

    @property
    def traced(self) -> nn.Module:
        """Module that is traced for a file: padding and cropping are added to the graph afterwards."""
        return self.generator if self.latent is None else self

    @property
    def min_side(self) -> int:
        """The smallest height and width, in pixels; below it a reflection would be longer than the image."""
        return self.stride // 2 + 1 if self.units == 1 else self.stride * (self.units - 1) + 1

    def forward(self, image: Tensor, *extra: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] (or N x C, a latent) -> N x D x H x W in [-1, 1], for H and W from ``min_side`` up."""
        if self.latent is not None:
            output: Tensor = self.generator(image, *extra)
            return output.clamp(-1, 1)
        height, width = image.shape[-2:]
        if min(height, width) < self.min_side:
            raise ValueError(
                f"an image of {height}x{width} pixels is too small: this generator takes {self.min_side} or more"
                " a side; enlarge the image"
            )
        bottom, right = -height % self.stride, -width % self.stride
        if bottom or right:
            image = F.pad(image, (0, right, 0, bottom), mode="reflect")
        output = self.generator(image, *extra)
        return output[..., :height, :width]


def frozen(generator: nn.Module) -> nn.Module:
    """A copy in evaluation mode, in float32, on the CPU, without gradients; the original is not touched."""
    return copy.deepcopy(generator).to(device="cpu", dtype=torch.float32).eval().requires_grad_(False)


@torch.inference_mode()
def _smallest_units(generator: nn.Module, stride: int, channels: int, extra_inputs: Sequence[Input]) -> int:
    """The smallest n for which a square of n * ``stride`` pixels goes through a copy of the generator."""
    # Found by trial: reflection pads and instance norms refuse maps that are too small for them, and only they know.
    model, extra = frozen(generator), [torch.zeros(1, item.channels) for item in extra_inputs]
    error: Exception | None = None
    for units in range(1, MAX_UNITS + 1):
        side = units * stride
        try:
            output = model(torch.zeros(1, channels, side, side), *extra)
        except Exception as refusal:  # whatever the network's own code raises
            error = refusal
            continue
        if not isinstance(output, Tensor) or output.ndim != 4:
            made = "x".join(map(str, output.shape)) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"the generator makes {made} of an image, but must make one tensor N x C x H x W")
        if output.shape[-2:] != (side, side):
            raise ValueError(
                f"the generator makes {'x'.join(map(str, output.shape[-2:]))} of {side}x{side} pixels, but an image"
                f" must keep its size; is its stride of {stride} right?"
            )
        return units
    assert error is not None
    raise ValueError(
        f"the generator accepts no square of {channels} channels and up to {MAX_UNITS * stride} pixels"
        f" (multiples of its stride {stride}): {reason_of(error)}"
    )


def reason_of(error: BaseException) -> str:
    """The innermost cause in one line, without terminal colors."""
    while error.__cause__ is not None:
        error = error.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _positive_int(generator: nn.Module, name: str) -> int:
    value = getattr(getattr(generator, "spec", None), name, None)  # first: in a foreign network the name may mean anything
    value = getattr(generator, name, None) if value is None else value
    if not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{type(generator).__name__}.{name} is {value!r}, but must be a whole number from 1 up; set it on the"
            " generator before exporting (stride: the sides it takes are multiples of it)"
        )
    return int(value)  # a named width would become part of the traced graph
