"""The laws of named widths, checked on one network before anything is trained on it.

What was traced or declared is a claim; that cutting is right is seen by cutting. In float64, so that what remains is error.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pocketgan.core.dims import FIXED, Dim, dims_of, layers_of, widths_of, written_by
from pocketgan.foreign.spec import Adapted
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import close_gates_
from pocketgan.pruning.selection import prefix, shrink

LAW = 1e-6
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

REPEAT = (
    "Its forward draws at random or keeps a state: pocketgan compares images, so let the factory return a module that, in "
    "evaluation mode, depends on the image alone"
)

PRECISION = (
    "in which the laws are checked: register constant tensors as buffers, which follow the network, and make others of the "
    "image's dtype"
)


class CheckFailed(ValueError):
    """A network that cannot be cut as it is described."""

    def __init__(self, law: str, groups: Mapping[str, str], text: str):
        super().__init__(text)
        self.law, self.groups = law, groups


def check_laws(model: nn.Module, image: Tensor) -> None:
    """Raise `Unlawful`, naming the layers and what to do, unless all of `LAWS` hold for ``model`` on ``image`` (1 x C x H x W).

    Where a law fails, every group is cut alone, to say which are to blame. ``ValueError`` for one that generates in float32
    alone.
    """
    widths = widths_of(model)
    if not widths:
        raise CheckFailed("shrink", {}, "there is nothing to cut: none of its layers has channels that could go without others")
    exact, image = copy.deepcopy(model).double().eval().requires_grad_(False), image.double()
    try:
        with torch.inference_mode():
            output = exact(image)
            again = _apart(exact(image), output)
    except Exception as error:  # whatever the network's own code raises
        raise ValueError(f"it generates in float32 and not in float64 ({error}), {PRECISION}") from error
    if again is not None:
        raise CheckFailed("repeat", {}, f"law 'repeat' does not hold ({LAWS['repeat']}): {again}. {REPEAT}")

    def fault(groups: Iterable[str]) -> Fault | None:
        chosen = {group: widths[group] for group in groups}
        return _fault(_others_whole(exact, chosen), image, output, chosen)

    first = fault(widths)
    if first is not None:
        blamed = _blamed(list(widths), first, fault)
        raise CheckFailed(first.law, {group: found.said for group, found in blamed.items()}, _explained(first, blamed, model))


class Fault(NamedTuple):
    """A law that does not hold for some groups."""

    law: str
    said: str
    """What is seen."""


def _blamed(groups: list[str], first: Fault, fault: Callable[[Iterable[str]], Fault | None]) -> dict[str, Fault]:
    """Groups without which all laws hold: those that break one alone, and then those that do so together."""
    blamed = {group: found for group in groups if (found := fault([group])) is not None}
    rest = [group for group in groups if group not in blamed]
    while rest and (together := fault(rest)) is not None:
        cures = [group for group in rest if fault([other for other in rest if other != group]) is None]
        chosen = cures[:1] or rest
        blamed |= dict.fromkeys(chosen, Fault(together.law, f"with others: {together.said}"))
        rest = [group for group in rest if group not in chosen]
    return blamed


def _others_whole(model: nn.Module, groups: Mapping[str, int]) -> nn.Module:
    """A copy in which the channels of all other groups stay, as they do when a layer is kept."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        for name, dim in dims_of(module).items():
            setattr(module, name, Dim(part if part.group in groups else part._replace(group=FIXED) for part in dim.parts))
    return copied


Check = Callable[[nn.Module, Tensor, Tensor, Mapping[str, int]], str | None]


