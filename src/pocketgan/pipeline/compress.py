"""Compress a trained generator: search, prune, recover; then export, evaluate, report."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from pocketgan.core.artifact import load_artifact
from pocketgan.core.run import Run, differences
from pocketgan.core.spec import spec_of
from pocketgan.deploy import export_onnx
from pocketgan.pipeline.common import descriptions, exists_on_main, machine, measured, open_run, versions
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import LoadedGenerator
from pocketgan.pipeline.networks import distill_config, mobile_config, mobile_file
from pocketgan.pipeline.plan import CompressionState
from pocketgan.pipeline.prune import join_search, prune, recover, train_search
from pocketgan.pipeline.resolve import resolve, resolve_trained
from pocketgan.pipeline.stages import CACHE, FILES, StageName, check_changed, remove_files_from, stages_to_run
from pocketgan.pipeline.train import train
from pocketgan.pruning.allocation import floor_widths
from pocketgan.report import write_report
from pocketgan.training.distributed import processes
from pocketgan.training.schedule import SCHEDULE
from pocketgan.utils.files import read_json, write_json
from pocketgan.utils.progress import Reporter

POLL = 0.5
"""Seconds between two looks at what another process has done."""


@dataclass(frozen=True)
class Compressed:
    """Result of a compression."""

    student: nn.Module
    """Small generator on the CPU, in evaluation mode."""
    result: dict[str, Any]
    """``result.json``: teacher and student measured side by side."""
    path: Path
    """Run directory."""


def compress(
    config: CompressConfig,
    out: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    teacher: LoadedGenerator | None = None,
    cache: Path | None = None,
) -> Compressed:
    """All stages, see `run_stages`: ``student.safetensors``, ``student.onnx`` (verified), ``result.json``, ``report.html``."""
    run_stages(config, out, resume=resume, reporter=reporter, teacher=teacher, cache=cache)
    return Compressed(load_artifact(out / "student.safetensors").model, read_json(out / "result.json"), out)


def run_stages(
    config: CompressConfig,
    out: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    teacher: LoadedGenerator | None = None,
    cache: Path | None = None,
    first: StageName | None = None,
    last: StageName = "report",
) -> None:
    """Stages of a compression up to ``last``, each skipped where its file is there already (`pipeline.stages`).

    ``first`` does that stage and those after it again, also with settings that the ones before it did not read. ``teacher``
    replaces loading ``config.teacher``. ``cache`` is a folder of the teacher's outputs that several runs share; without one the
    run has its own, and removes it at the end. Raises ``ValueError`` before any work for data, names, budgets and sizes that do
    not fit; the student is never above the budget.

    In several processes of one ``torchrun`` all train; the main one alone selects, writes and evaluates. Called by itself in
    several processes at the same time, with ``resume``, one works and the others wait; those share its search where the
    method trains a supernet, and one of them goes on if it dies.
    """
    plan = resolve(config, out, teacher=teacher, cache=cache, first=first, last=last)
    resume = resume or first is not None
    if processes().is_main and resume:
        check_changed(differences(out, plan.config), first, plan.stages, plan.method, out)
    joins = plan.method.is_supernet and first is None
    run = open_run(out, plan.config, resume=resume, reporter=reporter, changed=resume, joins=joins)
    described = descriptions(plan.splits.train, plan.splits.test)
    for note in (f"teacher: {plan.networks.original.message}", *described, *plan.notes):
        run.reporter.say(note)
    state = CompressionState(plan, run)
    with run:
        if not _has_lock(state, plan.stages[plan.stages.index(last)]):
            return
        if run.writes:
            _prepare_files(state, first)
        processes().barrier()
        missing = {stage for stage in plan.stages if not all(exists_on_main(state.file(name)) for name in FILES[stage].files)}
        for stage in stages_to_run(plan.stages[: plan.stages.index(last) + 1], missing):
            _use_trained_networks(state, stage)
            began = monotonic()
            if run.writes or stage not in MAIN_ONLY:
                JOBS[stage](state)
            if run.writes and stage not in ("evaluate", "report"):
                state.seconds[stage] = state.seconds.get(stage, 0.0) + monotonic() - began
                write_json(state.file("seconds.json"), state.seconds)
            processes().barrier()  # for the files that the next stage reads


def _prepare_files(state: CompressionState, first: StageName | None) -> None:
    """Remove the results of stages that are done again, then write the configuration: no file is taken for another run's."""
    plan, out = state.plan, state.run.path
    # Again, as another process may have held the run until now:
    check_changed(differences(out, plan.config), first, plan.stages, plan.method, out)
    state.seconds = _read_seconds(state)
    if first is not None:
        remove_files_from(out, first, plan.stages)
        earlier = plan.stages[: plan.stages.index(first)]
        state.seconds = {stage: seconds for stage, seconds in state.seconds.items() if stage in earlier}
    state.run.write_config(plan.config)


def _read_seconds(state: CompressionState) -> dict[str, float]:
    """Seconds of the stages that are done; a file that cannot be read is reported, and changes no other result."""
    file = state.file("seconds.json")
    if not file.exists():
        return {}
    try:
        return TypeAdapter(dict[str, float]).validate_python(read_json(file), strict=True)
    except ValueError:
        state.run.reporter.say(f"warning: {file} cannot be read: the seconds of the stages before are left out")
        return {}


def _has_lock(state: CompressionState, last: StageName) -> bool:
    """True if these processes do the stages; False once others have done them."""
    mine = _wait_for_lock(state, last) if state.run.writes else False
    processes().barrier()
    return bool(processes().broadcast_int(int(mine)))


