"""Compress a trained generator: prepare, fit, select, shrink, fit; then judge, export, report."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn

from pocketgan.compress.fit_budget import floor_widths
from pocketgan.compress.selection import shrink
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.files import read_json, write_json
from pocketgan.core.progress import Reporter
from pocketgan.core.run import Run
from pocketgan.core.spec import spec_of
from pocketgan.data.images import ImageData
from pocketgan.data.part import hold_out
from pocketgan.evaluate import Result, cost_result, evaluate, latencies
from pocketgan.export import export_onnx
from pocketgan.methods import Method, Setting, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.pipeline.common import (
    batches_of,
    check_size,
    check_stride,
    first_batch,
    machine,
    open_run,
    open_splits,
    resolved_steps,
    there,
    versions,
)
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.players import make_task, notes_on, student_discriminator
from pocketgan.pipeline.sides import Side, make_sides, rehearse, search_game
from pocketgan.pipeline.sources import Source, load
from pocketgan.report import write_report
from pocketgan.train.loop import Learners, choose_device, fit
from pocketgan.train.objectives import check_objectives
from pocketgan.train.processes import processes
from pocketgan.train.task import Task


@dataclass(frozen=True)
class Compressed:
    """What a compression gives back."""

    student: nn.Module
    """The small generator: on the CPU, in evaluation mode."""
    result: dict[str, Any]
    """``result.json``: teacher and student measured side by side."""
    path: Path
    """The run directory."""


@dataclass
class _Work:
    """One compression in progress."""

    config: CompressConfig
    run: Run
    teacher: Source
    method: Method
    sides: dict[str, Side]
    """By the name of the player in the search; the first is the generator that the run is about."""
    data: ImageData
    searched: ImageData
    """What the search trains on: without the images that it is judged on."""
    test: ImageData
    device: torch.device
    seconds: dict[str, float]
    notes: list[str]

    @property
    def setting(self) -> Setting:
        """Budget and costs of the generator that the run is about."""
        return next(iter(self.sides.values())).setting

    def file(self, name: str) -> Path:
        """A file of the run."""
        return self.run.path / name


def compress(
    config: CompressConfig,
    out: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    teacher: Source | None = None,
) -> Compressed:
    """Run all stages, each skipped where its file is there already.

    ``selected.safetensors`` (cut, not yet recovered), ``student.safetensors``, ``student.onnx`` (verified), ``result.json``,
    ``pictures/``, ``report.html``. ``teacher`` replaces loading ``config.teacher``. Raises ``ValueError`` before any work
    for data, names, budgets and sizes that do not fit; the student is never above the budget. In several processes all
    train; the first alone selects, writes and judges, and the others read what it wrote.
    """
    work = _begin(config, out, resume, reporter, teacher)
    if not there(work.file("student.safetensors")):
        if not there(work.file("selected.safetensors")):
            _timed(work, "search", _select)
        _timed(work, "recover", _recover)
    student = load_artifact(work.file("student.safetensors")).model
    if work.run.writes:
        _finish(work, student)
    processes().wait()
    return Compressed(student, read_json(work.file("result.json")), out)


def _finish(work: _Work, student: nn.Module) -> None:
    """Export, judge, report."""
    if not (work.file("result.json").exists() and work.file("student.onnx").exists()):
        exported = export_onnx(student, work.file("student.onnx"), size=work.config.data.size)
        _judge(work, student, exported.summary())
        for stage in ("search", "recover"):
            work.run.drop_checkpoints(stage)
    write_report([work.run.path], work.file("report.html"))


def _begin(config: CompressConfig, out: Path, resume: bool, reporter: Reporter | None, teacher: Source | None) -> _Work:
    """Everything that can fail for a user's mistake, before any work is done or any file written."""
    method = make_method(config.method, config.method_options)
    for names in (config.objective, config.search_objective or "none"):
        check_objectives(names, config.objective_options)
    config.judge.check()
    source = teacher or load(config.teacher)
    check_stride(source.model, config.data.size)
    data, test = open_splits(config.data, config.task)
    searched, held = hold_out(data, method.held_out) if method.held_out else (data, None)
    device = choose_device(config.device)
    sides = make_sides(config, source, searched, held, method, out, device)
    for side in sides.values():
        method.check(side.teacher.model, side.setting, features=config.judge.features is not None)
    fit_config, search = (resolved_steps(part, len(data)) for part in (config.fit, config.search))
    config = replace(config, fit=fit_config, search=search)
    if config.task != "inputs":
        check_size("discriminator", student_discriminator(config, config.task == "paired"), config.data.size)
    rehearse(config, method, sides, data)
    run = open_run(out, config, resume=resume, reporter=reporter)
    run.reporter.say(f"teacher: {source.message}")
    for note in notes_on(config):
        run.reporter.say(note)
    spent = out / "seconds.json"
    seconds = read_json(spent) if spent.exists() else {}
    for own in sides.values():
        own.setting.reporter = run.reporter
    return _Work(config, run, source, method, sides, data, searched, test, device, seconds, [])


