"""Several processes that train one network together, started by ``torchrun`` or ``accelerate launch``.

Accelerate joins them and chooses their devices. Gradients are averaged here, in one flat all-reduce a phase, and not by
wrapping the networks in ``DistributedDataParallel``: a wrapper averages what passes through its own ``forward`` and is
differentiated once. Our networks are also run through functional views (the elastic network), are seen by several phases that
share one forward, and have their features caught by module name, which a wrapper would rename.
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
from accelerate import Accelerator, PartialState
from safetensors.torch import load, save
from torch import Tensor, nn

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others within a training step. One that has died is noticed at once."""
PATIENCE = timedelta(days=1)
"""How long the others wait while the first one scores, selects or writes. One that has died is noticed at once, too."""

LAST_WORDS = timedelta(seconds=5)
"""How long a process waits for another one's error message before it ends."""


class PeerLost(ValueError):
    """Another process has ended or is silent: this one cannot go on either."""


class Desynchronized(ValueError):
    """What must be equal in all processes is not."""


@dataclass(frozen=True)
class Processes:
    """Who trains together. Every method but `complain` must be called by all, in the same order; alone, none does a thing.

    Tensors on the CPU travel by gloo, those on a GPU by the group that Accelerate made. All methods raise `Lost`.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """The place among the processes of this machine."""
    step_group: Any = None
    """The gloo group of a training step."""
    long_group: Any = None
    """The gloo group in which to wait for long work."""
    store: Any = None
    """What the processes met at; None if they were joined by someone else."""

    @property
    def is_distributed(self) -> bool:
        """Whether there is more than one."""
        return self.count > 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes files, logs and speaks."""
        return self.rank == 0

    def sum_(self, value: Tensor) -> Tensor:
        """The sum over all processes, in place, the same bits in each; contiguous tensors only."""
        if self.is_distributed:
            with _talking():
                dist.all_reduce(value, group=self._group(value))
        return value

    def mean_(self, value: Tensor) -> Tensor:
        """The mean over all processes, in place."""
        return self.sum_(value).div_(self.count) if self.is_distributed else value

    def average_gradients_(self, parameters: Sequence[nn.Parameter]) -> None:
        """The mean of every gradient over all processes; where some have none, theirs counts as 0, where all, it stays None."""
        kinds: dict[tuple[torch.device, torch.dtype], list[nn.Parameter]] = {}
        for parameter in parameters:
            kinds.setdefault((parameter.device, parameter.dtype), []).append(parameter)
        for same in kinds.values() if self.is_distributed else ():
            self._average_flat_(same)

    def _average_flat_(self, parameters: Sequence[nn.Parameter]) -> None:
        given, like = [p.grad is not None for p in parameters], parameters[0].detach()
        pieces = [p.grad.reshape(-1) if p.grad is not None else p.detach().new_zeros(p.numel()) for p in parameters]
        present = like.new_ones(len(given)) if all(given) else like.new_tensor([float(one) for one in given])
        flat = self.mean_(torch.cat([*pieces, present]))
        *means, present = torch.split(flat, [*(p.numel() for p in parameters), len(given)])
        # Only who lacks a gradient must ask whether another has it; else the device is not waited for.
        somewhere = given if all(given) else (present > 0).tolist()
        for parameter, mean, there in zip(parameters, means, somewhere, strict=True):
            if there and parameter.is_contiguous():
                parameter.grad = mean.view_as(parameter)
            elif there:  # optimizers want the strides of the parameter
                parameter.grad = torch.empty_like(parameter).copy_(mean.view(parameter.shape))

    @torch.no_grad()
    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Fill every tensor with the bits of the first process."""
        for tensor in tensors if self.is_distributed else ():
            if tensor.numel():
                raw = _bytes(tensor).clone()  # any type travels as bytes
                with _talking():
                    dist.broadcast(raw, 0, group=self._group(raw))
                tensor.copy_(raw.view(tensor.dtype).view(tensor.shape))

    def broadcast_int(self, number: int) -> int:
        """What ``number`` is in the first process: decisions are made there."""
        if not self.is_distributed:
            return number
        told = torch.tensor(number)
        with _talking():
            dist.broadcast(told, 0, group=self.long_group)
        return int(told)

    def barrier(self) -> None:
        """Until all are here: what the first has written before, the others may read after."""
        if self.is_distributed:
            with _talking():
                dist.barrier(group=self.long_group)

    def gather(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Everybody's ``tensors`` by rank, on the CPU, of any names and shapes; empty in all but the first process."""
        if not self.is_distributed:
            return [dict(tensors)]
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        data = torch.frombuffer(bytearray(save(plain)), dtype=torch.uint8)
        sizes = torch.zeros(self.count, dtype=torch.long)
        sizes[self.rank] = len(data)
        padded = torch.zeros(int(self.sum_(sizes).max()), dtype=torch.uint8)
        padded[: len(data)] = data
        parts = [torch.empty_like(padded) for _ in range(self.count)] if self.is_main else None
        with _talking():
            dist.gather(padded, parts, 0, group=self.step_group)
        return [load(part[:size].numpy().tobytes()) for part, size in zip(parts or [], sizes.tolist(), strict=False)]

    def check_equal(self, tensors: Mapping[str, Tensor], when: str) -> None:
        """Raise `Parted` in all processes if the sum of a tensor's bytes is not the same in each."""
        if not self.is_distributed:
            return
        sums = torch.stack([_bytes(tensor).sum(dtype=torch.long) for tensor in tensors.values()]).cpu()
        highest = torch.cat([sums, -sums])
        with _talking():
            dist.all_reduce(highest, dist.ReduceOp.MAX, group=self.step_group)
        top, bottom = torch.split(highest, len(sums))
        parted = [name for name, same in zip(tensors, (top == -bottom).tolist(), strict=True) if not same]
        if parted:
            raise Desynchronized(
                f"{when}: {parted[0]} is not the same in all {self.count} processes ({len(parted)} of {len(sums)} tensors "
                "differ): what a learner reads or draws must be equal in all of them"
            )

    def report_error(self, say: Callable[[], None]) -> None:
        """``say`` what went wrong, if no other process has; else wait a moment until it has been said.

        A launcher ends all processes as soon as the first has ended: nobody may end before that.
        """
        if self.store is None:
            return say() if self.is_main else None
        try:
            if self.store.add("failures", 1) > 1:
                return self.store.wait(["said"], LAST_WORDS)  # type: ignore[no-any-return]
            say()
            self.store.set("said", "yes")
        except RuntimeError:  # the process that held the store is gone: it has spoken
            return None

    def _group(self, tensor: Tensor) -> Any:
        return self.step_group if tensor.device.type == "cpu" else None


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1).view(torch.uint8)


