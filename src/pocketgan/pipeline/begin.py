"""The beginning of a compression: all that can fail for a user's mistake, before any work is done or any file written."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketgan.core.inputs import drawn_by
from pocketgan.core.progress import Reporter
from pocketgan.core.run import Run, differences
from pocketgan.data.part import hold_out
from pocketgan.methods import Method, make_method
from pocketgan.pipeline.common import check_channels, check_size, check_stride, open_run, open_splits, resolved_steps
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.full import fast, mobile_config, mobile_form, rehearsal
from pocketgan.pipeline.players import notes_on, picture_notes, student_discriminator
from pocketgan.pipeline.sides import make_sides, rehearse
from pocketgan.pipeline.sources import Source, load
from pocketgan.pipeline.stages import StageName, check_changed, check_range, stages_of
from pocketgan.pipeline.train import checked_task
from pocketgan.pipeline.work import Pictures, Work
from pocketgan.train.loop import choose_device
from pocketgan.train.objectives import check_objectives
from pocketgan.train.processes import processes


def begin(
    config: CompressConfig,
    out: Path,
    resume: bool,
    reporter: Reporter | None,
    teacher: Source | None,
    first: StageName | None,
    last: StageName,
) -> tuple[Work, tuple[StageName, ...]]:
    """The run and its stages. Raises ``ValueError`` for everything that is wrong, before any work is done."""
    method = make_method(config.method, config.method_options)
    for names in (config.objective, config.search_objective or "none"):
        check_objectives(names, config.objective_options)
    notes = config.judge.check(config.data, config.task)
    reference = teacher or load(config.teacher, config.foreign, config.data.shape)
    mobile = mobile_form(config, reference.model)
    plan = stages_of(config, fits=method.fits(reference.model), mobile=mobile is not None)
    check_range(first, last, plan, out)
    check_stride(reference.model, config.data.shape)
    data, test = (part.drawing(drawn_by(reference.model)) for part in open_splits(config.data, config.task))
    check_channels(reference.model, data)
    searched, held = hold_out(data, method.held_out) if method.held_out else (data, None)
    if method.reads and config.judge.segmenter is None:
        raise ValueError(f"{config.method} is to read pictures back as label maps: say by what, with judge.segmenter")
    if method.reads and config.judge.table is not None:
        raise ValueError("a search by mIoU scores training images, judge.table names the maps of test images: take task=labels")
    pictures, device = Pictures(data, searched, held, test), choose_device(config.device)
    cast = rehearsal(config, reference) if config.pipeline == "full" else fast(config, reference)
    sides = make_sides(config, cast, searched, held, method, out, device)
    for side in sides.values():
        method.check(side.start.model, side.setting, features=config.judge.features is not None)
    config = _in_steps(config, len(data), len(searched))
    if "fit" in plan and not method.once_for_all and config.search.steps == 0:
        raise ValueError(f"search.steps=0: {config.method} learns where to cut in its first fit; the least is 1")
    if config.task != "inputs":
        judge = student_discriminator(config, reference.model)
        check_size("discriminator", judge, config.data.shape)
    if mobile is not None and config.pipeline == "full":
        checked_task(mobile_config(config, mobile), data.labels)
    rehearse(cast, method, sides, data)
    run = _open(config, out, resume, reporter, method, plan, first)
    run.reporter.say(f"teacher: {reference.message}")
    for note in (*notes_on(config, reference.model), *picture_notes(reference.model, test), *notes):
        run.reporter.say(note)
    return Work(config, run, replace(cast, game=config), method, sides, pictures, device, {}), plan


def _in_steps(config: CompressConfig, length: int, searched: int) -> CompressConfig:
    """The configuration with all epochs turned into steps; those of the first fit are of the images that it sees."""
    resolved = partial(resolved_steps, length=length)
    full = replace(config.full, teacher=resolved(config.full.teacher), distill=resolved(config.full.distill))
    return replace(config, fit=resolved(config.fit), search=resolved_steps(config.search, searched), full=full)


def _open(
    config: CompressConfig,
    out: Path,
    resume: bool,
    reporter: Reporter | None,
    method: Method,
    plan: tuple[StageName, ...],
    first: StageName | None,
) -> Run:
    if processes().first and resume:
        check_changed(differences(out, config), first, plan, method, out)
    joins = method.once_for_all and first is None
    return open_run(out, config, resume=resume, reporter=reporter, changed=resume, joins=joins)