def _wait_for_lock(state: CompressionState, last: StageName) -> bool:
    """Wait for the run's lock, and share until then the search that can be shared; False once the last stage is done."""
    reported, path, joined = False, state.run.path, 0.0
    searched = state.file(FILES["search"].files[0])
    while not state.run.lock.acquire():
        if FILES[last].missing(path) is None:
            return False
        if not reported:
            state.run.reporter.say(f"another process works on {path}: this one shares its search, and goes on if that one dies")
            reported = True
        if searched.exists() and FILES["prune"].missing(path) is not None and searched.stat().st_mtime != joined:
            joined = searched.stat().st_mtime
            _use_trained_networks(state, "prune")
            join_search(state)
        sleep(POLL)
    return True


def _use_trained_networks(state: CompressionState, stage: StageName) -> None:
    """From the stage on that needs them, put the full pipeline's own networks in the place of the untrained ones."""
    if state.plan.networks.are_placeholders and stage not in ("mobile", "distill"):
        resolve_trained(state.plan, state.run.path)
    for target in state.plan.targets.values():
        target.context.reporter = state.run.reporter


def _mobile(state: CompressionState) -> None:
    """Train the mobile teacher, in a run of its own."""
    config = state.plan.config
    form = spec_of(state.plan.networks.original.model).mobile(config.full.ngf)
    assert form is not None
    out = state.file("mobile")
    train(mobile_config(config, form), out, resume=(out / "config.json").exists(), reporter=state.run.reporter)


def _distill(state: CompressionState) -> None:
    """Prune the mobile teacher by one factor and distill, in a run of its own."""
    out, plan = state.file("distilled"), state.plan
    mobile = mobile_file(plan.config.task, state.run.path) if "mobile" in plan.stages else None
    teacher = plan.networks.original if mobile is None else None
    begun, config = (out / "config.json").exists(), distill_config(plan.config, mobile)
    cache = plan.tasks.cache.folder
    run_stages(config, out, resume=begun, reporter=state.run.reporter, teacher=teacher, cache=cache, last="recover")
    if state.run.writes:
        Run(out).drop_checkpoints("recover")


def _export(state: CompressionState) -> None:
    """Write ONNX, verified."""
    exported = export_onnx(_student(state), state.file("student.onnx"), size=state.plan.config.data.shape)
    write_json(state.file("export.json"), exported.summary())


def _evaluate(state: CompressionState) -> None:
    """Measure the student beside what the user gave, and write ``result.json``."""
    began, exported = monotonic(), read_json(state.file("export.json"))
    if not isinstance(exported, dict):
        raise ValueError(f"{state.file('export.json')} is no JSON object: --from export makes it again")
    plan, config, context = state.plan, state.plan.config, state.plan.context
    teacher, student, test = plan.networks.original.model, _student(state), plan.splits.test
    notes = [test.note] if test.note else []
    if config.start == "mobile":
        notes.append("the student was pruned from the teacher's mobile form, which began with fresh weights")
    if plan.networks.teacher is not plan.networks.original:
        notes.append(
            "the student was distilled from the mobile teacher in mobile/, and is measured beside the teacher that was given"
        )
    notes.extend(plan.notes)
    generators = {"teacher": teacher, "student": student}
    results, baselines = measured(generators, test, config.evaluation, plan.device, state.run, teacher="teacher")
    results["student"].bytes = state.file("student.safetensors").stat().st_size
    file, tensors = Path(config.teacher), teacher.state_dict().values()  # a teacher in memory has no file
    results["teacher"].bytes = file.stat().st_size if file.is_file() else sum(t.numel() * t.element_size() for t in tensors)
    pruned = load_artifact(state.file("pruned.safetensors"))
    floor = context.cost(floor_widths(plan.networks.initial.model, multiple=config.multiple))
    write_json(
        state.file("result.json"),
        {
            "name": state.run.path.name,
            "method": config.method,
            "variant": config.variant,
            "objective": config.objective,
            "seed": config.seed,
            **{name: result.to_json() for name, result in results.items()},
            **baselines,
            "budget": {
                "asked": config.budget,
                "kind": context.budget.kind,
                "limit": context.budget.limit,
                "reached": getattr(results["student"], context.budget.kind),
                "floor": context.budget.of(floor),
            },
            "widths": {"teacher": spec_of(teacher).widths, "student": spec_of(student).widths},
            **{key: value for key, value in pruned.provenance.items() if key == "reconstruction"},
            **({"schedule": read_json(state.file(SCHEDULE))} if config.minutes is not None else {}),
            "export": {"onnx": exported},
            "seconds": {**state.seconds, "evaluate": monotonic() - began},
            "versions": versions(),
            "machine": machine(plan.device),
            "notes": notes,
            "data": descriptions(plan.splits.train, test),
        },
    )


def _report(state: CompressionState) -> None:
    """Write the page; remove files that only a resumed training would need."""
    write_report([state.run.path], state.file("report.html"))
    for stage in ("search", "recover"):
        state.run.drop_checkpoints(stage)
    shutil.rmtree(state.file(CACHE), ignore_errors=True)
    if not state.plan.method.is_supernet:
        state.file("searched.safetensors").unlink(missing_ok=True)


def _student(state: CompressionState) -> nn.Module:
    return load_artifact(state.file("student.safetensors")).model


JOBS: dict[StageName, Callable[[CompressionState], None]] = {
    "mobile": _mobile,
    "distill": _distill,
    "search": train_search,
    "prune": prune,
    "recover": recover,
    "export": _export,
    "evaluate": _evaluate,
    "report": _report,
}
MAIN_ONLY: tuple[StageName, ...] = ("export", "evaluate", "report")
"""Stages that the main process does alone."""
