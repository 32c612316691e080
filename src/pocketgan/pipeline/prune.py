"""The stages that make the small network: the first fit, the selection, the recovery."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.spec import spec_of
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.common import batches_of, first_batch, versions
from pocketgan.pipeline.networks import build_student_task
from pocketgan.pipeline.search_targets import build_search_task
from pocketgan.pipeline.work import CompressionState
from pocketgan.pruning.selection import shrink
from pocketgan.training.loop import Learners, fit
from pocketgan.training.task import Task
from pocketgan.utils.files import atomic

SEARCHED = "searched.safetensors"


def train_search(state: CompressionState) -> None:
    """Prepare, and fit what learns where to cut; both generators in a two-way search."""
    config, method = state.config, state.method
    models = _prepared(state)
    learners = {
        name: method.learner(models[name], target.context, config.search.steps) for name, target in state.targets.items()
    }
    task = build_search_task(state.networks.task, models, state.networks.teacher.model, state.splits.train, state.device)
    if state.networks.opponent is not None and "D" in task.networks:
        task.networks["D"].load_state_dict(load_artifact(state.networks.opponent).model.state_dict())
    _fit(state, task, "search", {name: own for name, own in learners.items() if own is not None})
    if state.run.writes:
        discriminators = {name: network for name, network in task.networks.items() if name.startswith("D")}
        _save(state.file(SEARCHED), models | discriminators)
    state.models = models


def prune(state: CompressionState) -> None:
    """Select and shrink; the one that the run is about last, as where its file is, the stage is done.

    Of several processes the first selects; the others share a search that can be shared.
    """
    if not state.run.writes:
        if state.method.is_supernet:
            join_search(state)
        return
    config, method, models = state.config, state.method, _searched(state)
    for name, target in reversed(state.targets.items()):
        selection = method.select(models[name].cpu(), target.context)
        student = shrink(method.network(models[name]), selection)
        assert target.context.budget.allows(CostModel(student, config.data.shape)())
        if config.weights == "fresh":
            student = spec_of(student).build()
        save_artifact(state.file(target.selected), student, size=config.data.shape)
    state.models = None


def join_search(state: CompressionState) -> None:
    """Share the work of a selection that another process does."""
    models = _searched(state)
    for name, target in reversed(state.targets.items()):
        state.method.join_search(models[name].cpu(), target.context)


def recover(state: CompressionState) -> None:
    """Train the cut network against the teacher."""
    torch.manual_seed(state.config.seed)
    student = load_artifact(state.file("pruned.safetensors")).model
    budget, cost = state.context.budget, CostModel(student, state.config.data.shape)()
    if not budget.allows(cost):
        raise ValueError(
            f"{state.file('pruned.safetensors')} was cut to {budget.of(cost):,} {budget.kind}, budget '{budget.asked}' allows "
            f"{budget.limit:,}: give the budget that it was cut to, or begin in another --out"
        )
    task = build_student_task(state.networks.task, student, state.networks.teacher.model, state.splits.train, state.device)
    if state.method.is_supernet and "D" in task.networks:  # as published: the one that has seen all widths goes on
        task.networks["D"].load_state_dict(_part(state.file(SEARCHED), "D"))
    _fit(state, task, "recover")
    if state.run.writes:
        _save_student(state, task, task.final_network("G"))


def _prepared(state: CompressionState) -> dict[str, nn.Module]:
    """What the first fit begins with, or what a method without one cuts."""
    torch.manual_seed(state.config.seed)
    return {
        name: state.method.prepare(copy.deepcopy(target.start.model).requires_grad_(True), target.context)
        for name, target in state.targets.items()
    }


def _searched(state: CompressionState) -> dict[str, nn.Module]:
    """What there is to select from: as it was fitted here, or from the file."""
    if state.models is not None:
        return state.models
    models = _prepared(state)
    for name, model in models.items():
        if state.method.needs_search(state.targets[name].start.model):
            model.load_state_dict(_part(state.file(SEARCHED), name))
    return models


def _save(path: Path, models: Mapping[str, nn.Module]) -> None:
    """``{network/tensor}`` of all of them, atomically."""
    tensors = {
        f"{name}/{key}": tensor.detach().cpu().contiguous().clone()
        for name, model in models.items()
        for key, tensor in model.state_dict().items()
    }
    with atomic(path) as temporary:
        save_file(tensors, temporary)


def _part(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors of one of them. Raises ``ValueError`` where the file is gone."""
    if not path.exists():
        raise ValueError(f"there is no {path}: --from search makes it again")
    head = f"{name}/"
    return {key.removeprefix(head): tensor for key, tensor in load_file(path).items() if key.startswith(head)}


def _fit(state: CompressionState, task: Task, stage: str, learners: Learners | None = None) -> None:
    searching = stage == "search"
    settings = state.config.search if searching else state.config.recovery
    fit(
        task,
        batches_of(state.splits.searched if searching else state.splits.train, settings, state.config.seed),
        settings,
        state.run,
        stage=stage,
        device=state.device,
        show=first_batch(state.test),
        learners=learners,
    )
    task.close()


def _save_student(state: CompressionState, task: Task, student: nn.Module) -> None:
    provenance = {
        "method": state.config.method,
        "objective": state.config.objective,
        "budget": state.config.budget,
        "seed": state.config.seed,
        "teacher": state.config.teacher,
        "versions": versions(),
    }
    if "D" in task.networks:
        save_artifact(state.file("student_discriminator.safetensors"), task.networks["D"], size=state.config.data.shape)
    save_artifact(state.file("student.safetensors"), student, size=state.config.data.shape, provenance=provenance)
