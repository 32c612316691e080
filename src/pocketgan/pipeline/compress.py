"""Compress a trained generator: prepare, fit, select, shrink, fit; then export, judge, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from torch import nn

from pocketgan.core.artifact import load_artifact
from pocketgan.core.files import read_json, write_json
from pocketgan.core.progress import Reporter
from pocketgan.core.run import Run, differences
from pocketgan.export import export_onnx
from pocketgan.pipeline.begin import begin
from pocketgan.pipeline.common import there
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.full import distill_config, mobile_config, mobile_file, mobile_form, trained
from pocketgan.pipeline.judge import judge
from pocketgan.pipeline.network import fit_network, help_select, recover, select
from pocketgan.pipeline.sides import make_sides
from pocketgan.pipeline.sources import Source
from pocketgan.pipeline.stages import MADE, StageName, check_changed, forget, to_do
from pocketgan.pipeline.train import train
from pocketgan.pipeline.work import Work
from pocketgan.report import write_report
from pocketgan.train.processes import processes

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
    teacher: Source | None = None,
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
    teacher: Source | None = None,
    first: StageName | None = None,
    last: StageName = "report",
) -> None:
    """The stages of a compression up to ``last``, each skipped where its file is there already (`pipeline.stages`).

    ``first`` does that stage and those after it again, also with settings that the ones before it did not read. ``teacher``
    replaces loading ``config.teacher``. Raises ``ValueError`` before any work for data, names, budgets and sizes that do not
    fit; the student is never above the budget.

    In several processes of one ``torchrun`` all train; the first alone selects, writes and judges. Called by itself in
    several processes at the same time, with ``resume``, one works and the others wait; those share its search where the
    method is once for all, and one of them goes on if it dies.
    """
    work, plan = begin(config, out, resume or first is not None, reporter, teacher, first, last)
    with work.run:
        if not _our_turn(work, plan[plan.index(last)]):
            return
        if work.run.writes:
            _settle(work, plan, first)
        processes().wait()
        missing = {stage for stage in plan if not all(there(work.file(name)) for name in MADE[stage].files)}
        for stage in to_do(plan[: plan.index(last) + 1], missing):
            _cast(work, stage)
            _timed(work, stage, JOBS[stage])
        processes().wait()


def _settle(work: Work, plan: tuple[StageName, ...], first: StageName | None) -> None:
    """Forget what is to be done again, and then write the configuration: what is there is never taken for another's."""
    config, out = work.config, work.run.path
    check_changed(differences(out, config), first, plan, work.method, out)  # anew: the turn may have been another's until now
    spent = work.file("seconds.json")
    work.seconds = read_json(spent) if spent.exists() else {}
    if first is not None:
        forget(out, first, plan)
        work.seconds = {stage: taken for stage, taken in work.seconds.items() if stage in plan[: plan.index(first)]}
    work.run.write_config(config)


def _our_turn(work: Work, last: StageName) -> bool:
    """Whether these processes do the stages; False once others have done them."""
    mine = _taken(work, last) if work.run.writes else False
    processes().wait()
    return bool(processes().told(int(mine)))


def _taken(work: Work, last: StageName) -> bool:
    """Wait for the turn, and share until then what can be shared; False once the last stage is done."""
    told, path, helped = False, work.run.path, 0.0
    fitted = work.file(MADE["fit"].files[0])
    while not work.run.turn.take():
        if MADE[last].missing(path) is None:
            return False
        if not told:
            work.run.reporter.say(f"another process works on {path}: this one shares its search, and goes on if that one dies")
            told = True
        if fitted.exists() and MADE["select"].missing(path) is not None and fitted.stat().st_mtime != helped:
            helped = fitted.stat().st_mtime
            _cast(work, "select")
            help_select(work)
        sleep(POLL)
    return True


def _cast(work: Work, stage: StageName) -> None:
    """From the stage on that needs them, the networks of the full pipeline in the place of the untrained ones."""
    config, cast, pictures = work.config, work.cast, work.pictures
    if config.pipeline == "full" and stage not in ("mobile", "distill") and not cast.trained:
        work.cast = trained(config, cast.reference, work.run.path)
        work.sides = make_sides(config, work.cast, pictures.searched, pictures.held, work.method, work.run.path, work.device)
    for side in work.sides.values():
        side.setting.reporter = work.run.reporter


def _timed(work: Work, stage: StageName, job: Callable[[Work], None]) -> None:
    began = monotonic()
    job(work)
    if work.run.writes and stage not in ("evaluate", "report"):
        work.seconds[stage] = work.seconds.get(stage, 0.0) + monotonic() - began
        write_json(work.file("seconds.json"), work.seconds)
    processes().wait()  # for the files that the next stage reads


def _mobile(work: Work) -> None:
    """Train the mobile teacher, in a run of its own."""
    form = mobile_form(work.config, work.cast.reference.model)
    assert form is not None
    out = work.file("mobile")
    train(mobile_config(work.config, form), out, resume=(out / "config.json").exists(), reporter=work.run.reporter)


def _distill(work: Work) -> None:
    """Cut the mobile teacher and let it teach, in a run of its own."""
    out = work.file("distilled")
    config = distill_config(work.config, mobile_file(work.config, work.cast.reference.model, work.run.path))
    teacher = work.cast.reference if config.teacher == work.config.teacher else None
    begun = (out / "config.json").exists()
    run_stages(config, out, resume=begun, reporter=work.run.reporter, teacher=teacher, last="recover")
    if work.run.writes:
        Run(out).drop_checkpoints("recover")


def _export(work: Work) -> None:
    """ONNX, verified."""
    if work.run.writes:
        exported = export_onnx(_student(work), work.file("student.onnx"), size=work.config.data.shape)
        write_json(work.file("export.json"), exported.summary())


def _evaluate(work: Work) -> None:
    """Measure."""
    if work.run.writes:
        judge(work, _student(work), read_json(work.file("export.json")))


def _report(work: Work) -> None:
    """Write the page; what only a resumed training would need may go."""
    if not work.run.writes:
        return
    write_report([work.run.path], work.file("report.html"))
    for stage in ("search", "recover"):
        work.run.drop_checkpoints(stage)
    if not work.method.once_for_all:
        work.file("fitted.safetensors").unlink(missing_ok=True)


def _student(work: Work) -> nn.Module:
    return load_artifact(work.file("student.safetensors")).model


JOBS: dict[StageName, Callable[[Work], None]] = {
    "mobile": _mobile,
    "distill": _distill,
    "fit": fit_network,
    "select": select,
    "recover": recover,
    "export": _export,
    "evaluate": _evaluate,
    "report": _report,
}
