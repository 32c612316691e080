"""The one loop: phases of named losses, for every task. Nothing in it knows what is being trained.

It runs in one process or in several (`processes`): each takes its slice of every batch, gradients are averaged in every phase,
and the first alone writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.run import Run
from pocketgan.pruning.calibrate import has_statistics
from pocketgan.training.config import TrainingConfig, lr_factor, lr_of
from pocketgan.training.distributed import choose_device, processes
from pocketgan.training.distributed_ops import SharedStatistics
from pocketgan.training.learner import Learner, Learners
from pocketgan.training.monitor import Diverged, TrainingMonitor
from pocketgan.training.task import Batch, Phase, Task
from pocketgan.utils.errors import unknown
from pocketgan.utils.image_files import save_grid

__all__ = ["Diverged", "Fit", "Learner", "Learners", "check_weights", "choose_device", "fit"]


def check_weights(config: TrainingConfig, task: Task) -> None:
    """Raise ``ValueError`` for a weight of a loss that the task does not have."""
    for name in config.weights:
        if name not in task.weights:
            raise unknown("loss", name, task.weights)


class Fit:
    """A fit in progress: the task, its optimizers, and how far they have come."""

    def __init__(self, task: Task, config: TrainingConfig, device: torch.device, *, learners: Learners | None = None):
        """Moves the networks to ``device``. Raises ``ValueError`` for a weight of a loss that the task does not have.

        In several processes all begin with the networks of the first, and from here on each draws random numbers of its own.
        What learners and tasks draw for all alike must come from a generator of their own.
        """
        self.task, self.config, self.device, self.learners = task, config, device, learners or {}
        self.step, self.world = 0, processes()
        check_weights(config, task)
        task.weights = task.weights | config.weights
        for network in task.networks.values():
            network.to(device).train()
        self._cast = partial(torch.autocast, device.type, torch.bfloat16, enabled=config.precision == "bf16")
        self._statistics: AbstractContextManager[Any] = nullcontext()
        if self.world.is_distributed:
            self._begin_together()
        self.parameters = {phase.name: _parameters(task, phase) for phase in task.phases}
        made = {f"learner/{name}": learner.optimizer() for name, learner in self.learners.items()}
        own = {name: optimizer for name, optimizer in made.items() if optimizer is not None}
        learnt = {id(p) for optimizer in own.values() for group in optimizer.param_groups for p in group["params"]}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(
                [p for p in parameters if id(p) not in learnt],
                lr_of(name, config),
                config.betas,
                weight_decay=config.weight_decay,
                fused=True,
            )
            for name, parameters in self.parameters.items()
        }
        self.steppers = {name: [self.optimizers[name], *(own.values() if name == "G" else ())] for name in self.optimizers}
        self.optimizers |= own
        self._awake: str | None = None

    def _begin_together(self) -> None:
        networks = self.task.networks.values()
        self.world.broadcast_(tensor for network in networks for tensor in network.state_dict().values())
        if not self.world.is_main:  # the state was the same in all: the n-th process takes the n-th draw for its seed
            torch.manual_seed(int(torch.randint(2**62, (self.world.rank,))[-1]))
        if any(map(has_statistics, networks)):
            self._statistics = SharedStatistics()

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """One training step; ``{phase/loss: value}``, detached, on the device. ``batch`` is this process's slice."""
        factor = lr_factor(self.step, self.config)
        for learner in self.learners.values():
            learner.on_step_start(self.step)
        on_device = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        seen: dict[str, Tensor] = {}
        with self._cast(), self._statistics:
            self._wake(None)
            outputs = self.task.forward(on_device)
        for phase in self.task.phases:
            self._wake(phase.name)
            with self._cast(), self._statistics:
                losses = self.task.losses(phase.name, on_device, outputs)
            total = torch.stack([value.float() * self.task.weights[name] for name, value in losses.items()]).sum()
            if phase.name == "G":
                extra = self._extra()
                total = total + sum(extra.values())
                losses = {**losses, **extra}
            total.backward()  # type: ignore[no-untyped-call]
            if self.world.is_distributed:
                self.world.average_gradients_(self.parameters[phase.name])
            self.optimizers[phase.name].param_groups[0]["lr"] = lr_of(phase.name, self.config) * factor
            for optimizer in self.steppers[phase.name]:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            seen |= {f"{phase.name}/{name}": value.detach() for name, value in losses.items()}
        self.task.stepped(len(next(iter(on_device.values()))) * self.world.count)
        self.step += 1
        return seen

    def _extra(self) -> dict[str, Tensor]:
        """The losses of the learners; of several networks, their sum."""
        found: dict[str, Tensor] = {}
        for learner in self.learners.values():
            for name, value in learner.losses().items():
                found[name] = found[name] + value if name in found else value
        return found

    def _wake(self, phase: str | None) -> None:
        """Let gradients reach the networks of one phase only (None: all), so that no backward works for nothing."""
        if phase == self._awake and self.step:
            return
        for name, own in self.parameters.items():
            for parameter in own:
                parameter.requires_grad_(phase is None or name == phase)
        self._awake = phase

    def tensors(self) -> dict[str, Tensor]:
        """Everything that an exact resume needs, by name.

        Of several processes the first is given what the others hold alone (``rank1/...``): pools and random states.
        """
        own = {f"task/{key}": value for key, value in self.task.state().items()}
        own["rng/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            own["rng/cuda"] = torch.cuda.get_rng_state(self.device)
        found = dict(own)
        for rank, other in enumerate(self.world.gather(own)):
            found |= {f"rank{rank}/{key}": value for key, value in other.items() if rank}
        for name, network in self.task.networks.items():
            found |= {f"network/{name}/{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                found |= {f"optimizer/{name}/{index}/{slot}": value for slot, value in slots.items()}
        return found

    def load_tensors(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave after ``step`` steps, in each process from its own part."""
        self.step = step
        for name, network in self.task.networks.items():
            network.load_state_dict(_below(tensors, f"network/{name}/"))
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(tensors, f"optimizer/{name}/").items():
                index, slot = key.split("/")
                state.setdefault(int(index), {})[slot] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        own = tensors if self.world.is_main else _below(tensors, f"rank{self.world.rank}/")
        self.task.load_state(_below(own, "task/"))
        torch.set_rng_state(own["rng/cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(own["rng/cuda"], self.device)

    def check_together(self, when: str) -> None:
        """Raise `Parted` in all processes if their networks are no longer the same."""
        if not self.world.is_distributed:
            return
        networks = self.task.networks.items()
        tensors = {f"{name}.{key}": value for name, network in networks for key, value in network.state_dict().items()}
        self.world.check_equal({key: value for key, value in tensors.items() if value.numel()}, when)


def fit(
    task: Task,
    batches: Callable[[int], Iterator[Batch]],
    config: TrainingConfig,
    run: Run,
    *,
    stage: str,
    device: torch.device,
    show: Batch | None = None,
    learners: Learners | None = None,
) -> None:
    """Train ``task`` for ``config.steps`` steps, or what is left of them after the stage's newest checkpoint in ``run``.

    ``batches(start)`` gives the batches from step ``start`` on; that they depend on nothing else makes the resume exact.
    ``show`` is generated into ``samples/`` now and then. Raises `Diverged` when a loss is no longer a number; the last
    checkpoint before is kept.

    In several processes, all call this, each with its slices of the batches; the first alone writes into ``run``. Raises
    `Lost` when another one has ended, `Parted` when their weights are no longer the same.
    """
    state = Fit(task, config, device, learners=learners)
    run = run if state.world.is_main else Run(run.path, writes=False)
    _resume(state, run, stage)
    run.rewind_log(stage, state.step)
    watch = TrainingMonitor(run, stage, config, state.learners, state.world)
    stream = batches(state.step) if state.step < config.steps else iter(())
    with run.reporter.task(stage, config.steps, state.step) as tick:
        for batch in stream:
            watch.add(state.advance(batch))
            done = state.step
            last = done == config.steps
            if done % config.log_every == 0 or last or done % config.checkpoint_every == 0:
                watch.flush(done, config.lr * lr_factor(done - 1, config))
            tick(done, watch.latest)
            if show is not None and run.writes and config.sample_every and (done % config.sample_every == 0 or last):
                _show(task, show, device, run.path / "samples" / f"{stage}_{done:06d}.png")
            if done % config.checkpoint_every == 0 or last:
                watch.check_weights(task, done)
                state.check_together(f"{stage}, step {done}")
                run.save_checkpoint(stage, done, state.tensors(), _facts(state))
            if last:
                break
    watch.close()
    for parameter in (p for network in task.networks.values() for p in network.parameters()):
        parameter.requires_grad_(True)


def _facts(state: Fit) -> dict[str, int]:
    return {"processes": state.world.count} if state.world.is_distributed else {}


def _resume(state: Fit, run: Run, stage: str) -> None:
    """Go on from the newest checkpoint, if there is one. ``ValueError`` if other processes wrote it, or see another one."""
    saved, world = run.load_checkpoint(stage), state.world
    if saved is not None and saved[2].get("processes", 1) != world.count:
        wrote = saved[2].get("processes", 1)
        raise ValueError(
            f"{run.path}: {stage} was begun by {wrote} process{'es' * (wrote > 1)}, and goes on exactly in as many; here is "
            f"{world.count}"
        )
    step = saved[0] if saved is not None else 0
    if world.broadcast_int(step) != step:
        raise ValueError(f"{run.path} is not the same in all processes: put the run where all of them see it")
    if saved is not None:
        state.load_tensors(step, saved[1])


def _show(task: Task, batch: Batch, device: torch.device, path: Path) -> None:
    networks = task.networks.values()
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()
    with torch.no_grad():
        save_grid(path, task.images({name: value.to(device) for name, value in batch.items()}))
    for network, mode in zip(networks, modes, strict=True):
        network.train(mode)


def _parameters(task: Task, phase: Phase) -> list[nn.Parameter]:
    return [parameter for name in phase.networks for parameter in task.networks[name].parameters()]


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
