"""Stages that make the student: the search, the pruning, the recovery."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.spec import spec_of
from pocketgan.core.tensor_file import DamagedFile, read_tensors, write_tensors
from pocketgan.data.images import ImageData
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.common import batches_of, first_batch, versions
from pocketgan.pipeline.plan import CompressionState
from pocketgan.pipeline.reconstruction import reconstructed
from pocketgan.pruning.selection import shrink
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import fit
from pocketgan.training.task import Learners, Task

SEARCHED = "searched.safetensors"
LEAST = 0.1
"""Least part of a run's time for the recovery, after a selection that took longer than it should."""


def train_search(state: CompressionState) -> None:
    """Train the networks that a method searches in; both generators of a two-way search together."""
    plan, method = state.plan, state.plan.method
    training = plan.config.search
    models = _prepared(state)
    learners = {name: method.learner(models[name], target.context, training.steps) for name, target in plan.targets.items()}
    task = plan.tasks.search_task(models, plan.device)
    if plan.networks.initial_discriminator is not None and "D" in task.networks:
        task.networks["D"].load_state_dict(load_artifact(plan.networks.initial_discriminator).model.state_dict())
    found = {name: learner for name, learner in learners.items() if learner is not None}
    _fit(state, task, plan.splits.search, training, "search", found)
    if state.run.writes:
        discriminators = {name: network for name, network in task.networks.items() if name.startswith("D")}
        _save(state.file(SEARCHED), models | discriminators)
    state.models = models


def prune(state: CompressionState) -> None:
    """Select channels and shrink; the generator that the run is about last: with its file the stage is done.

    Of several processes the main one selects; the others share a search that can be shared.
    """
    if not state.run.writes:
        if state.plan.method.is_supernet:
            join_search(state)
        return
    plan, models = state.plan, _searched(state)
    for name, target in reversed(plan.targets.items()):
        selection = plan.method.select(models[name].cpu(), target.context)
        network = plan.method.network(models[name])
        student, facts = shrink(network, selection), {}
        assert target.context.budget.allows(CostModel(student, plan.config.data.shape)())
        if plan.config.weights == "fresh":
            student = spec_of(student).build()
        if plan.config.weights == "reconstruct":
            student, found = reconstructed(student, network, target, selection, plan.device)
            state.run.reporter.say(str(found))
            facts["reconstruction"] = asdict(found)
        save_artifact(state.file(target.file), student, size=plan.config.data.shape, provenance=facts)
    state.models = None


def join_search(state: CompressionState) -> None:
    """Share the work of a selection that another process does."""
    models = _searched(state)
    for name, target in reversed(state.plan.targets.items()):
        state.plan.method.join_search(models[name].cpu(), target.context)


def recover(state: CompressionState) -> None:
    """Train the pruned generator against the teacher."""
    plan, config = state.plan, state.plan.config
    torch.manual_seed(config.seed)
    file = state.file("pruned.safetensors")
    student = load_artifact(file).model
    budget, cost = plan.context.budget, CostModel(student, config.data.shape)()
    if not budget.allows(cost):
        raise ValueError(
            f"{file} was cut to {budget.of(cost):,} {budget.kind}, budget '{budget.asked}' allows {budget.limit:,}: give the "
            "budget that it was cut to, or begin in another --out"
        )
    task = plan.tasks.recovery_task(student, plan.device)
    if plan.method.is_supernet and "D" in task.networks:  # as published: the discriminator of all widths goes on
        _load(state.file(SEARCHED), "D", task.networks["D"])
    _fit(state, task, plan.splits.train, config.recovery, "recover")
    if state.run.writes:
        _save_student(state, task)


def _fit(
    state: CompressionState,
    task: Task,
    data: ImageData,
    training: TrainingConfig,
    stage: str,
    learners: Learners | None = None,
) -> None:
    plan, batches = state.plan, batches_of(data, training, state.plan.config.seed)
    show, seconds = first_batch(plan.splits.test), _seconds(state)
    fit(task, batches, training, state.run, stage=stage, device=plan.device, show=show, learners=learners, seconds=seconds)
    task.close()


def _seconds(state: CompressionState) -> float | None:
    """Wall time of a training, where the run was given one."""
    if state.plan.config.minutes is None:
        return None
    whole = 60 * state.plan.config.minutes
    left = whole - sum(state.seconds.values())
    return max(left, LEAST * whole)


def _prepared(state: CompressionState) -> dict[str, nn.Module]:
    """Networks that the search begins with, or that a method without one cuts."""
    torch.manual_seed(state.plan.config.seed)
    return {
        name: state.plan.method.prepare(copy.deepcopy(target.initial.model).requires_grad_(True), target.context)
        for name, target in state.plan.targets.items()
    }


def _searched(state: CompressionState) -> dict[str, nn.Module]:
    """Networks to select from: as trained in this process, or from the file."""
    if state.models is not None:
        return state.models
    models, method, steps = _prepared(state), state.plan.method, state.plan.config.search.steps
    for name, model in models.items():
        target = state.plan.targets[name]
        if method.needs_search(target.initial.model):
            method.learner(model, target.context, steps)  # adds the search's own state to the model
            _load(state.file(SEARCHED), name, model)
    return models


def _save(path: Path, models: Mapping[str, nn.Module]) -> None:
    """Write ``{network/tensor}`` of all of them."""
    write_tensors(
        path, {f"{name}/{key}": tensor for name, model in models.items() for key, tensor in model.state_dict().items()}, {}
    )


def _load(path: Path, name: str, model: nn.Module) -> None:
    """Load the tensors of one of them. Raises ``ValueError`` where the file is gone, damaged, or of other networks."""
    head = f"{name}/"
    try:
        found = {key.removeprefix(head): tensor for key, tensor in read_tensors(path)[0].items() if key.startswith(head)}
        model.load_state_dict(found)
    except DamagedFile as error:
        raise ValueError(f"{error}: --from search makes it again") from None
    except RuntimeError as error:
        raise ValueError(f"{path} holds another network as {name}: --from search makes it again") from error


def _save_student(state: CompressionState, task: Task) -> None:
    config = state.plan.config
    provenance = {
        "method": config.method,
        "objective": config.objective,
        "budget": config.budget,
        "seed": config.seed,
        "teacher": config.teacher,
        "versions": versions(),
    }
    if "D" in task.networks:
        save_artifact(state.file("student_discriminator.safetensors"), task.networks["D"], size=config.data.shape)
    save_artifact(state.file("student.safetensors"), task.final_network("G"), size=config.data.shape, provenance=provenance)
