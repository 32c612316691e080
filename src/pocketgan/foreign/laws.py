"""Laws of named widths, checked on one network before anything is trained on it.

A traced or declared structure is a claim; only cutting shows that it is right. In float64, so that rounding hides nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pocketgan.core.dims import FIXED, Dim, dims_of, layers_of, widths_of, written_by
from pocketgan.foreign.spec import PixelAdapter
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import close_gates_
from pocketgan.pruning.selection import prefix, shrink
from pocketgan.utils.registry import listed, shape_text

TOLERANCE = 1e-6
"""The largest difference, in units of the image's largest value."""
NAMED = 6
"""Groups that a message names."""

LAWS: dict[str, str] = {
    "repeat": "the same image gives the same image",
    "shrink": "a cut that keeps everything changes nothing",
    "elastic": "leading channels run in place are the network cut to them",
    "gates": "closing the gates of channels is removing them",
    "cost": "costs computed from the widths are the costs counted",
}
"""In the order in which they are checked."""


class CheckFailed(ValueError):
    """A network that cannot be cut as it is described: the law, and ``{group: difference}``."""

    def __init__(self, law: str, groups: Mapping[str, str], text: str):
        super().__init__(text)
        self.law, self.groups = law, groups


class Fault(NamedTuple):
    """A law that does not hold for some groups."""

    law: str
    difference: str


def check_laws(model: nn.Module, image: Tensor) -> None:
    """Raise `CheckFailed`, naming the layers and what to do, unless all `LAWS` hold for ``model`` on ``image`` (1 x C x H x W).

    If a law fails, every group is cut alone, to find those to blame. ``ValueError`` for a network that runs only in float32.
    """
    widths = widths_of(model)
    if not widths:
        raise CheckFailed("shrink", {}, "there is nothing to cut: none of its layers has channels that could go without others")
    exact, image = copy.deepcopy(model).double().eval().requires_grad_(False), image.double()
    try:
        with torch.inference_mode():
            output = exact(image)
            difference = _difference(exact(image), output)
    except Exception as error:  # whatever the network's own code raises
        raise ValueError(
            f"it runs in float32 and not in float64 ({error}), in which the laws are checked: register constant tensors "
            "as buffers, which follow the network, and make others of the image's dtype"
        ) from error
    if difference is not None:
        raise CheckFailed(
            "repeat",
            {},
            f"law 'repeat' does not hold ({LAWS['repeat']}): {difference}. Its forward draws at random or keeps a state: "
            "pocketgan compares images, so let the factory return a module that, in evaluation mode, depends on the image "
            "alone",
        )

    def fault(groups: Iterable[str]) -> Fault | None:
        cut = {group: widths[group] for group in groups}
        return _first_fault(_with_only(exact, cut), image, output, cut)

    first = fault(widths)
    if first is not None:
        blamed = _blamed(list(widths), fault)
        differences = {group: found.difference for group, found in blamed.items()}
        raise CheckFailed(first.law, differences, _explanation(first, blamed, model))


def _blamed(groups: list[str], fault: Callable[[Iterable[str]], Fault | None]) -> dict[str, Fault]:
    """Groups without which all laws hold: those that break a law alone, and then those that do so together."""
    blamed = {group: found for group in groups if (found := fault([group])) is not None}
    rest = [group for group in groups if group not in blamed]
    while rest and (together := fault(rest)) is not None:
        cures = [group for group in rest if fault([other for other in rest if other != group]) is None]
        chosen = cures[:1] or rest
        blamed |= dict.fromkeys(chosen, Fault(together.law, f"with others: {together.difference}"))
        rest = [group for group in rest if group not in chosen]
    return blamed


