"""Training loop of every task: phases of named losses, in one process or several.

Of several processes each trains on its slice of every batch, gradients are averaged in every phase, and only the main process
writes files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.hooks import evaluation_mode
from pocketgan.core.run import Run
from pocketgan.core.tensor_file import DamagedFile, read_tensors
from pocketgan.pruning.calibrate import has_statistics
from pocketgan.training.config import TrainingConfig
from pocketgan.training.distributed import SharedStatistics, processes
from pocketgan.training.monitor import TrainingMonitor, weights_not_finite
from pocketgan.training.optimizers import Adam, Muon
from pocketgan.training.schedule import UNKNOWN, lr_factor, lr_of, read_steps, steps_within, write_steps
from pocketgan.training.task import Batch, Learners, Phase, Task
from pocketgan.utils.images import save_sheet
from pocketgan.utils.registry import unknown

LEAST_MEASURED, MOST_MEASURED, MEASURED = 3, 30, 0.05
"""Steps whose time is measured to find how many fit: at least and at most, and the part of the time that they may take."""


def check_weights(config: TrainingConfig, task: Task) -> None:
    """Raise ``ValueError`` for a weight of a loss that the task does not have."""
    for name in config.weights:
        if name not in task.weights:
            raise unknown("loss", name, task.weights)


class Trainer:
    """State of a training: the task, its optimizers, the number of steps done."""

    def __init__(self, task: Task, config: TrainingConfig, device: torch.device, *, learners: Learners | None = None):
        """Move the networks to ``device``. Raise ``ValueError`` for a weight of a loss that the task does not have.

        All processes start with the networks of the main one, and draw different random numbers from here on. Learners and
        tasks that need the same numbers in all processes must use generators of their own.
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
            self._synchronize()
        self.parameters: dict[str, list[nn.Parameter]] = {
            phase.name: [p for name in phase.networks for p in task.networks[name].parameters()] for phase in task.phases
        }
        optional = {f"learner/{name}": learner.optimizer() for name, learner in self.learners.items()}
        extra = {name: optimizer for name, optimizer in optional.items() if optimizer is not None}
        taken = {id(p) for optimizer in extra.values() for group in optimizer.param_groups for p in group["params"]}
        self._scheduled: dict[str, list[tuple[torch.optim.Optimizer, float]]] = {}
        for phase in task.phases:
            parameters = [p for p in self.parameters[phase.name] if id(p) not in taken]
            matrices = self._matrices(phase, parameters)
            others = [p for p in parameters if not any(p is matrix for matrix in matrices)]
            adam = Adam(others, lr_of(phase.name, config), config.betas, weight_decay=config.weight_decay)
            self._scheduled[phase.name] = [(adam, lr_of(phase.name, config))]
            if matrices:
                self._scheduled[phase.name].append((Muon(matrices, config.muon), config.muon))
        self.optimizers: dict[str, torch.optim.Optimizer] = extra | {
            f"{'muon-' * index}{name}": optimizer
            for name, scheduled in self._scheduled.items()
            for index, (optimizer, _) in enumerate(scheduled)
        }
        self._stepped = {
            name: [*(optimizer for optimizer, _ in scheduled), *(extra.values() if name == "G" else ())]
            for name, scheduled in self._scheduled.items()
        }
        self._trainable: str | None = None

    def _matrices(self, phase: Phase, parameters: list[nn.Parameter]) -> list[nn.Parameter]:
        """Return the weights of the phase that Muon trains: those of generators, not of adaptors and discriminators."""
        if not self.config.muon or phase.name == "D":
            return []
        own = {id(p) for name in phase.networks if name.startswith("G") for p in self.task.networks[name].parameters()}
        return [p for p in parameters if id(p) in own and Muon.takes(p)]

    def _synchronize(self) -> None:
        networks = self.task.networks.values()
        self.world.broadcast_(tensor for network in networks for tensor in network.state_dict().values())
        if not self.world.is_main:  # the random states were equal: process n takes the n-th draw as its seed
            torch.manual_seed(int(torch.randint(2**62, (self.world.rank,))[-1]))
        if any(map(has_statistics, networks)):
            self._statistics = SharedStatistics()

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """Train one step on this process's slice of a batch; return ``{phase/loss: value}``, detached, on the device."""
        factor = lr_factor(self.step, self.config)
        for learner in self.learners.values():
            learner.on_step_start(self.step)
        on_device = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        values: dict[str, Tensor] = {}
        with self._cast(), self._statistics:
            self.enable_gradients(None)
            outputs = self.task.forward(on_device)
        for phase in self.task.phases:
            self.enable_gradients(phase.name)
            with self._cast(), self._statistics:
                losses = self.task.losses(phase.name, on_device, outputs)
            total = torch.stack([value.float() * self.task.weights[name] for name, value in losses.items()]).sum()
            if phase.name == "G":
                extra = self._learner_losses()
                total = total + sum(extra.values())
                losses = {**losses, **extra}
            total.backward()  # type: ignore[no-untyped-call]
            if self.world.is_distributed:
                self.world.average_gradients_(self.parameters[phase.name])
            for optimizer, rate in self._scheduled[phase.name]:
                optimizer.param_groups[0]["lr"] = rate * factor
            for optimizer in self._stepped[phase.name]:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            values |= {f"{phase.name}/{name}": value.detach() for name, value in losses.items()}
        self.task.stepped(len(next(iter(on_device.values()))) * self.world.count)
        self.step += 1
        return values

    def _learner_losses(self) -> dict[str, Tensor]:
        """Return the losses of all learners; losses of the same name are added."""
        losses: dict[str, Tensor] = {}
        for learner in self.learners.values():
            for name, value in learner.losses().items():
                losses[name] = losses[name] + value if name in losses else value
        return losses

    def enable_gradients(self, phase: str | None) -> None:
        """Enable gradients in the networks of one phase only (None: all), so that no backward computes unused ones."""
        if phase == self._trainable and self.step:
            return
        for name, parameters in self.parameters.items():
            for parameter in parameters:
                parameter.requires_grad_(phase is None or name == phase)
        self._trainable = phase

    def tensors(self) -> dict[str, Tensor]:
        """Return all that an exact resume needs, by name.

        In the main process this includes pools and random states of the others (``rank1/...``).
        """
        local = self._own_tensors()
        tensors = local | self._shared_tensors()
        for rank, other in enumerate(self.world.gather(local)):
            tensors |= {f"rank{rank}/{key}": value for key, value in other.items() if rank}
        return tensors

    def _own_tensors(self) -> dict[str, Tensor]:
        """Return what differs between processes: pools and random states."""
        tensors = {f"task/{key}": value for key, value in self.task.state().items()}
        tensors["rng/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state(self.device)
        return tensors

    def _shared_tensors(self) -> dict[str, Tensor]:
        """Return what is equal in all processes: weights, and the state of the optimizers."""
        tensors: dict[str, Tensor] = {}
        for name, network in self.task.networks.items():
            tensors |= {f"network/{name}/{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{name}/{index}/{slot}": value for slot, value in slots.items()}
        return tensors

    def load_tensors(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` returned after ``step`` steps, in each process its own part.

        Raise ``ValueError``, with everything as it was, for tensors of another training and weights that are not finite.
        """
        shared = {key: value for key, value in tensors.items() if key.startswith(("network/", "optimizer/"))}
        local = tensors if self.world.is_main else _below(tensors, f"rank{self.world.rank}/")
        before = {key: value.clone() for key, value in (self._own_tensors() | self._shared_tensors()).items()}
        try:
            self._load(step, {**shared, **{key: value for key, value in local.items() if key.startswith(("task/", "rng/"))}})
            if bad := weights_not_finite(self.task):
                raise ValueError(f"{', '.join(bad)} is not finite")
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            self._load(0, before)
            raise ValueError(f"its tensors are not those of this training: {str(error).splitlines()[0]}") from error

    def _load(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        self.step = step
        for name, network in self.task.networks.items():
            network.load_state_dict(_below(tensors, f"network/{name}/"))
        for name, optimizer in self.optimizers.items():
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(tensors, f"optimizer/{name}/").items():
                index, slot = key.split("/")
                if int(index) >= len(parameters) or value.shape not in ((), parameters[int(index)].shape):
                    raise ValueError(f"{name}'s optimizer has no {key} of shape {tuple(value.shape)}")
                state.setdefault(int(index), {})[slot] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        self.task.load_state(_below(tensors, "task/"))
        torch.set_rng_state(tensors["rng/cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng/cuda"], self.device)

    def check_together(self, when: str) -> None:
        """Raise `Desynchronized` in all processes if their networks differ."""
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
    seconds: float | None = None,
) -> None:
    """Train ``task`` for ``config.steps`` steps, or for the rest of them after the newest checkpoint of ``stage`` in ``run``.

    With ``seconds`` the number of steps follows from the time of the first ones; it is kept in the run, and holds for every
    resume.

    ``batches(start)`` yields the batches from step ``start`` on; it must depend on nothing else, so that a resume is exact.
    Sample grids of the batch ``show`` are written into ``samples/`` at intervals. Raises `Diverged` when a loss is not finite;
    the last checkpoint before is kept.

    With several processes, all call this, each with its slices of the batches; only the main process writes into ``run``.
    Raises `PeerLost` when another process has ended, `Desynchronized` when their weights differ.
    """
    trainer = Trainer(task, config, device, learners=learners)
    run = run if trainer.world.is_main else Run(run.path, writes=False)
    if seconds is not None:
        trainer.config = config = replace(config, steps=trainer.world.broadcast_int(read_steps(run, stage) or UNKNOWN))
    _resume(trainer, run, stage)
    run.rewind_log(stage, trainer.step)
    monitor = TrainingMonitor(run, stage, config, trainer.learners, trainer.world)
    stream = batches(trainer.step) if trainer.step < config.steps else iter(())
    if seconds is not None and config.steps == UNKNOWN:
        trainer.config = config = replace(config, steps=_measured(trainer, stream, monitor, seconds))
        if run.writes:
            write_steps(run, stage, config.steps)
    with run.reporter.task(stage, config.steps, trainer.step) as tick:
        for batch in stream:
            monitor.add(trainer.advance(batch))
            step = trainer.step
            last = step == config.steps
            if step % config.log_every == 0 or last or step % config.checkpoint_every == 0:
                monitor.flush(step, config.lr * lr_factor(step - 1, config))
            tick(step, monitor.latest)
            if show is not None and run.writes and config.sample_every and (step % config.sample_every == 0 or last):
                _save_samples(task, show, device, run.path / "samples" / f"{stage}_{step:06d}.png")
            if step % config.checkpoint_every == 0 or last:
                monitor.check_weights(task, step)
                trainer.check_together(f"{stage}, step {step}")
                facts = {"processes": trainer.world.count} if trainer.world.is_distributed else {}
                run.save_checkpoint(stage, step, trainer.tensors(), facts)
            if last:
                break
    monitor.close()
    trainer.enable_gradients(None)


def _measured(trainer: Trainer, stream: Iterator[Batch], monitor: TrainingMonitor, seconds: float) -> int:
    """Train the first steps, and return how many there are to be: those and as many as fit into the rest of the time.

    All processes take the number of the main one. The teacher's outputs, where they are kept, cost their time but once.
    """
    began, first = monotonic(), trainer.step
    for _ in range(LEAST_MEASURED):
        monitor.add(trainer.advance(next(stream)))
    fitting = MEASURED * seconds / (monotonic() - began) * LEAST_MEASURED
    for _ in range(trainer.world.broadcast_int(int(min(MOST_MEASURED, fitting))) - LEAST_MEASURED):
        monitor.add(trainer.advance(next(stream)))
    count, spent = trainer.step - first, monotonic() - began
    (each, inputs), seen = trainer.task.teacher_cost(), trainer.config.batch // trainer.world.count
    step = max(spent / count - each * seen, 1e-6) if inputs else spent / count
    more = steps_within(max(0.0, seconds - spent), step, batch=seen, inputs=inputs, each=each)
    return trainer.world.broadcast_int(trainer.step + more)


def _resume(trainer: Trainer, run: Run, stage: str) -> None:
    """Load the newest checkpoint that is whole, if any, and say which are not.

    Raise ``ValueError`` if another number of processes wrote it, or sees another one.
    """
    damaged, world = [], trainer.world
    for step, file in run.checkpoints(stage):
        try:
            tensors, facts = read_tensors(file)
            if (count := facts.get("processes", 1)) == world.count:
                trainer.load_tensors(step, tensors)
        except ValueError as error:
            damaged.append(str(error) if isinstance(error, DamagedFile) else f"{file}: {error}")
            continue
        if count != world.count:
            raise ValueError(
                f"{run.path}: {stage} was begun by {count} process{'es' * (count != 1)}, and goes on exactly in as many; here "
                f"is {world.count}"
            )
        break
    if damaged:
        then = f"goes on from the checkpoint of step {trainer.step}" if trainer.step else "begins anew"
        run.reporter.say(f"warning: {'; '.join(damaged)}; {stage} {then}")
    if world.broadcast_int(trainer.step) != trainer.step:
        raise ValueError(f"{run.path} is not the same in all processes: put the run where all of them see it")


def _save_samples(task: Task, batch: Batch, device: torch.device, path: Path) -> None:
    with torch.no_grad(), ExitStack() as modes:
        for network in task.networks.values():
            modes.enter_context(evaluation_mode(network))
        columns = task.images({name: value.to(device) for name, value in batch.items()})
        save_sheet(path, list(zip(*columns.values(), strict=True)))


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
