"""Properties of a generator without declarations, found by running it: input channels, stride, value range, trunk layers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import groupby
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.hooks import forward_hooks
from pocketgan.core.inputs import Shape, size_text
from pocketgan.utils.registry import shape_text

MAX_STRIDE = 256
PROBED = 128
"""Sides of the images that are tried, unless a stride is larger."""
DISTILLED = 5
"""Layers that are proposed for distillation, at most."""


def generate(model: nn.Module, image: Tensor) -> Tensor:
    """The output image, without gradients. Raises ``ValueError`` for any output but one image of the input's size."""
    with torch.inference_mode():
        output = model(image)
    if not isinstance(output, Tensor):
        raise ValueError(
            f"the generator returns a {type(output).__name__}, not one tensor: let the factory return a module whose forward "
            "returns the image alone"
        )
    if output.ndim != 4 or (len(output), *output.shape[2:]) != (len(image), *image.shape[2:]):
        raise ValueError(
            f"the generator makes {shape_text(output.shape)} of {shape_text(image.shape)}: pocketgan compresses generators "
            "whose output is an image of the size of the input"
        )
    return output


def range_note(output: Tensor, low: float, high: float) -> str:
    """Statement about the part of ``low`` to ``high`` that output images (N x C x H x W, in [-1, 1]) of real images use.

    The note begins with ``warning`` if the part is so small, or so far outside, that the range is hardly right.
    """
    least, most = (low + (float(value) + 1) / 2 * (high - low) for value in (output.min(), output.max()))
    used, outside = (most - least) / (high - low), max(low - least, most - high) / (high - low)
    facts = f"the teacher's images of real images have values {least:.4g} to {most:.4g}; black is {low:g}, white {high:g}"
    if used < 0.05 or outside > 0.25:
        return f"warning: {facts}: if it generates other values say so, for example --range 0..255"
    return facts


def input_channels(model: nn.Module, shape: Shape) -> int:
    """The number of input channels: 3, or that of the first convolution, or another usual one.

    Raises ``ValueError``, with the generator's own error, if it accepts none of them.
    """
    first = [int(module.in_channels) for module in model.modules() if isinstance(module, nn.Conv2d)][:1]
    refusal: Exception | None = None
    for channels in dict.fromkeys((3, *first, 1, 2, 4, 6)):
        try:
            with torch.inference_mode():
                model(torch.zeros(1, channels, *shape))
        except Exception as error:  # whatever the network's own code raises
            refusal = refusal or error
        else:
            return channels
    raise ValueError(
        f"the generator does not accept one image of 3 x {shape[0]} x {shape[1]} ({refusal}): pocketgan calls "
        "model(image); take another --size, or let the factory return a module with such a forward"
    )


def find_stride(model: nn.Module, channels: int, shape: Shape) -> int:
    """The smallest power of 2 whose multiples, as heights and widths, the output keeps.

    Raises ``ValueError`` if not even images of ``shape`` keep their size.
    """
    for stride in (1 << power for power in range(MAX_STRIDE.bit_length())):
        sides = [_odd_multiple(side, stride) for side in shape]
        if _keeps_size(model, channels, sides) and _keeps_size(model, channels, [side + stride for side in sides]):
            return stride
    generate(model, torch.zeros(1, channels, *shape))
    raise ValueError(
        f"the generator accepts images of {size_text(shape)} and hardly any other size: pocketgan compresses networks that are "
        f"convolutional, for sides that are multiples of a stride up to {MAX_STRIDE}"
    )


def _odd_multiple(side: int, stride: int) -> int:
    """An odd number of strides, near ``side`` and small enough to be quick: an even number would hide a larger stride."""
    return int(stride * max(1, min(side, PROBED) // stride // 2 * 2 - 1))


def _keeps_size(model: nn.Module, channels: int, sides: Iterable[int]) -> bool:
    image = torch.zeros(1, channels, *sides)
    try:
        with torch.inference_mode():
            return tuple(model(image).shape[2:]) == tuple(image.shape[2:])
    except Exception:  # whatever the network's own code raises
        return False


def proposed_layers(model: nn.Module, image: Tensor) -> tuple[str, ...]:
    """The layers to distill: where the resolution changes, and evenly through the longest stretch at one resolution.

    Of modules with the same output the outermost is named; modules that run several times are not.
    """
    maps: list[tuple[str, Tensor]] = []
    calls: dict[str, int] = {}

    def record(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        calls[name] = calls.get(name, 0) + 1
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1 and output.shape[1] > 3:
            maps.append((name, output))  # three channels or fewer are an image, or as poor as an image

    hooks = [(module, partial(record, name)) for name, module in model.named_modules() if name]
    with forward_hooks(hooks), torch.inference_mode():
        result = model(image)
    # The outermost module ends last, and replaces the inner modules with the same output.
    named = {id(output): (name, output.shape[2]) for name, output in maps if calls[name] == 1 and output is not result}
    side = image.shape[2]  # maps that are cropped further on have other heights
    trunk = [(name, height) for name, height in named.values() if side % height == 0 or height % side == 0]
    stages = [[name for name, _ in stage] for _, stage in groupby(trunk, key=lambda item: item[1])]
    return tuple(_choose(stages)) if stages else ()


def _choose(stages: list[list[str]]) -> list[str]:
    """The end of the longest stage, points evenly within it, and the ends of the stages around it, `DISTILLED` in all.

    If no stage is much longer than others, as in a U-Net: the ends of stages, evenly from input to output.
    """
    order = [name for stage in stages for name in stage]
    ends, longest = [stage[-1] for stage in stages[:-1]] or [stages[-1][-1]], max(stages, key=len)
    outer = _outermost(longest)
    if len(outer) <= 3 or len(longest) < 3 * median(map(len, stages)):
        count = min(len(ends), DISTILLED - 1)
        return [ends[(2 * k + 1) * len(ends) // (2 * count)] for k in range(count)]
    inner = [outer[len(outer) * k // 3] for k in (1, 2)]
    near = sorted(ends, key=lambda name: abs(order.index(name) - order.index(longest[-1])))
    chosen = list(dict.fromkeys([*inner, longest[-1], *near]))[:DISTILLED]
    return sorted(chosen, key=order.index)


def _outermost(names: list[str]) -> list[str]:
    """The least nested names, if they are four or more: blocks rather than the layers inside."""
    for depth in sorted({name.count(".") for name in names}):
        outer = [name for name in names if name.count(".") <= depth]
        if len(outer) > 3:
            return outer
    return names