def _with_only(model: nn.Module, groups: Mapping[str, int]) -> nn.Module:
    """A copy in which the channels of all other groups stay, as they do in a layer that is kept."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        for name, dim in dims_of(module).items():
            setattr(module, name, Dim(part if part.group in groups else part._replace(group=FIXED) for part in dim.parts))
    return copied


Check = Callable[[nn.Module, Tensor, Tensor, Mapping[str, int]], str | None]


def _first_fault(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> Fault | None:
    """The first law that does not hold if those groups are cut."""
    for law, check in CHECKS.items():
        try:
            with torch.inference_mode():
                difference = check(model, image, output, widths)
        except Exception as error:  # whatever the network's own code raises when its layers are narrower
            difference = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        if difference is not None:
            return Fault(law, difference)
    return None


def _check_shrink(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> str | None:
    return _difference(shrink(model, prefix(widths))(image), output)


def _check_elastic(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> str | None:
    elastic = Elastic(model).eval()
    for narrow in (_half(widths), {group: width - 1 for group, width in widths.items()}):  # one less divides by nothing
        elastic.resize_(narrow)
        difference = _difference(elastic(image), shrink(model, prefix(narrow))(image))
        if difference is not None:
            return difference
    return None


def _half(widths: Mapping[str, int]) -> dict[str, int]:
    return {group: -(-width // 2) for group, width in widths.items()}


def _check_gates(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    selection = {
        group: torch.randperm(widths[group], generator=generator)[:kept].sort().values for group, kept in _half(widths).items()
    }
    gated = copy.deepcopy(model)
    close_gates_(gated, selection)
    return _difference(shrink(model, selection)(image), gated(image))


def _check_cost(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> str | None:
    narrow = _half(widths)
    small = shrink(model, prefix(narrow)).to("meta")  # on which torch decomposes attention, so that it can be counted
    with FlopCounterMode(display=False) as counter:
        small(image.to("meta"))
    cost = CostModel(model, (image.shape[2], image.shape[3]), in_channels=image.shape[1])(narrow)
    macs, params = counter.get_total_flops() // 2, sum(parameter.numel() for parameter in small.parameters())
    if (cost.macs, cost.params) == (macs, params):
        return None
    return f"{macs:,} MACs and {params:,} parameters counted, {cost.macs:,} and {cost.params:,} computed"


CHECKS: dict[str, Check] = {
    "shrink": _check_shrink,
    "elastic": _check_elastic,
    "gates": _check_gates,
    "cost": _check_cost,
}


def _difference(output: Tensor, expected: Tensor) -> str | None:
    """The difference of two images in words; None for rounding."""
    if output.shape != expected.shape:
        return f"the image becomes {shape_text(output.shape)}"
    scale = float(expected.abs().max().clamp_min(1e-12))
    difference = float((output - expected).abs().max()) / scale
    return None if difference <= TOLERANCE else f"images differ by {difference:.1e} of their largest value"


def _explanation(first: Fault, blamed: Mapping[str, Fault], model: nn.Module) -> str:
    layers, head = layers_of(model), "net." if isinstance(model, PixelAdapter) else ""
    lines = []
    for group, fault in list(blamed.items())[:NAMED]:
        names = listed([name.removeprefix(head) for name in layers[group] if name])
        lines.append(f"{names}: {'' if fault.law == first.law else f'law {fault.law!r}, '}{fault.difference}")
    if len(blamed) > NAMED:
        lines.append(f"and {len(blamed) - NAMED} more")
    producers = dict.fromkeys(_producer(model, group, layers[group]).removeprefix(head) for group in blamed)
    keep = " ".join(f"--keep {name}" for name in producers)
    advice = (
        "what follows there is not 0 where its input is 0, mixes channels, or takes its widths from elsewhere than its tensors"
        if first.law == "gates"
        else "its forward takes widths from elsewhere than its tensors, or orders channels in its own way"
    )
    return (
        f"law '{first.law}' does not hold ({LAWS[first.law]}). {'; '.join(lines)}. Probably {advice}. Leave them whole with "
        f"{keep}, or change the forward"
    )


def _producer(model: nn.Module, group: str, layers: Iterable[str]) -> str:
    """The layer to keep for a group: one that makes only channels of the group, if there is one."""
    written = {name: written_by(model.get_submodule(name)) for name in layers if name}
    alone = [name for name, dim in written.items() if dim is not None and set(dim.groups) == {group}]
    return next(iter(alone or written))