ALONE = Processes()
_known: Processes | None = None


def processes() -> Processes:
    """The processes that this one trains with; joined at the first call, if a launcher started several. Else: itself alone."""
    global _known
    if _known is None:
        joined = dist.is_available() and dist.is_initialized()
        if not joined and int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return ALONE
        _known = _join(joined)
    return _known


def leave() -> None:
    """Take leave of the others, who do the same."""
    global _known
    if _known is not None and _known.is_distributed:
        dist.destroy_process_group()
    _known = None


def _join(joined: bool) -> Processes:
    """Let Accelerate set the process group up, and add what talks through the host's memory."""
    store = None
    if not joined:
        from torch.distributed.rendezvous import rendezvous  # not in every build of torch

        store, rank, count = next(rendezvous("env://", timeout=TIMEOUT))
        options = {"store": store, "rank": rank, "world_size": count, "timeout": TIMEOUT}
        # Where there is no GPU, Accelerate joins processes only if it is told so. NCCL wants a GPU for each of them.
        accelerator = torch.accelerator.current_accelerator()
        if accelerator is not None and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > torch.accelerator.device_count():
            options["backend"] = "gloo"
        PartialState(cpu=accelerator is None or accelerator.type == "mps", **options)
    rank, count = dist.get_rank(), dist.get_world_size()
    if count == 1:
        return Processes()
    step_group, long_group = (dist.new_group(backend="gloo", timeout=timeout) for timeout in (TIMEOUT, PATIENCE))
    return Processes(rank, count, int(os.environ.get("LOCAL_RANK", str(rank))), step_group, long_group, store)


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``. Raises ``ValueError`` for a device that is not there.

    Of several processes, each is given its own by ``auto`` and ``cuda``; one device by number is refused.
    """
    world = processes()
    if name == "auto":
        device: torch.device = PartialState().device if world.is_distributed else Accelerator().device
        return device
    if world.is_distributed and ":" in name:
        raise ValueError(f"device '{name}' is one device, and there are {world.count} processes: take {name.split(':')[0]}")
    if world.is_distributed and name == "cuda" and torch.cuda.device_count():
        name = f"cuda:{world.local_rank % torch.cuda.device_count()}"
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{name}' is not to be had: {str(error).splitlines()[0]}") from None


@contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PeerLost(f"another process has ended or is silent, so this one stops, too ({reason})") from error
