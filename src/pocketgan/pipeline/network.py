"""The stages that make the small network: the first fit, the selection, the recovery."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pocketgan.compress.selection import shrink
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.files import atomic
from pocketgan.core.spec import spec_of
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.common import batches_of, first_batch, versions
from pocketgan.pipeline.players import make_task
from pocketgan.pipeline.sides import search_game
from pocketgan.pipeline.work import Work
from pocketgan.train.loop import Learners, fit
from pocketgan.train.task import Task

FITTED = "fitted.safetensors"


def fit_network(work: Work) -> None:
    """Prepare, and fit what learns where to cut; both generators in a two-way search."""
    config, method = work.config, work.method
    models = _prepared(work)
    learners = {name: method.learner(models[name], side.setting, config.search.steps) for name, side in work.sides.items()}
    game = search_game(work.cast.game, models, work.cast.teacher.model, work.pictures.train, work.device)
    if work.cast.opponent is not None and "D" in game.players:
        game.players["D"].load_state_dict(load_artifact(work.cast.opponent).model.state_dict())
    _fit(work, game, "search", {name: own for name, own in learners.items() if own is not None})
    if work.run.writes:
        judges = {name: player for name, player in game.players.items() if name.startswith("D")}
        _save(work.file(FITTED), models | judges)
    work.models = models


def select(work: Work) -> None:
    """Select and shrink; the one that the run is about last, as where its file is, the stage is done.

    Of several processes the first selects; the others share a search that can be shared.
    """
    if not work.run.writes:
        if work.method.once_for_all:
            help_select(work)
        return
    config, method, models = work.config, work.method, _fitted(work)
    for name, side in reversed(work.sides.items()):
        selection = method.select(models[name].cpu(), side.setting)
        student = shrink(method.network(models[name]), selection)
        assert side.setting.budget.allows(CostModel(student, config.data.shape)())
        if config.weights == "fresh":
            student = spec_of(student).build()
        save_artifact(work.file(side.selected), student, size=config.data.shape)
    work.models = None


def help_select(work: Work) -> None:
    """Share the work of a selection that another process does."""
    models = _fitted(work)
    for name, side in reversed(work.sides.items()):
        work.method.help(models[name].cpu(), side.setting)


def recover(work: Work) -> None:
    """Train the cut network against the teacher."""
    torch.manual_seed(work.config.seed)
    student = load_artifact(work.file("selected.safetensors")).model
    budget, cost = work.setting.budget, CostModel(student, work.config.data.shape)()
    if not budget.allows(cost):
        raise ValueError(
            f"{work.file('selected.safetensors')} was cut to {budget.of(cost):,} {budget.kind}, budget '{budget.asked}' allows "
            f"{budget.limit:,}: give the budget that it was cut to, or begin in another --out"
        )
    task = make_task(work.cast.game, student, work.cast.teacher.model, work.pictures.train, work.device)
    if work.method.once_for_all and "D" in task.players:  # as published: the one that has seen all widths goes on
        task.players["D"].load_state_dict(_part(work.file(FITTED), "D"))
    _fit(work, task, "recover")
    if work.run.writes:
        _save_student(work, task, task.kept("G"))


def _prepared(work: Work) -> dict[str, nn.Module]:
    """What the first fit begins with, or what a method without one cuts."""
    torch.manual_seed(work.config.seed)
    return {
        name: work.method.prepare(copy.deepcopy(side.start.model).requires_grad_(True), side.setting)
        for name, side in work.sides.items()
    }


def _fitted(work: Work) -> dict[str, nn.Module]:
    """What there is to select from: as it was fitted here, or from the file."""
    if work.models is not None:
        return work.models
    models = _prepared(work)
    for name, model in models.items():
        if work.method.fits(work.sides[name].start.model):
            model.load_state_dict(_part(work.file(FITTED), name))
    return models


def _save(path: Path, models: Mapping[str, nn.Module]) -> None:
    """``{player/tensor}`` of all of them, atomically."""
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
        raise ValueError(f"there is no {path}: --from fit makes it again")
    head = f"{name}/"
    return {key.removeprefix(head): tensor for key, tensor in load_file(path).items() if key.startswith(head)}


def _fit(work: Work, task: Task, stage: str, learners: Learners | None = None) -> None:
    searching = stage == "search"
    settings = work.config.search if searching else work.config.fit
    fit(
        task,
        batches_of(work.pictures.searched if searching else work.pictures.train, settings, work.config.seed),
        settings,
        work.run,
        stage=stage,
        device=work.device,
        show=first_batch(work.test),
        learners=learners,
    )
    task.close()


def _save_student(work: Work, task: Task, student: nn.Module) -> None:
    provenance = {
        "method": work.config.method,
        "objective": work.config.objective,
        "budget": work.config.budget,
        "seed": work.config.seed,
        "teacher": work.config.teacher,
        "versions": versions(),
    }
    if "D" in task.players:
        save_artifact(work.file("student_discriminator.safetensors"), task.players["D"], size=work.config.data.shape)
    save_artifact(work.file("student.safetensors"), student, size=work.config.data.shape, provenance=provenance)
