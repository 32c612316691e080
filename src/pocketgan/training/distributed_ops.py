"""What is not a mean over the batch, computed over the slices of all processes as over one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pocketgan.training.distributed import processes


def total(value: Tensor) -> Tensor:
    """The sum over all processes, through which gradients pass to all of them.

    A loss that every process computes from it is counted once: the mean of the gradients undoes the sum of the backward.
    """
    return _Total.apply(value)  # type: ignore[no-any-return, no-untyped-call]


def norm_of_all(norm: Tensor) -> Tensor:
    """The L2 norm over the whole batch from that of this process's slice."""
    return total(norm.square()).sqrt() if processes().is_distributed else norm


def of_all(rows: Tensor) -> Tensor:
    """The rows of all processes, in their order, N x ... -> (N x processes) x ...; gradients pass to each."""
    world = processes()
    if not world.is_distributed:
        return rows
    place = rows.new_zeros(world.count * len(rows), *rows.shape[1:])
    place[world.rank * len(rows) : (world.rank + 1) * len(rows)] = rows
    return total(place)


class SharedStatistics(TorchFunctionMode):
    """While it is entered, batch norm in training mode has the mean and variance of all processes' slices together.

    It stands where all batch norms meet, ``F.batch_norm``, and not in the modules: functional views, gates and hooks see
    nothing of it, no module changes its type, and unlike ``nn.SyncBatchNorm`` it works on the CPU. Gradients go through the
    statistics. The same norms must run in all processes, in the same order and at the same widths.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Everything but batch norm is let through."""
        return (_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm`` (Ioffe and Szegedy 2015, alg. 1) of N x C x ... over equal slices; the running variance is unbiased."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    count, axes = processes().count, [0, *range(2, input.ndim)]
    shape = [1, -1, *(1 for _ in axes[1:])]
    x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
    mean = total(x.mean(axes)) / count
    centered = x - mean.view(shape)
    variance = total(centered.square().mean(axes)) / count  # in two passes: the mean of squares alone would cancel
    if running_mean is not None and running_var is not None:
        n = count * x.numel() / x.shape[1]
        running_mean.lerp_(mean.detach().to(running_mean), momentum)
        running_var.lerp_((variance.detach() * (n / max(n - 1, 1))).to(running_var), momentum)
    y = centered * (variance + eps).rsqrt().view(shape)
    if weight is not None and bias is not None:
        y = y * weight.view(shape) + bias.view(shape)
    return y.to(input.dtype)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return processes().sum_(value.detach().clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return processes().sum_(gradients[0].clone(memory_format=torch.contiguous_format))
