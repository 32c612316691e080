"""Compress a trained generator: prepare, fit, select, shrink, fit; then judge, export, report."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.compress.budget import Budget, check_floor, parse_budget
from pocketgan.compress.fit_budget import floor_widths
from pocketgan.compress.selection import shrink
from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.files import read_json, write_json
from pocketgan.core.progress import Reporter
from pocketgan.core.run import Run
from pocketgan.core.spec import spec_of
from pocketgan.data.images import ImageData
from pocketgan.data.loader import train_batches
from pocketgan.evaluate import Result, cost_result, evaluate, latencies
from pocketgan.export import export_onnx
from pocketgan.methods import Method, Setting, make_method
from pocketgan.metrics.cost import CostModel, image_channels
from pocketgan.pipeline.common import (
    batches_of,
    check_size,
    check_stride,
    default_gan,
    first_batch,
    machine,
    make_discriminator,
    open_splits,
    resolved_steps,
    versions,
)
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.sources import Source, discriminator_beside, load
from pocketgan.report import write_report
from pocketgan.train.loop import Learners, choose_device, fit
from pocketgan.train.objectives import check_objectives
from pocketgan.train.task import Task
from pocketgan.train.translation import Translation

IMPORTANCE_IMAGES, IMPORTANCE_BATCH = 32, 4


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
    cost: CostModel
    budget: Budget
    data: ImageData
    test: ImageData
    device: torch.device
    seconds: dict[str, float]
    notes: list[str]

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
    for data, names, budgets and sizes that do not fit; the student is never above the budget.
    """
    work = _begin(config, out, resume, reporter, teacher)
    if not work.file("student.safetensors").exists():
        if not work.file("selected.safetensors").exists():
            _timed(work, "search", _select)
        _timed(work, "recover", _recover)
    student = load_artifact(work.file("student.safetensors")).model
    if not (work.file("result.json").exists() and work.file("student.onnx").exists()):
        exported = export_onnx(student, work.file("student.onnx"), size=config.data.size)
        _judge(work, student, exported.summary())
        for stage in ("search", "recover"):
            work.run.drop_checkpoints(stage)
    write_report([out], work.file("report.html"))
    return Compressed(student, read_json(work.file("result.json")), out)


def _begin(config: CompressConfig, out: Path, resume: bool, reporter: Reporter | None, teacher: Source | None) -> _Work:
    """Everything that can fail for a user's mistake, before any work is done or any file written."""
    method = make_method(config.method, config.method_options)
    for names in (config.objective, config.search_objective or "none"):
        check_objectives(names, config.objective_options)
    config.judge.check()
    source = teacher or load(config.teacher)
    check_stride(source.model, config.data.size)
    cost = CostModel(source.model, config.data.size)
    budget = parse_budget(config.budget, cost())
    check_floor(budget, cost, floor_widths(source.model, multiple=config.multiple))
    data, test = open_splits(config.data, config.task)
    fit_config, search = (resolved_steps(part, len(data)) for part in (config.fit, config.search))
    config = replace(config, fit=fit_config, search=search)
    device = choose_device(config.device)
    if config.task != "inputs":
        check_size("discriminator", _discriminator(config, config.task == "paired"), config.data.size)
    run = Run.open(out, config, resume=resume, reporter=reporter)
    run.reporter.say(f"teacher: {source.message}")
    spent = out / "seconds.json"
    seconds = read_json(spent) if spent.exists() else {}
    return _Work(config, run, source, method, cost, budget, data, test, device, seconds, [])


def _timed(work: _Work, stage: str, job: Any) -> None:
    began = monotonic()
    job(work)
    work.seconds[stage] = work.seconds.get(stage, 0.0) + monotonic() - began
    write_json(work.file("seconds.json"), work.seconds)


def _select(work: _Work) -> None:
    """Prepare, fit if the method learns, select, shrink."""
    config = work.config
    torch.manual_seed(config.seed)
    setting = Setting(work.budget, work.cost, config.multiple, partial(_images, work.data, config.seed))
    model = work.method.prepare(copy.deepcopy(work.teacher.model).requires_grad_(True), setting)
    if work.method.learns:
        learner = work.method.learner(model, setting, config.search.steps)
        _fit(work, model, "search", {"G": learner} if learner is not None else None)
    student = shrink(model.cpu(), work.method.select(model, setting))
    assert work.budget.allows(CostModel(student, config.data.size)())
    if config.weights == "fresh":
        student = spec_of(student).build()
    save_artifact(work.file("selected.safetensors"), student, size=config.data.size)


def _recover(work: _Work) -> None:
    """Train the cut network against the teacher."""
    torch.manual_seed(work.config.seed)
    student = load_artifact(work.file("selected.safetensors")).model
    task = _fit(work, student, "recover")
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


