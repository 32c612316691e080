"""The laws of named widths, checked on one network before anything is trained on it.

What was traced or declared is a claim; that cutting is right is seen by cutting. In float64, so that what remains is error.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pocketgan.compress.elastic import Elastic
from pocketgan.compress.gate import close_gates_
from pocketgan.compress.selection import prefix, shrink
from pocketgan.core.dims import layers_of, widths_of
from pocketgan.metrics.cost import CostModel

LAW = 1e-6
"""The largest difference, in units of the picture's largest value."""
NAMED = 6
"""Groups that a message names."""

LAWS: dict[str, str] = {
    "shrink": "a cut that keeps everything changes nothing",
    "elastic": "leading channels run in place are the network cut to them",
    "gates": "closing the gates of channels is removing them",
    "cost": "costs computed from the widths are the costs counted",
}
"""In the order in which they are checked."""


class Unlawful(ValueError):
    """A network that cannot be cut as it is described."""

    def __init__(self, law: str, groups: Mapping[str, str], text: str):
        super().__init__(text)
        self.law, self.groups = law, groups


def check_laws(model: nn.Module, image: Tensor) -> None:
    """Raise `Unlawful`, naming the layers and what to do, unless all of `LAWS` hold for ``model`` on ``image`` (1 x C x H x W).

    Where a law fails, every group is cut alone, to say which are to blame.
    """
    widths = widths_of(model)
    if not widths:
        raise Unlawful("shrink", {}, "there is nothing to cut: none of its layers has channels that could go without others")
    exact, image = copy.deepcopy(model).double().eval().requires_grad_(False), image.double()
    with torch.inference_mode():
        picture = exact(image)
    for law, check in CHECKS.items():
        fault = _fault(check, exact, image, picture, widths)
        if fault is None:
            continue
        alone = {group: _fault(check, exact, image, picture, {group: width}) for group, width in widths.items()}
        blamed = {group: reason for group, reason in alone.items() if reason is not None}
        raise Unlawful(law, blamed, _explained(law, fault, blamed, exact))


Check = Callable[[nn.Module, Tensor, Tensor, Mapping[str, int]], str | None]


def _fault(check: Check, model: nn.Module, image: Tensor, picture: Tensor, widths: Mapping[str, int]) -> str | None:
    try:
        with torch.inference_mode():
            return check(model, image, picture, widths)
    except Exception as error:  # whatever the network's own code raises when its layers are narrower
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


def _whole(model: nn.Module, image: Tensor, picture: Tensor, widths: Mapping[str, int]) -> str | None:
    return _apart(shrink(model, prefix(widths))(image), picture)


def _elastic(model: nn.Module, image: Tensor, picture: Tensor, widths: Mapping[str, int]) -> str | None:
    narrow = {group: -(-width // 2) for group, width in widths.items()}
    elastic = Elastic(model).eval()
    elastic.resize_(narrow)
    return _apart(elastic(image), shrink(model, prefix(narrow))(image))


def _gates(model: nn.Module, image: Tensor, picture: Tensor, widths: Mapping[str, int]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    selection = {
        group: torch.randperm(width, generator=generator)[: -(-width // 2)].sort().values for group, width in widths.items()
    }
    gated = copy.deepcopy(model)
    close_gates_(gated, selection)
    return _apart(shrink(model, selection)(image), gated(image))


def _cost(model: nn.Module, image: Tensor, picture: Tensor, widths: Mapping[str, int]) -> str | None:
    narrow = {group: -(-width // 2) for group, width in widths.items()}
    small = shrink(model, prefix(narrow))
    with FlopCounterMode(display=False) as counter:
        small(image)
    height, width = image.shape[2:]
    cost = CostModel(model, (height, width), in_channels=image.shape[1])(narrow)
    params = sum(parameter.numel() for parameter in small.parameters())
    if (cost.macs, cost.params) == (counter.get_total_flops() // 2, params):
        return None
    return (
        f"{counter.get_total_flops() // 2:,} MACs and {params:,} parameters counted, {cost.macs:,} and {cost.params:,} computed"
    )


CHECKS: dict[str, Check] = {"shrink": _whole, "elastic": _elastic, "gates": _gates, "cost": _cost}


def _apart(picture: Tensor, other: Tensor) -> str | None:
    """By how much two pictures differ, in words; None where that is rounding."""
    if picture.shape != other.shape:
        return f"the picture becomes {'x'.join(map(str, picture.shape))}"
    scale = float(other.abs().max().clamp_min(1e-12))
    apart = float((picture - other).abs().max()) / scale
    return None if apart <= LAW else f"pictures differ by {apart:.1e} of their largest value"


def _explained(law: str, fault: str, blamed: Mapping[str, str], model: nn.Module) -> str:
    if not blamed:
        return f"law '{law}' does not hold ({LAWS[law]}), and no group is to blame alone: {fault}"
    every = layers_of(model)
    layers = {group: every[group] for group in blamed}
    shown = "; ".join(f"{_listed(layers[group])}: {reason}" for group, reason in list(blamed.items())[:NAMED]) + (
        f"; and {len(blamed) - NAMED} more" if len(blamed) > NAMED else ""
    )
    keep = " ".join(f"--keep {made[0]}" for made in layers.values())
    advice = (
        "what follows there is not 0 where its input is 0, mixes channels, or takes its widths from elsewhere than its tensors"
        if law == "gates"
        else "its forward takes widths from elsewhere than its tensors, or orders channels in its own way"
    )
    return (
        f"law '{law}' does not hold ({LAWS[law]}). {shown}. Probably {advice}. Leave them whole with {keep}, change the "
        "forward, or declare AXES on the layer's class"
    )


def _listed(names: Iterable[str], most: int = 4) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
