"""Compress a trained generator: prepare, fit, select, shrink, fit; then export, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from torch import nn

from pocketgan.core.artifact import load_artifact
from pocketgan.core.run import Run, differences
from pocketgan.export import export_onnx
from pocketgan.pipeline.begin import begin
from pocketgan.pipeline.common import exists_on_main
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.full import distill_config, mobile_config, mobile_file, mobile_form, trained
from pocketgan.pipeline.load_generator import LoadedGenerator
from pocketgan.pipeline.prune import join_search, prune, recover, train_search
from pocketgan.pipeline.search_targets import make_search_targets
from pocketgan.pipeline.stages import MADE, StageName, check_changed, forget, to_do
from pocketgan.pipeline.student_result import write_student_result
from pocketgan.pipeline.train import train
from pocketgan.pipeline.work import CompressionState
from pocketgan.report import write_report
from pocketgan.training.distributed import processes
from pocketgan.utils.files import read_json, write_json
from pocketgan.utils.progress import Reporter

POLL = 0.5
"""Seconds between two looks at what another process has done."""


@dataclass(frozen=True)
class Compressed:
    """What a compression gives back."""

    student: nn.Module
    """The small generator: on the CPU, in evaluation mode."""
    result: dict[str, Any]
    """``result.json``: teacher and student measured side by side."""
    path: Path
    """The run directory."""


def compress(
    config: CompressConfig,
    out: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    teacher: LoadedGenerator | None = None,
) -> Compressed:
    """All stages: see `run_stages`. ``student.safetensors``, ``student.onnx`` (verified), ``result.json``, ``report.html``."""
    run_stages(config, out, resume=resume, reporter=reporter, teacher=teacher)
    return Compressed(load_artifact(out / "student.safetensors").model, read_json(out / "result.json"), out)


def run_stages(
    config: CompressConfig,
    out: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    teacher: LoadedGenerator | None = None,
    first: StageName | None = None,
    last: StageName = "report",
) -> None:
    """The stages of a compression up to ``last``, each skipped where its file is there already (`pipeline.stages`).

    ``first`` does that stage and those after it again, also with settings that the ones before it did not read. ``teacher``
    replaces loading ``config.teacher``. Raises ``ValueError`` before any work for data, names, budgets and sizes that do not
    fit; the student is never above the budget.

    In several processes of one ``torchrun`` all train; the first alone selects, writes and scores. Called by itself in
    several processes at the same time, with ``resume``, one works and the others wait; those share its search where the
    method is once for all, and one of them goes on if it dies.
    """
    state, plan = begin(config, out, resume or first is not None, reporter, teacher, first, last)
    with state.run:
        if not _our_turn(state, plan[plan.index(last)]):
            return
        if state.run.writes:
            _settle(state, plan, first)
        processes().barrier()
        missing = {stage for stage in plan if not all(exists_on_main(state.file(name)) for name in MADE[stage].files)}
        for stage in to_do(plan[: plan.index(last) + 1], missing):
            _cast(state, stage)
            _timed(state, stage, JOBS[stage])
        processes().barrier()


def _settle(state: CompressionState, plan: tuple[StageName, ...], first: StageName | None) -> None:
    """Forget what is to be done again, and then write the configuration: what is there is never taken for another's."""
    config, out = state.config, state.run.path
    check_changed(differences(out, config), first, plan, state.method, out)  # anew: the turn may have been another's until now
    spent = state.file("seconds.json")
    state.seconds = read_json(spent) if spent.exists() else {}
    if first is not None:
        forget(out, first, plan)
        state.seconds = {stage: taken for stage, taken in state.seconds.items() if stage in plan[: plan.index(first)]}
    state.run.write_config(config)


def _our_turn(state: CompressionState, last: StageName) -> bool:
    """Whether these processes do the stages; False once others have done them."""
    mine = _taken(state, last) if state.run.writes else False
    processes().barrier()
    return bool(processes().broadcast_int(int(mine)))


def _taken(state: CompressionState, last: StageName) -> bool:
    """Wait for the turn, and share until then what can be shared; False once the last stage is done."""
    told, path, helped = False, state.run.path, 0.0
    searched = state.file(MADE["search"].files[0])
    while not state.run.turn.take():
        if MADE[last].missing(path) is None:
            return False
        if not told:
            state.run.reporter.say(f"another process works on {path}: this one shares its search, and goes on if that one dies")
            told = True
        if searched.exists() and MADE["prune"].missing(path) is not None and searched.stat().st_mtime != helped:
            helped = searched.stat().st_mtime
            _cast(state, "prune")
            join_search(state)
        sleep(POLL)
    return True


def _cast(state: CompressionState, stage: StageName) -> None:
    """From the stage on that needs them, the networks of the full pipeline in the place of the untrained ones."""
    config, networks, splits = state.config, state.networks, state.splits
    if config.pipeline == "full" and stage not in ("mobile", "distill") and not networks.trained:
        state.networks = trained(config, networks.reference, state.run.path)
        state.targets = make_search_targets(
            config, state.networks, splits.searched, splits.held, state.method, state.run.path, state.device
        )
    for target in state.targets.values():
        target.context.reporter = state.run.reporter


def _timed(state: CompressionState, stage: StageName, job: Callable[[CompressionState], None]) -> None:
    began = monotonic()
    job(state)
    if state.run.writes and stage not in ("evaluate", "report"):
        state.seconds[stage] = state.seconds.get(stage, 0.0) + monotonic() - began
        write_json(state.file("seconds.json"), state.seconds)
    processes().barrier()  # for the files that the next stage reads


def _mobile(state: CompressionState) -> None:
    """Train the mobile teacher, in a run of its own."""
    form = mobile_form(state.config, state.networks.reference.model)
    assert form is not None
    out = state.file("mobile")
    train(mobile_config(state.config, form), out, resume=(out / "config.json").exists(), reporter=state.run.reporter)


def _distill(state: CompressionState) -> None:
    """Cut the mobile teacher and let it teach, in a run of its own."""
    out = state.file("distilled")
    config = distill_config(state.config, mobile_file(state.config, state.networks.reference.model, state.run.path))
    teacher = state.networks.reference if config.teacher == state.config.teacher else None
    begun = (out / "config.json").exists()
    run_stages(config, out, resume=begun, reporter=state.run.reporter, teacher=teacher, last="recover")
    if state.run.writes:
        Run(out).drop_checkpoints("recover")


def _export(state: CompressionState) -> None:
    """ONNX, verified."""
    if state.run.writes:
        exported = export_onnx(_student(state), state.file("student.onnx"), size=state.config.data.shape)
        write_json(state.file("export.json"), exported.summary())


def _evaluate(state: CompressionState) -> None:
    """Measure."""
    if state.run.writes:
        write_student_result(state, _student(state), read_json(state.file("export.json")))


def _report(state: CompressionState) -> None:
    """Write the page; what only a resumed training would need may go."""
    if not state.run.writes:
        return
    write_report([state.run.path], state.file("report.html"))
    for stage in ("search", "recover"):
        state.run.drop_checkpoints(stage)
    if not state.method.is_supernet:
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
