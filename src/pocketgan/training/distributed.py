"""Training of one network in several processes, started by ``torchrun`` or ``accelerate launch``.

Accelerate sets up the process group and assigns devices. Gradients are averaged here, in one flat all-reduce per phase, not by
``DistributedDataParallel``: that wrapper averages what passes through its own ``forward`` and is differentiated once, whereas
elastic networks run through functional views, several phases share one forward, and features are found by module names, which
a wrapper would change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

STEP_TIMEOUT = timedelta(minutes=10)
"""Longest wait for the other processes within a training step. A dead process is noticed at once."""
LONG_TIMEOUT = timedelta(days=1)
"""Longest wait while the main process evaluates, selects or writes. A dead process is noticed at once."""
ERROR_TIMEOUT = timedelta(seconds=5)
"""Longest wait for another process's error message before this process ends."""


class PeerLost(ValueError):
    """Another process has ended or does not answer: this one cannot continue."""


class Desynchronized(ValueError):
    """Values that must be equal in all processes differ."""


@dataclass(frozen=True)
class Processes:
    """Group of processes that train together, and communication within it; in a single process every method is a no-op.

    Every method but `report_error` must be called by all processes, in the same order. Tensors on the CPU use gloo, those on a
    GPU the group that Accelerate made. All methods raise `PeerLost`.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Rank among the processes of this machine."""
    step_group: Any = None
    """Gloo group of a training step."""
    long_group: Any = None
    """Gloo group for waiting while the main process works."""
    store: Any = None
    """Store of the rendezvous; None if the group existed before."""

    @property
    def is_distributed(self) -> bool:
        """True if there is more than one process."""
        return self.count > 1

    @property
    def is_main(self) -> bool:
        """True in the process that writes files, logs and prints."""
        return self.rank == 0

    def sum_(self, value: Tensor) -> Tensor:
        """Sum over all processes in place, the same bits in each; contiguous tensors only."""
        if self.is_distributed:
            with _peer_errors():
                dist.all_reduce(value, group=self._group(value))
        return value

    def mean_(self, value: Tensor) -> Tensor:
        """Average over all processes in place."""
        return self.sum_(value).div_(self.count) if self.is_distributed else value

    def average_gradients_(self, parameters: Sequence[nn.Parameter]) -> None:
        """Average every gradient over all processes. A missing gradient counts as 0; if missing everywhere, it stays None."""
        kinds: dict[tuple[torch.device, torch.dtype], list[nn.Parameter]] = {}
        for parameter in parameters:
            kinds.setdefault((parameter.device, parameter.dtype), []).append(parameter)
        for alike in kinds.values() if self.is_distributed else ():
            self._average_flat_(alike)

    def _average_flat_(self, parameters: Sequence[nn.Parameter]) -> None:
        given, like = [p.grad is not None for p in parameters], parameters[0].detach()
        pieces = [p.grad.reshape(-1) if p.grad is not None else p.detach().new_zeros(p.numel()) for p in parameters]
        counts = like.new_ones(len(given)) if all(given) else like.new_tensor([float(has) for has in given])
        flat = self.mean_(torch.cat([*pieces, counts]))
        *means, counts = torch.split(flat, [*(p.numel() for p in parameters), len(given)])
        # Only a process that lacks a gradient must know whether another has it; otherwise there is no wait for the device.
        anywhere = given if all(given) else (counts > 0).tolist()
        for parameter, mean, exists in zip(parameters, means, anywhere, strict=True):
            if exists and parameter.is_contiguous():
                parameter.grad = mean.view_as(parameter)
            elif exists:  # optimizers need the strides of the parameter
                parameter.grad = torch.empty_like(parameter).copy_(mean.view(parameter.shape))

    @torch.no_grad()
    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite every tensor with that of the main process, bit for bit."""
        for tensor in tensors if self.is_distributed else ():
            if tensor.numel():
                raw = _bytes(tensor).clone()  # bytes, so that any dtype can be sent
                with _peer_errors():
                    dist.broadcast(raw, 0, group=self._group(raw))
                tensor.copy_(raw.view(tensor.dtype).view(tensor.shape))

    def broadcast_int(self, number: int) -> int:
        """Return the ``number`` of the main process, where decisions are made."""
        if not self.is_distributed:
            return number
        value = torch.tensor(number)
        with _peer_errors():
            dist.broadcast(value, 0, group=self.long_group)
        return int(value)

    def barrier(self) -> None:
        """Wait for all processes: files that the main process wrote before can be read after."""
        if self.is_distributed:
            with _peer_errors():
                dist.barrier(group=self.long_group)

    def gather(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Return the ``tensors`` of all processes by rank, on the CPU, of any names and shapes; in the main process only."""
        if not self.is_distributed:
            return [dict(tensors)]
        parts: list[Any] | None = [None] * self.count if self.is_main else None
        with _peer_errors():
            dist.gather_object(
                {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, parts, 0, self.step_group
            )
        return parts or []

    def check_equal(self, tensors: Mapping[str, Tensor], when: str) -> None:
        """Raise `Desynchronized` in all processes if the sum of a tensor's bytes differs between them."""
        if not self.is_distributed:
            return
        sums = torch.stack([_bytes(tensor).sum(dtype=torch.long) for tensor in tensors.values()]).cpu()
        extremes = torch.cat([sums, -sums])
        with _peer_errors():
            dist.all_reduce(extremes, dist.ReduceOp.MAX, group=self.step_group)
        highest, lowest = torch.split(extremes, len(sums))
        differing = [name for name, equal in zip(tensors, (highest == -lowest).tolist(), strict=True) if not equal]
        if differing:
            raise Desynchronized(
                f"{when}: {differing[0]} is not the same in all {self.count} processes ({len(differing)} of {len(sums)} "
                "tensors differ): what a learner reads or draws must be equal in all of them"
            )

    def report_error(self, show: Callable[[], None]) -> None:
        """Call ``show`` unless another process has reported an error; then wait a moment until that report is complete.

        A launcher ends all processes as soon as the first has ended, so no process may end before the report.
        """
        if self.store is None:
            return show() if self.is_main else None
        try:
            if self.store.add("failures", 1) > 1:
                return self.store.wait(["reported"], ERROR_TIMEOUT)  # type: ignore[no-any-return]
            show()
            self.store.set("reported", "yes")
        except RuntimeError:  # the process with the store has ended, after its own report
            return None

    def _group(self, tensor: Tensor) -> Any:
        return self.step_group if tensor.device.type == "cpu" else None


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1).view(torch.uint8)


