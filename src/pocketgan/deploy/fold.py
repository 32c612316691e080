"""Folding of batch norms for files: in evaluation a norm with running statistics is one factor and one shift a channel.

For files only. Eager PyTorch, whose latency is measured beside them, runs the network as its users load it: norms and all.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from pocketgan.models.layers import SeparableConv2d
from pocketgan.pruning.gate import fold_


class PerChannel(nn.Module):
    """y = x * factor + shift per channel: a batch norm that cannot be folded into the layer before it."""

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

    The modules declare the places. A module with ``fold_norm_()`` folds its norm after a sum of branches into the branches, in
    place (a second call does nothing). A norm named in ``GATES`` goes into the convolution that it follows. Other batch norms,
    such as the norm without parameters of a SPADE, become a `PerChannel`. Instance norms stay.

    Raises:
        ValueError: a batch norm keeps no running statistics, so its output is no function of one image.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is None:
            raise ValueError(
                f"layer '{name}' is a batch norm without running statistics: its output for an image depends on the other"
                " images of the batch, so no file can hold it; give it statistics with"
                " pocketgan.pruning.calibrate.tracked(model, images)"
            )
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(folded.modules()):
        fold: Callable[[], None] | None = getattr(module, "fold_norm_", None)
        if fold is not None:
            fold()
    uses = Counter(id(tensor) for _, tensor in folded.named_parameters(remove_duplicate=False))
    for module in list(folded.modules()):
        for child, producer in getattr(module, "GATES", {}).items():
            norm, conv = module._modules.get(child), _last_convolution(module, producer)
            if isinstance(norm, nn.BatchNorm2d) and conv is not None and not norm._forward_pre_hooks and _is_plain(conv, uses):
                _fold_into(conv, norm)
                _replace(module, child, nn.Identity())
    for module in list(folded.modules()):
        for child, norm in module._modules.items():
            if isinstance(norm, nn.BatchNorm2d):
                factor, shift = _factor_and_shift(norm)
                assert norm.running_var is not None
                _replace(module, child, PerChannel(factor.to(norm.running_var), shift.to(norm.running_var)))
    return folded.eval()


def _last_convolution(module: nn.Module, producer: str) -> nn.Conv2d | nn.ConvTranspose2d | None:
    """The convolution that makes the output of ``producer``, a child; None if there is no single one."""
    layer = module._modules.get(producer)
    if isinstance(layer, SeparableConv2d):
        layer = layer.pointwise
    return layer if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else None


def _is_plain(conv: nn.Conv2d | nn.ConvTranspose2d, uses: Counter[int]) -> bool:
    """True if its weights may be changed: no parametrization, no sharing, no hook on its output."""
    hooked = conv._forward_hooks or conv._forward_pre_hooks or is_parametrized(conv)
    shared = any(uses[id(tensor)] > 1 for tensor in conv.parameters(recurse=False))
    grouped = isinstance(conv, nn.ConvTranspose2d) and conv.groups != 1  # its filters lie group by group
    return not (hooked or shared or grouped)


def _fold_into(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    factor, shift = _factor_and_shift(norm)
    if conv.bias is None:
        conv.bias = nn.Parameter(torch.zeros_like(shift, dtype=conv.weight.dtype), requires_grad=False)
    fold_(conv, factor)
    conv.bias.add_(shift)


def _factor_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Factor and shift of each channel, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.double()
    shift = -norm.running_mean.double() * factor
    return factor, shift if norm.bias is None else shift + norm.bias.double()


def _replace(module: nn.Module, child: str, new: nn.Module) -> None:
    """Put ``new`` in the place of a norm, with the norm's gate and the hook that applies it."""
    norm = module._modules[child]
    assert norm is not None
    new._modules.update(norm._modules)
    new._forward_hooks.update(norm._forward_hooks)
    new._forward_pre_hooks.update(norm._forward_pre_hooks)
    module._modules[child] = new
