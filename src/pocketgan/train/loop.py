"""The one loop: phases of named losses, for every game. Nothing in it knows what is being trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from pocketgan.core.errors import unknown
from pocketgan.core.run import Run
from pocketgan.train.config import FitConfig, lr_factor
from pocketgan.train.samples import save_grid
from pocketgan.train.task import Batch, Phase, Task


class Learner(Protocol):
    """What a method adds to the fit of one generator. Its state lies in that generator, so that checkpoints have it."""

    def optimizer(self) -> torch.optim.Optimizer | None:
        """What trains the method's own parameters, at a rate that does not decay; they belong to the generator."""

    def before(self, step: int) -> None:
        """Called before step ``step``."""

    def losses(self) -> Mapping[str, Tensor]:
        """Joins the losses of the phase ``G``, already weighted."""

    def facts(self) -> Mapping[str, Any]:
        """What the log shows of it: plain JSON data."""


Learners = Mapping[str, Learner]
"""By the name of the player that each belongs to."""


class Diverged(ValueError):
    """A loss or a weight is no longer a number."""


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``. Raises ``ValueError`` for a device that is not there."""
    if name == "auto":
        device: torch.device = Accelerator().device
        return device
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{name}' is not to be had: {str(error).splitlines()[0]}") from None


def check_weights(config: FitConfig, task: Task) -> None:
    """Raise ``ValueError`` for a weight of a loss that the game does not have."""
    for name in config.weights:
        if name not in task.weights:
            raise unknown("loss", name, task.weights)


class Fit:
    """A fit in progress: the task, its optimisers, and how far they have come."""

    def __init__(self, task: Task, config: FitConfig, device: torch.device, *, learners: Learners | None = None):
        """Moves the players to ``device``. Raises ``ValueError`` for a weight of a loss that the game does not have."""
        self.task, self.config, self.device, self.learners = task, config, device, learners or {}
        self.step = 0
        check_weights(config, task)
        task.weights = task.weights | config.weights
        for player in task.players.values():
            player.to(device).train()
        self.parameters = {phase.name: _parameters(task, phase) for phase in task.phases}
        made = {f"learner/{name}": learner.optimizer() for name, learner in self.learners.items()}
        own = {name: optimizer for name, optimizer in made.items() if optimizer is not None}
        learnt = {id(p) for optimizer in own.values() for group in optimizer.param_groups for p in group["params"]}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam([p for p in parameters if id(p) not in learnt], config.lr, config.betas, fused=True)
            for name, parameters in self.parameters.items()
        }
        self.steppers = {name: [self.optimizers[name], *(own.values() if name == "G" else ())] for name in self.optimizers}
        self.optimizers |= own
        self._awake: str | None = None

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """One training step; ``{phase/loss: value}``, detached, on the device."""
        factor = lr_factor(self.step, self.config)
        for learner in self.learners.values():
            learner.before(self.step)
        on_device = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        seen: dict[str, Tensor] = {}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            self._wake(None)
            scene = self.task.forward(on_device)
        for phase in self.task.phases:
            self._wake(phase.name)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                losses = self.task.losses(phase.name, on_device, scene)
            total = torch.stack([value.float() * self.task.weights[name] for name, value in losses.items()]).sum()
            if phase.name == "G":
                extra = self._extra()
                total = total + sum(extra.values())
                losses = {**losses, **extra}
            total.backward()  # type: ignore[no-untyped-call]
            self.optimizers[phase.name].param_groups[0]["lr"] = self.config.lr * factor
            for optimizer in self.steppers[phase.name]:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            seen |= {f"{phase.name}/{name}": value.detach() for name, value in losses.items()}
        self.step += 1
        return seen

    def _extra(self) -> dict[str, Tensor]:
        """The losses of the learners; of several players, their sum."""
        found: dict[str, Tensor] = {}
        for learner in self.learners.values():
            for name, value in learner.losses().items():
                found[name] = found[name] + value if name in found else value
        return found

    def _wake(self, phase: str | None) -> None:
        """Let gradients reach the players of one phase only (None: all), so that no backward works for nothing."""
        if phase == self._awake and self.step:
            return
        for name, own in self.parameters.items():
            for parameter in own:
                parameter.requires_grad_(phase is None or name == phase)
        self._awake = phase

    def tensors(self) -> dict[str, Tensor]:
        """Everything that an exact resume needs, by name."""
        found = {f"task/{key}": value for key, value in self.task.state().items()}
        for name, player in self.task.players.items():
            found |= {f"player/{name}/{key}": value for key, value in player.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                found |= {f"optimizer/{name}/{index}/{slot}": value for slot, value in slots.items()}
        found["rng/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            found["rng/cuda"] = torch.cuda.get_rng_state(self.device)
        return found

    def load_tensors(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave after ``step`` steps."""
        self.step = step
        for name, player in self.task.players.items():
            player.load_state_dict(_below(tensors, f"player/{name}/"))
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(tensors, f"optimizer/{name}/").items():
                index, slot = key.split("/")
                state.setdefault(int(index), {})[slot] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        self.task.load_state(_below(tensors, "task/"))
        torch.set_rng_state(tensors["rng/cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng/cuda"], self.device)