def _fit(work: _Work, student: nn.Module, stage: str, learners: Learners | None = None) -> Task:
    config = work.config
    if stage == "search" and config.search_objective is not None:
        config = replace(config, objective=config.search_objective)
    settings = config.search if stage == "search" else config.fit
    task = make_task(config, student, work.teacher.model, work.data, work.device)
    fit(
        task,
        batches_of(work.data, settings, config.seed),
        settings,
        work.run,
        stage=stage,
        device=work.device,
        show=first_batch(work.test),
        learners=learners,
    )
    task.close()
    return task


def make_task(config: CompressConfig, student: nn.Module, teacher: nn.Module, data: ImageData, device: torch.device) -> Task:
    """The student's game: the data's own truth where it is paired, the teacher's pictures where it is not."""
    paired = config.task == "paired"
    taught = config.objective != "none" or not paired
    critic = _critic(config) if taught else None
    return Translation(
        student.to(device),
        None if config.task == "inputs" else _discriminator(config, paired),
        gan=default_gan(config.gan, config.task),
        conditional=paired,
        truth="target" if paired else "teacher",
        teacher=teacher.to(device) if taught else None,
        critic=critic.to(device) if critic is not None else None,
        objective=config.objective,
        objective_options=config.objective_options,
        layers=config.layers or _shared_layers(student, teacher),
        example=first_batch(data, 1)["source"].to(device),
    )


def _shared_layers(student: nn.Module, teacher: nn.Module) -> tuple[str, ...]:
    """The teacher's own layers to distil that the student still has (a U-Net may have lost a level).

    A residual block that is gone is still there by name: it passes on the stream after the last one that is left.
    """
    present = dict(student.named_modules())
    return tuple(name for name in spec_of(teacher).taps if name in present)


def _discriminator(config: CompressConfig, conditional: bool) -> nn.Module:
    """A copy of the teacher's (GAN Compression, section 3.1), or a new one where there is none that fits, or if asked for."""
    if config.discriminator_options is not None:
        return make_discriminator("patchgan", config.discriminator_options, 6 if conditional else 3)
    return _teachers_discriminator(config, conditional) or make_discriminator("patchgan", {}, 6 if conditional else 3)


def _teachers_discriminator(config: CompressConfig, conditional: bool) -> nn.Module | None:
    """The one that was named, which must fit, or the one beside the teacher if it does."""
    channels, model = 6 if conditional else 3, _critic(config)
    if model is not None and image_channels(model) == channels:
        return model.requires_grad_(True)
    if config.teacher_discriminator:
        assert model is not None
        raise ValueError(
            f"{config.teacher_discriminator} judges {image_channels(model)} channels, a {config.task} task needs {channels}: "
            "give another, or leave it out"
        )
    return None


def _critic(config: CompressConfig) -> nn.Module | None:
    """The teacher's discriminator as it is: the one that was named, or the one beside the teacher."""
    given = config.teacher_discriminator
    file = Path(given) if given else discriminator_beside(Path(config.teacher))
    return load(file).model if file is not None else None


def _notes(config: CompressConfig) -> list[str]:
    """What a reader of the figures must know of how the student learnt."""
    critic, notes = _critic(config), []
    fits = config.task != "inputs" and _teachers_discriminator(config, config.task == "paired") is not None
    if config.task != "inputs" and config.discriminator_options is None and not fits:
        notes.append("no discriminator that fits lies beside the teacher: the student's was begun anew")
    for name, (kind, _) in check_objectives(config.objective, config.objective_options).items():
        if kind.critic and critic is None:
            notes.append(f"there is no teacher's discriminator: the objective {name} {kind.without_critic or 'is left out'}")
    return notes


def _images(data: ImageData, seed: int) -> Iterable[Tensor]:
    count = max(1, min(IMPORTANCE_IMAGES, len(data)) // IMPORTANCE_BATCH)
    stream = train_batches(data, batch=IMPORTANCE_BATCH, seed=seed, workers=0)
    return [next(stream)["source"] for _ in range(count)]


def _judge(work: _Work, student: nn.Module, exported: Mapping[str, object]) -> None:
    began = monotonic()
    config, size = work.config, work.config.data.size
    teacher = work.teacher.model
    if work.test.note:
        work.notes.append(work.test.note)
    work.notes.extend(_notes(config))
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
    floor = work.budget.of(work.cost(floor_widths(teacher, multiple=config.multiple)))
    write_json(
        work.file("result.json"),
        {
            "name": work.run.path.name,
            "method": config.method,
            "objective": config.objective,
            "seed": config.seed,
            **{name: result.to_json() for name, result in results.items()},
            "input": {"quality": quality["input"][0]},
            "budget": {
                "asked": config.budget,
                "kind": work.budget.kind,
                "limit": work.budget.limit,
                "reached": getattr(small, work.budget.kind),
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
