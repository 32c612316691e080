"""What a generator that says nothing of itself reads and generates: found by letting it generate."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.shape import Shape, said

MOST_STRIDE = 256
PROBED = 128
"""Sides of the images that are tried, unless a stride is larger."""
DISTILLED = 5
"""Layers that are proposed for distillation, at most."""


def generate(model: nn.Module, image: Tensor) -> Tensor:
    """The image, without gradients. Raises ``ValueError`` for what is no image of N x 3 x H x W."""
    with torch.inference_mode():
        result = model(image)
    if not isinstance(result, Tensor):
        raise ValueError(
            f"the generator gives a {type(result).__name__}, not one tensor: let the factory return a module whose forward "
            "gives the image alone"
        )
    if result.shape != (len(image), 3, *image.shape[2:]):
        shape = "x".join(map(str, result.shape))
        raise ValueError(
            f"the generator makes {shape} of {'x'.join(map(str, image.shape))}: what pocketgan compresses gives three channels "
            "of the size that it is given"
        )
    return result


def range_note(result: Tensor, low: float, high: float) -> str:
    """How much of the values ``low`` to ``high`` an image (N x 3 x H x W, in [-1, 1]) of a real image uses, in a sentence.

    It begins with ``warning`` where that is so little, or so far outside, that the range is hardly right.
    """
    least, most = (low + (float(value) + 1) / 2 * (high - low) for value in (result.min(), result.max()))
    used, outside = (most - least) / (high - low), max(low - least, most - high) / (high - low)
    facts = f"the teacher's images of real images have values {least:.4g} to {most:.4g}; black is {low:g}, white {high:g}"
    if used < 0.05 or outside > 0.25:
        return f"warning: {facts}: if it generates other values say so, for example --range 0..255"
    return facts


def channels_read(model: nn.Module, shape: Shape) -> int:
    """How many channels the generator reads: 3, or what one of its convolutions reads.

    Raises ``ValueError``, with the generator's own complaint, where it generates from none of them.
    """
    own = [int(module.in_channels) for module in model.modules() if isinstance(module, nn.Conv2d)]
    complaint: Exception | None = None
    for channels in dict.fromkeys((3, *own[:1], 1, 4, 6)):
        try:
            with torch.inference_mode():
                model(torch.zeros(1, channels, *shape))
        except Exception as error:  # whatever the network's own code raises
            complaint = complaint or error
        else:
            return channels
    raise ValueError(
        f"the generator does not generate from one image of 3 x {shape[0]} x {shape[1]} ({complaint}): pocketgan calls "
        "model(image); take another --size, or let the factory return a module with such a forward"
    )


def stride_of(model: nn.Module, channels: int, shape: Shape) -> int:
    """The smallest power of 2 of which heights and widths must be multiples for an image of the image's own size.

    Raises ``ValueError`` where not even images of ``shape`` keep their size.
    """
    for stride in (1 << power for power in range(MOST_STRIDE.bit_length())):
        sides = [
            tuple(_odd_multiple(side, stride) for side in shape),
            tuple(_odd_multiple(side, stride) + stride for side in shape),
        ]
        if all(_keeps_size(model, channels, side) for side in sides):
            return stride
    if _keeps_size(model, channels, shape):
        raise ValueError(
            f"the generator generates images of {said(shape)} and hardly any other size: pocketgan compresses networks "
            "that are "
            f"convolutional, for sides that are multiples of a stride up to {MOST_STRIDE}"
        )
    generate(model, torch.zeros(1, channels, *shape))
    raise AssertionError("it has just refused that")


def _odd_multiple(side: int, stride: int) -> int:
    """An odd number of strides, near ``side`` and small enough to be quick: an even number would hide a larger stride."""
    return int(stride * max(1, min(side, PROBED) // stride // 2 * 2 - 1))


def _keeps_size(model: nn.Module, channels: int, shape: Iterable[int]) -> bool:
    image = torch.zeros(1, channels, *shape)
    try:
        with torch.inference_mode():
            return tuple(model(image).shape[2:]) == tuple(image.shape[2:])
    except Exception:  # whatever the network's own code raises
        return False


def proposed_layers(model: nn.Module, image: Tensor) -> tuple[str, ...]:
    """The layers to distil: where the resolution changes, and evenly through the longest stretch at one resolution.

    Of modules that give the same map the outermost is named; one that runs several times is none.
    """
    ran: list[tuple[str, Tensor]] = []
    calls: dict[str, int] = {}

    def hook(name: str) -> Any:
        def record(module: nn.Module, inputs: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1 and output.shape[1] > 3:
                ran.append((name, output))  # of no more channels than an image it is one, or says as little

        return record

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules() if name]
    try:
        with torch.inference_mode():
            result = model(image)
    finally:
        for handle in handles:
            handle.remove()
    maps: dict[int, tuple[str, Tensor]] = {}
    for name, output in ran:
        if calls[name] == 1 and output is not result:
            maps[id(output)] = (name, output)  # the outermost ends last
    height = image.shape[2]  # maps that are cropped further on have other heights
    trunk = [(name, h) for name, output in maps.values() for h in [output.shape[2]] if height % h == 0 or h % height == 0]
    return tuple(_chosen(_stages(trunk)))


def _stages(maps: list[tuple[str, int]]) -> list[list[str]]:
    """The names, one list for each stretch at one resolution."""
    stages: list[list[str]] = []
    height = None
    for name, own in maps:
        if own != height:
            stages.append([])
            height = own
        stages[-1].append(name)
    return stages


def _chosen(stages: list[list[str]]) -> list[str]:
    """The end of the longest stage, points evenly within it, and the ends of the stages around it, `DISTILLED` in all.

    Where no stage is much longer than others, as in a U-Net: the ends of stages, evenly from input to output.
    """
    if not stages:
        return []
    order = [name for stage in stages for name in stage]
    ends, longest = [stage[-1] for stage in stages[:-1]] or [stages[-1][-1]], max(stages, key=len)
    outer = _outermost(longest)
    if len(outer) <= 3 or len(longest) < 3 * median(map(len, stages)):
        count = min(len(ends), DISTILLED - 1)
        return [ends[(2 * k + 1) * len(ends) // (2 * count)] for k in range(count)]
    inner = [outer[len(outer) * k // 3] for k in (1, 2)]
    near = sorted(ends, key=lambda name: abs(order.index(name) - order.index(longest[-1])))
    wanted = dict.fromkeys([*inner, longest[-1], *near])
    return sorted(list(wanted)[:DISTILLED], key=order.index)


def _outermost(names: list[str]) -> list[str]:
    """Those that are least nested, if they are four or more: blocks rather than what is in them."""
    for depth in sorted({name.count(".") for name in names}):
        found = [name for name in names if name.count(".") <= depth]
        if len(found) > 3:
            return found
    return names
