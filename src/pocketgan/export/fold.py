"""Batch norms folded away for files: in evaluation a norm with running statistics is one factor and one shift a channel.

For files only. Eager PyTorch, whose latency is measured beside them, runs the network as its users load it: norms and all.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from pocketgan.models.layers import Separable
from pocketgan.pruning.gate import fold_


class PerChannel(nn.Module):
    """y = x * factor + shift, two numbers a channel: a batch norm that no layer before it can take in."""

    def __init__(self, factor: Tensor, shift: Tensor):
        super().__init__()
        self.register_buffer("factor", factor[:, None, None])
        self.register_buffer("shift", shift[:, None, None])
        self.factor: Tensor
        self.shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> the same shape."""
        return x * self.factor + self.shift


@torch.no_grad()
def fold_norms(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, without gradients, that computes the same and has no batch norm.

    What goes where is declared by the modules. A norm after a sum of branches is folded by the module that holds it, if it
    has ``fold_norm_()``, which puts its numbers into the branches, in place, and does nothing once the norm is gone. A norm
    on a seat (``GATES``) goes into the convolution that it is said to follow. What is left, such as the norm without
    parameters of a SPADE, becomes a `PerChannel`. Instance norms stay.

    Raises:
        ValueError: a batch norm keeps no running statistics: it is no function of one image.
    """
    refuse_batch_statistics(model)
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(folded.modules()):
        fold: Callable[[], None] | None = getattr(module, "fold_norm_", None)
        if fold is not None:
            fold()
    uses = Counter(id(tensor) for _, tensor in folded.named_parameters(remove_duplicate=False))
    for module in list(folded.modules()):
        for child, producer in getattr(module, "GATES", {}).items():
            norm, conv = module._modules.get(child), _last_layer(module, producer)
            if isinstance(norm, nn.BatchNorm2d) and conv is not None and not norm._forward_pre_hooks and _is_plain(conv, uses):
                _fold_into(conv, norm)
                _put(module, child, nn.Identity())
    for module in list(folded.modules()):
        for child, norm in module._modules.items():
            if isinstance(norm, nn.BatchNorm2d):
                factor, shift = _numbers(norm)
                assert norm.running_var is not None
                _put(module, child, PerChannel(factor.to(norm.running_var), shift.to(norm.running_var)))
    return folded.eval()


def refuse_batch_statistics(model: nn.Module) -> None:
    """Raise ``ValueError``, naming the layer, if a batch norm keeps no running statistics."""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is None:
            raise ValueError(
                f"layer '{name}' is a batch norm without running statistics: what it makes of an image depends on the other"
                " images of the batch, so no file can hold it; give it statistics with"
                " pocketgan.pruning.calibrate.tracked(model, images)"
            )


def _last_layer(module: nn.Module, producer: str) -> nn.Conv2d | nn.ConvTranspose2d | None:
    """The convolution whose output ``producer``, a child, gives; None where it is not a single one."""
    layer = module._modules.get(producer)
    if isinstance(layer, Separable):
        layer = layer.pointwise
    return layer if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else None


def _is_plain(conv: nn.Conv2d | nn.ConvTranspose2d, uses: Counter[int]) -> bool:
    """Whether its numbers may be changed: nothing computes them, shares them, or looks at what it gives."""
    watched = conv._forward_hooks or conv._forward_pre_hooks or is_parametrized(conv)
    shared = any(uses[id(tensor)] > 1 for tensor in conv.parameters(recurse=False))
    grouped = isinstance(conv, nn.ConvTranspose2d) and conv.groups != 1  # its filters lie group by group
    return not (watched or shared or grouped)


def _fold_into(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    factor, shift = _numbers(norm)
    if conv.bias is None:
        conv.bias = nn.Parameter(torch.zeros_like(shift, dtype=conv.weight.dtype), requires_grad=False)
    fold_(conv, factor)
    conv.bias.add_(shift)


def _numbers(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Factor and shift a channel, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.double()
    shift = -norm.running_mean.double() * factor
    return factor, shift if norm.bias is None else shift + norm.bias.double()


def _put(module: nn.Module, child: str, new: nn.Module) -> None:
    """``new`` in the place of a norm, with what hangs on that: a gate and the hook that applies it."""
    norm = module._modules[child]
    assert norm is not None
    new._modules.update(norm._modules)
    new._forward_hooks.update(norm._forward_hooks)
    new._forward_pre_hooks.update(norm._forward_pre_hooks)
    module._modules[child] = new