def fit(
    task: Task,
    batches: Callable[[int], Iterator[Batch]],
    config: FitConfig,
    run: Run,
    *,
    stage: str,
    device: torch.device,
    show: Batch | None = None,
    learners: Learners | None = None,
) -> None:
    """Train ``task`` for ``config.steps`` steps, or what is left of them after the stage's newest checkpoint in ``run``.

    ``batches(start)`` gives the batches from step ``start`` on; that they depend on nothing else makes the resume exact.
    ``show`` is painted into ``samples/`` now and then. Raises `Diverged` when a loss is no longer a number; the last
    checkpoint before is kept.
    """
    state = Fit(task, config, device, learners=learners)
    saved = run.load_checkpoint(stage)
    if saved is not None:
        state.load_tensors(saved[0], saved[1])
    run.rewind_log(stage, state.step)
    watch = _Watch(run, stage, config, state.learners)
    stream = batches(state.step) if state.step < config.steps else iter(())
    with run.reporter.task(stage, config.steps, state.step) as tick:
        for batch in stream:
            watch.add(state.advance(batch))
            done = state.step
            last = done == config.steps
            if done % config.log_every == 0 or last or done % config.checkpoint_every == 0:
                watch.flush(done, config.lr * lr_factor(done - 1, config))
            tick(done, watch.latest)
            if show is not None and config.sample_every and (done % config.sample_every == 0 or last):
                _show(task, show, device, run.path / "samples" / f"{stage}_{done:06d}.png")
            if done % config.checkpoint_every == 0 or last:
                watch.check_weights(task, done)
                run.save_checkpoint(stage, done, state.tensors(), {})
            if last:
                break
    watch.close()
    for parameter in (p for player in task.players.values() for p in player.parameters()):
        parameter.requires_grad_(True)


class _Watch:
    """Means of the losses over each interval, on the device until they are written."""

    def __init__(self, run: Run, stage: str, config: FitConfig, learners: Learners):
        self.run, self.stage, self.learners = run, stage, learners
        self.latest: dict[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._count, self._since = 0, time.monotonic()
        self._writer = _tensorboard(run.path) if config.tensorboard else None

    def add(self, losses: Mapping[str, Tensor]) -> None:
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def flush(self, step: int, lr: float) -> None:
        if not self._count:
            return
        values = (torch.stack([v.float() for v in self._sums.values()]) / self._count).tolist()
        self.latest = dict(zip(self._sums, values, strict=True))
        now = time.monotonic()
        bad = [name for name, value in self.latest.items() if value != value or abs(value) == float("inf")]
        if bad:
            raise self._diverged(bad, step)
        seconds = round(now - self._since, 3)
        entry: dict[str, Any] = {
            "stage": self.stage,
            "step": step,
            "seconds": seconds,
            "lr": lr,
            "losses": self.latest,
        }
        if self.learners:
            entry["search"] = {name: learner.facts() for name, learner in self.learners.items()}
        self.run.log(entry)
        if self._writer is not None:
            for name, value in self.latest.items():
                self._writer.add_scalar(f"{self.stage}/{name}", value, step)
        self._sums, self._count, self._since = {}, 0, now

    def check_weights(self, task: Task, step: int) -> None:
        """Raise `Diverged` before a state is saved that the next losses would show to be lost."""
        bad = [
            f"a weight of {name}"
            for name, player in task.players.items()
            if not all(bool(parameter.isfinite().all()) for parameter in player.parameters())
        ]
        if bad:
            raise self._diverged(bad, step)

    def _diverged(self, bad: list[str], step: int) -> Diverged:
        kept = self.run.load_checkpoint(self.stage)
        where = f"the state after step {kept[0]} is kept in {self.run.path / 'checkpoints'}" if kept else "none was saved"
        return Diverged(
            f"{self.stage}: {', '.join(bad)} is no longer a number near step {step}; {where}; try a lower lr or float32"
        )

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _tensorboard(path: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard is not installed: pip install 'pocketgan[tensorboard]'") from None
    return SummaryWriter(str(path / "tensorboard"))


def _show(task: Task, batch: Batch, device: torch.device, path: Path) -> None:
    players = task.players.values()
    modes = [player.training for player in players]
    for player in players:
        player.eval()
    with torch.no_grad():
        save_grid(path, task.pictures({name: value.to(device) for name, value in batch.items()}))
    for player, mode in zip(players, modes, strict=True):
        player.train(mode)


def _parameters(task: Task, phase: Phase) -> list[nn.Parameter]:
    return [parameter for name in phase.players for parameter in task.players[name].parameters()]


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