_current: Processes | None = None


def processes() -> Processes:
    """Return the processes that train together. The first call joins the group if a launcher started several."""
    global _current
    if _current is None:
        joined = dist.is_available() and dist.is_initialized()
        if not joined and environment_int("WORLD_SIZE", 1) == 1:
            return Processes()
        _current = _join(joined)
    return _current


def environment_int(name: str, default: int) -> int:
    """Whole number that a launcher has put into the environment. Raise ``ValueError`` for anything else."""
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(f"{name}={text!r} in the environment: torchrun sets a whole number there; unset it to run one process")
    return int(text)


def leave() -> None:
    """Leave the group; all processes must do so."""
    global _current
    if _current is not None and _current.is_distributed:
        dist.destroy_process_group()
    _current = None


def _join(joined: bool) -> Processes:
    """Let Accelerate set up the process group; add groups for tensors on the CPU."""
    store = None
    if not joined:
        from accelerate import PartialState  # slow to import
        from torch.distributed.rendezvous import rendezvous  # not in every build of torch

        store, rank, count = next(rendezvous("env://", timeout=STEP_TIMEOUT))
        options = {"store": store, "rank": rank, "world_size": count, "timeout": STEP_TIMEOUT}
        # Without a GPU Accelerate joins processes only on request. NCCL needs one GPU per process.
        accelerator = torch.accelerator.current_accelerator()
        if accelerator is not None and environment_int("LOCAL_WORLD_SIZE", 1) > torch.accelerator.device_count():
            options["backend"] = "gloo"
        PartialState(cpu=accelerator is None or accelerator.type == "mps", **options)
    rank, count = dist.get_rank(), dist.get_world_size()
    if count == 1:
        return Processes()
    step_group, long_group = (dist.new_group(backend="gloo", timeout=timeout) for timeout in (STEP_TIMEOUT, LONG_TIMEOUT))
    return Processes(rank, count, environment_int("LOCAL_RANK", rank), step_group, long_group, store)


def choose_device(name: str) -> torch.device:
    """Return the device ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``. Raise ``ValueError`` for one that is missing.

    With several processes, ``auto`` and ``cuda`` give each process its own device; a numbered device is an error.
    """
    world = processes()
    if name == "auto" and world.is_distributed:
        from accelerate import PartialState

        return PartialState().device  # type: ignore[no-any-return]
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    if world.is_distributed and ":" in name:
        raise ValueError(f"device '{name}' is one device, and there are {world.count} processes: take {name.split(':')[0]}")
    if world.is_distributed and name == "cuda" and torch.cuda.device_count():
        name = f"cuda:{world.local_rank % torch.cuda.device_count()}"
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{name}' is not available: {str(error).splitlines()[0]}") from None


@contextmanager
def _peer_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PeerLost(f"another process has ended or does not answer, so this one stops, too ({reason})") from error


def total(value: Tensor) -> Tensor:
    """Sum over all processes, differentiable in each.

    A loss that every process computes from the sum counts once: the mean of the gradients undoes the sum in the backward.
    """
    return _Total.apply(value)  # type: ignore[no-any-return, no-untyped-call]


def norm_of_all(norm: Tensor) -> Tensor:
    """Return the L2 norm over the whole batch from that of this process's slice."""
    return total(norm.square()).sqrt() if processes().is_distributed else norm


def of_all(rows: Tensor) -> Tensor:
    """Return the rows of all processes in order, N x ... -> (N x processes) x ...; differentiable in each."""
    world = processes()
    if not world.is_distributed:
        return rows
    padded = rows.new_zeros(world.count * len(rows), *rows.shape[1:])
    padded[world.rank * len(rows) : (world.rank + 1) * len(rows)] = rows
    return total(padded)


class SharedStatistics(TorchFunctionMode):
    """Context in which batch norm in training mode uses the mean and variance over the slices of all processes.

    Acts on ``F.batch_norm`` and not on modules: functional views, gates and hooks are unaffected, no module changes its type,
    and unlike ``nn.SyncBatchNorm`` it works on the CPU. Differentiable through the statistics. The same norms must run in all
    processes, in the same order and at the same widths.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
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