def _fault(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> Fault | None:
    """The first law that does not hold where those groups are cut."""
    for law, check in CHECKS.items():
        try:
            with torch.inference_mode():
                said = check(model, image, output, widths)
        except Exception as error:  # whatever the network's own code raises when its layers are narrower
            said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        if said is not None:
            return Fault(law, said)
    return None


def _whole(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> str | None:
    return _apart(shrink(model, prefix(widths))(image), output)


def _elastic(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> str | None:
    elastic = Elastic(model).eval()
    for narrow in (_half(widths), {group: width - 1 for group, width in widths.items()}):  # one less divides by nothing
        elastic.resize_(narrow)
        fault = _apart(elastic(image), shrink(model, prefix(narrow))(image))
        if fault is not None:
            return fault
    return None


def _half(widths: Mapping[str, int]) -> dict[str, int]:
    return {group: -(-width // 2) for group, width in widths.items()}


def _gates(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    selection = {
        group: torch.randperm(widths[group], generator=generator)[:kept].sort().values for group, kept in _half(widths).items()
    }
    gated = copy.deepcopy(model)
    close_gates_(gated, selection)
    return _apart(shrink(model, selection)(image), gated(image))


def _cost(model: nn.Module, image: Tensor, output: Tensor, widths: Mapping[str, int]) -> str | None:
    narrow = _half(widths)
    small = shrink(model, prefix(narrow)).to("meta")  # where torch takes attention apart, so that it can be counted
    with FlopCounterMode(display=False) as counter:
        small(image.to("meta"))
    height, width = image.shape[2:]
    cost = CostModel(model, (height, width), in_channels=image.shape[1])(narrow)
    params = sum(parameter.numel() for parameter in small.parameters())
    if (cost.macs, cost.params) == (counter.get_total_flops() // 2, params):
        return None
    return (
        f"{counter.get_total_flops() // 2:,} MACs and {params:,} parameters counted, {cost.macs:,} and {cost.params:,} computed"
    )


CHECKS: dict[str, Check] = {"shrink": _whole, "elastic": _elastic, "gates": _gates, "cost": _cost}


def _apart(output: Tensor, other: Tensor) -> str | None:
    """By how much two images differ, in words; None where that is rounding."""
    if output.shape != other.shape:
        return f"the image becomes {'x'.join(map(str, output.shape))}"
    scale = float(other.abs().max().clamp_min(1e-12))
    apart = float((output - other).abs().max()) / scale
    return None if apart <= LAW else f"images differ by {apart:.1e} of their largest value"


def _explained(first: Fault, blamed: Mapping[str, Fault], model: nn.Module) -> str:
    layers, head = layers_of(model), "net." if isinstance(model, Adapted) else ""
    names = {group: [name.removeprefix(head) for name in layers[group] if name] for group in blamed}
    shown = "; ".join(f"{_listed(names[group])}: {_told(first, fault)}" for group, fault in list(blamed.items())[:NAMED]) + (
        f"; and {len(blamed) - NAMED} more" if len(blamed) > NAMED else ""
    )
    keep = " ".join(f"--keep {name}" for name in dict.fromkeys(map(_maker(model, head), blamed)))
    advice = (
        "what follows there is not 0 where its input is 0, mixes channels, or takes its widths from elsewhere than its tensors"
        if first.law == "gates"
        else "its forward takes widths from elsewhere than its tensors, or orders channels in its own way"
    )
    return (
        f"law '{first.law}' does not hold ({LAWS[first.law]}). {shown}. Probably {advice}. Leave them whole with {keep}, or "
        "change the forward"
    )


def _told(first: Fault, fault: Fault) -> str:
    return fault.said if fault.law == first.law else f"law '{fault.law}', {fault.said}"


def _maker(model: nn.Module, head: str) -> Callable[[str], str]:
    """The layer to keep for a group: one that makes no channels but the group's, if there is one."""
    layers = layers_of(model)

    def maker(group: str) -> str:
        made = [(name, written_by(model.get_submodule(name))) for name in layers[group] if name]
        alone = [name for name, dim in made if dim is not None and set(dim.groups) == {group}]
        return (alone or [name for name, _ in made])[0].removeprefix(head)

    return maker


def _listed(names: Iterable[str], most: int = 4) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
