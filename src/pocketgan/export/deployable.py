"""A generator as a device meets it: frozen, in float32 on the CPU, and, where it reads images, for any size of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import Input, required_extra_inputs

MOST_UNITS = 64


class Deployable(nn.Module):
    """A generator that takes any height and width from ``min_side`` up.

    The image is padded at the bottom and right to the next multiple of the generator's stride, and the output is
    cropped back. An image whose sides are multiples already is passed on untouched. The padding is a reflection:
    it keeps the statistics that instance norm takes over the whole image near those of the image itself, and it
    is one node in an exported graph.

    What else it reads (a style) is passed on. One that generates from numbers alone generates one size and takes them as they
    are.

    Args:
        generator: a module N x C x H x W -> N x D x H x W; it, or its ``spec``, says ``stride`` and ``in_channels``, or that
            it ``generates`` one size.

    Raises:
        ValueError: one of the two is missing, or the generator generates at no size, or generates another size.
    """

    def __init__(self, generator: nn.Module):
        super().__init__()
        self.generator = generator
        self.more = required_extra_inputs(generator)
        """What it reads beside the image."""
        first = getattr(getattr(generator, "spec", None), "inputs", ())[:1]
        self.numbers: Input | None = first[0] if first and first[0].is_latent else None
        """What it reads in the place of an image."""
        self.traced: nn.Module = generator
        """What is traced for a file."""
        if self.numbers is not None:
            self.traced = Clipped(generator)
            self.stride, self.in_channels, self.units = 1, self.numbers.channels, 1
            return
        self.stride = _attribute(generator, "stride")
        self.in_channels = _attribute(generator, "in_channels")
        self.units = smallest_units(generator, stride=self.stride, channels=self.in_channels, more=self.more)

    @property
    def min_side(self) -> int:
        """The smallest height and width, in pixels; below it a reflection would be longer than the image."""
        return self.stride // 2 + 1 if self.units == 1 else self.stride * (self.units - 1) + 1

    def forward(self, image: Tensor, *more: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] -> N x D x H x W in [-1, 1], for H and W from ``min_side`` up."""
        if self.numbers is not None:
            return _generated(self.traced, image)
        height, width = image.shape[-2:]
        if min(height, width) < self.min_side:
            raise ValueError(
                f"an image of {height}x{width} pixels is too small: this generator takes {self.min_side} or more"
                " a side; enlarge the image"
            )
        below, right = -height % self.stride, -width % self.stride
        if not below and not right:
            return _generated(self.generator, image, *more)
        padded = F.pad(image, (0, right, 0, below), mode="reflect")
        return _generated(self.generator, padded, *more)[..., :height, :width]


class Clipped(nn.Module):
    """Images whose values stay between black and white, as in any file of an image; not every generator ends in a tanh."""

    def __init__(self, generator: nn.Module):
        super().__init__()
        self.generator = generator

    def forward(self, latent: Tensor) -> Tensor:
        """Numbers -> N x D x H x W in [-1, 1]."""
        return _generated(self.generator, latent).clamp(-1, 1)


def frozen(generator: nn.Module) -> nn.Module:
    """A copy in evaluation mode, in float32, on the CPU, without gradients; the original is not touched."""
    return copy.deepcopy(generator).to(device="cpu", dtype=torch.float32).eval().requires_grad_(False)


@torch.inference_mode()
def smallest_units(generator: nn.Module, *, stride: int, channels: int, more: Sequence[Input] = ()) -> int:
    """The smallest n for which a square of n * ``stride`` pixels goes through the generator.

    Found by trying, on a copy: reflection pads and instance norm refuse maps that are too small for them, and only
    they know.

    Raises:
        ValueError: no n up to 64 works, or the output has another size than the input.
    """
    model, others = frozen(generator), [torch.zeros(1, each.channels) for each in more]
    error: Exception | None = None
    for units in range(1, MOST_UNITS + 1):
        side = units * stride
        try:
            output = _generated(model, torch.zeros(1, channels, side, side), *others)
        except (RuntimeError, ValueError) as refused:
            error = refused
            continue
        if output.shape[-2:] != (side, side):
            raise ValueError(
                f"the generator makes {'x'.join(map(str, output.shape[-2:]))} of {side}x{side} pixels, but an image"
                f" must keep its size; is its stride of {stride} right?"
            )
        return units
    reason = str(error).splitlines()[0]
    raise ValueError(
        f"the generator generates no square of {channels} channels and up to {MOST_UNITS * stride} pixels"
        f" (multiples of its stride {stride}): {reason}"
    )


def _generated(generator: nn.Module, *given: Tensor) -> Tensor:
    output = generator(*given)
    assert isinstance(output, Tensor), "a generator returns one tensor"
    return output


def _attribute(generator: nn.Module, name: str) -> int:
    said = getattr(getattr(generator, "spec", None), name, None)  # first: in a foreign network the name may mean anything
    value = getattr(generator, name, None) if said is None else said
    if not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{type(generator).__name__}.{name} is {value!r}, but must be a whole number from 1 up; set it on the"
            " generator before exporting (stride: the sides it takes are multiples of it)"
        )
    # A plain int: a named width would ride along into the traced graph.
    return int(value)
