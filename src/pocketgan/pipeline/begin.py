"""The beginning of a compression: all that can fail for a user's mistake, before any work is done or any file written."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketgan.core.inputs import latent_inputs
from pocketgan.core.run import Run, differences
from pocketgan.data.part import hold_out
from pocketgan.methods import Method, make_method
from pocketgan.pipeline.common import check_channels, check_size, check_stride, open_run, open_splits, resolved_steps
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.full import fast, mobile_config, mobile_form, placeholder_networks
from pocketgan.pipeline.load_generator import LoadedGenerator, load
from pocketgan.pipeline.networks import range_warnings, student_discriminator, training_notes
from pocketgan.pipeline.search_targets import dry_build, make_search_targets
from pocketgan.pipeline.stages import StageName, check_changed, check_range, stages_of
from pocketgan.pipeline.train import checked_task
from pocketgan.pipeline.work import CompressionState, Splits
from pocketgan.training.distributed import processes
from pocketgan.training.loop import choose_device
from pocketgan.training.objectives import check_objectives
from pocketgan.utils.progress import Reporter


def begin(
    config: CompressConfig,
    out: Path,
    resume: bool,
    reporter: Reporter | None,
    teacher: LoadedGenerator | None,
    first: StageName | None,
    last: StageName,
) -> tuple[CompressionState, tuple[StageName, ...]]:
    """The run and its stages. Raises ``ValueError`` for everything that is wrong, before any work is done."""
    method = make_method(config.method, config.method_options)
    for names in (config.objective, config.search_objective or "none"):
        check_objectives(names, config.objective_options)
    notes = config.evaluation.check(config.data, config.task)
    reference = teacher or load(config.teacher, config.foreign, config.data.shape)
    mobile = mobile_form(config, reference.model)
    plan = stages_of(config, searches=method.needs_search(reference.model), mobile=mobile is not None)
    check_range(first, last, plan, out)
    check_stride(reference.model, config.data.shape)
    data, test = (part.drawing(latent_inputs(reference.model)) for part in open_splits(config.data, config.task))
    check_channels(reference.model, data)
    searched, held = hold_out(data, method.holdout_size) if method.holdout_size else (data, None)
    if method.needs_segmenter and config.evaluation.segmenter is None:
        raise ValueError(f"{config.method} is to read images back as label maps: say by what, with evaluation.segmenter")
    if method.needs_segmenter and config.evaluation.table is not None:
        raise ValueError(
            "a search by mIoU scores training images, evaluation.table names the maps of test images: take task=labels"
        )
    splits, device = Splits(data, searched, held, test), choose_device(config.device)
    networks = placeholder_networks(config, reference) if config.pipeline == "full" else fast(config, reference)
    targets = make_search_targets(config, networks, searched, held, method, out, device)
    for target in targets.values():
        method.check(target.start.model, target.context, features=config.evaluation.features is not None)
    config = _in_steps(config, len(data), len(searched))
    if "search" in plan and not method.is_supernet and config.search.steps == 0:
        raise ValueError(f"search.steps=0: {config.method} learns where to cut in its first fit; the least is 1")
    if config.task != "inputs":
        discriminator = student_discriminator(config, reference.model)
        check_size("discriminator", discriminator, config.data.shape)
    if mobile is not None and config.pipeline == "full":
        checked_task(mobile_config(config, mobile), data.labels)
    dry_build(networks, method, targets, data)
    run = _open(config, out, resume, reporter, method, plan, first)
    run.reporter.say(f"teacher: {reference.message}")
    for note in (*training_notes(config, reference.model), *range_warnings(reference.model, test), *notes):
        run.reporter.say(note)
    return CompressionState(config, run, replace(networks, task=config), method, targets, splits, device, {}), plan


def _in_steps(config: CompressConfig, length: int, searched: int) -> CompressConfig:
    """The configuration with all epochs turned into steps; those of the first fit are of the images that it sees."""
    resolved = partial(resolved_steps, length=length)
    full = replace(config.full, teacher=resolved(config.full.teacher), distill=resolved(config.full.distill))
    return replace(config, recovery=resolved(config.recovery), search=resolved_steps(config.search, searched), full=full)


def _open(
    config: CompressConfig,
    out: Path,
    resume: bool,
    reporter: Reporter | None,
    method: Method,
    plan: tuple[StageName, ...],
    first: StageName | None,
) -> Run:
    if processes().is_main and resume:
        check_changed(differences(out, config), first, plan, method, out)
    joins = method.is_supernet and first is None
    return open_run(out, config, resume=resume, reporter=reporter, changed=resume, joins=joins)