def _timed(work: _Work, stage: str, job: Any) -> None:
    began = monotonic()
    job(work)
    work.seconds[stage] = work.seconds.get(stage, 0.0) + monotonic() - began
    if work.run.writes:
        write_json(work.file("seconds.json"), work.seconds)
    processes().wait()  # for the files that the next stage reads


def _select(work: _Work) -> None:
    """Prepare, fit if the method learns, select, shrink; for both generators in a two-way search."""
    config, method = work.config, work.method
    torch.manual_seed(config.seed)
    models = {
        name: method.prepare(copy.deepcopy(side.teacher.model).requires_grad_(True), side.setting)
        for name, side in work.sides.items()
    }
    if method.learns:
        steps = config.search.steps
        learners = {name: method.learner(models[name], side.setting, steps) for name, side in work.sides.items()}
        game = search_game(config, models, work.teacher.model, work.data, work.device)
        _fit(work, game, "search", {name: own for name, own in learners.items() if own is not None})
    if work.run.writes:
        _cut(work, models)


def _cut(work: _Work, models: Mapping[str, nn.Module]) -> None:
    """Select and shrink; the one that the run is about last, as where its file is, the stage is done."""
    config, method = work.config, work.method
    for name, side in reversed(work.sides.items()):
        selection = method.select(models[name].cpu(), side.setting)
        student = shrink(method.network(models[name]), selection)
        assert side.setting.budget.allows(CostModel(student, config.data.size)())
        if config.weights == "fresh":
            student = spec_of(student).build()
        save_artifact(work.file(side.selected), student, size=config.data.size)


def _recover(work: _Work) -> None:
    """Train the cut network against the teacher."""
    torch.manual_seed(work.config.seed)
    student = load_artifact(work.file("selected.safetensors")).model
    budget, cost = work.setting.budget, CostModel(student, work.config.data.size)()
    if not budget.allows(cost):
        raise ValueError(
            f"{work.file('selected.safetensors')} was cut to {budget.of(cost):,} {budget.kind}, budget '{budget.asked}' allows "
            f"{budget.limit:,}: give the budget that it was cut to, or begin in another --out"
        )
    task = make_task(work.config, student, work.teacher.model, work.data, work.device)
    _fit(work, task, "recover")
    if work.run.writes:
        _save_student(work, task, student)


def _save_student(work: _Work, task: Task, student: nn.Module) -> None:
    provenance = {
        "method": work.config.method,
        "objective": work.config.objective,
        "budget": work.config.budget,
        "seed": work.config.seed,
        "teacher": work.config.teacher,
        "versions": versions(),
    }
    if "D" in task.players:
        save_artifact(work.file("student_discriminator.safetensors"), task.players["D"], size=work.config.data.size)
    save_artifact(work.file("student.safetensors"), student, size=work.config.data.size, provenance=provenance)


def _fit(work: _Work, task: Task, stage: str, learners: Learners | None = None) -> None:
    settings = work.config.search if stage == "search" else work.config.fit
    fit(
        task,
        batches_of(work.searched if stage == "search" else work.data, settings, work.config.seed),
        settings,
        work.run,
        stage=stage,
        device=work.device,
        show=first_batch(work.test),
        learners=learners,
    )
    task.close()


def _judge(work: _Work, student: nn.Module, exported: Mapping[str, object]) -> None:
    began = monotonic()
    config, size = work.config, work.config.data.size
    teacher = work.teacher.model
    if work.test.note:
        work.notes.append(work.test.note)
    work.notes.extend(notes_on(config))
    quality = evaluate(
        {"teacher": teacher, "student": student, "input": nn.Identity()},
        work.test,
        config.judge,
        device=work.device,
        teacher="teacher",
        keep=work.file("pictures"),
        reporter=work.run.reporter,
    )
    speed = latencies({"teacher": teacher, "student": student}, size, config.judge)
    results: dict[str, Result] = {}
    for name, model in (("teacher", teacher), ("student", student)):
        results[name] = cost_result(model, size)
        results[name].quality, results[name].spread = quality[name]
        results[name].latency_ms = speed[name]
    results["student"].bytes = work.file("student.safetensors").stat().st_size
    file = Path(config.teacher)  # a teacher given in memory has none: what its tensors take, then
    tensors = teacher.state_dict().values()
    results["teacher"].bytes = file.stat().st_size if file.is_file() else sum(t.numel() * t.element_size() for t in tensors)
    small = results["student"]
    floor = work.setting.budget.of(work.setting.cost(floor_widths(teacher, multiple=config.multiple)))
    write_json(
        work.file("result.json"),
        {
            "name": work.run.path.name,
            "method": config.method,
            "variant": config.variant,
            "objective": config.objective,
            "seed": config.seed,
            **{name: result.to_json() for name, result in results.items()},
            "input": {"quality": quality["input"][0]},
            "budget": {
                "asked": config.budget,
                "kind": work.setting.budget.kind,
                "limit": work.setting.budget.limit,
                "reached": getattr(small, work.setting.budget.kind),
                "floor": floor,
            },
            "widths": {"teacher": spec_of(teacher).widths, "student": spec_of(student).widths},
            "export": {"onnx": exported},
            "seconds": {**work.seconds, "evaluate": monotonic() - began},
            "versions": versions(),
            "machine": machine(work.device),
            "notes": work.notes,
        },
    )
