"""From what a user named to a complete configuration, and from that to a plan: everything is looked up and checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pocketgan.core.config import override
from pocketgan.core.inputs import latent_inputs, shape_of
from pocketgan.core.spec import spec_of
from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig
from pocketgan.data.images import hold_out
from pocketgan.foreign.probe import range_note
from pocketgan.foreign.spec import ForeignSpec
from pocketgan.methods import METHODS, make_method
from pocketgan.pipeline.common import (
    check_evaluation_channels,
    check_size,
    check_stride,
    first_batch,
    for_network,
    open_splits,
)
from pocketgan.pipeline.config import CompressConfig, ForeignConfig, FullConfig, assignments
from pocketgan.pipeline.load_generator import PUBLISHED, LoadedGenerator, as_generator, load
from pocketgan.pipeline.networks import fast_networks, mobile_config, mobile_file, placeholder_networks, trained_networks
from pocketgan.pipeline.plan import Plan, Splits
from pocketgan.pipeline.search_targets import make_search_targets
from pocketgan.pipeline.stages import CACHE, StageName, check_range, stages_of
from pocketgan.pipeline.student_tasks import StudentTasks
from pocketgan.pipeline.train import check_teacher_task
from pocketgan.tasks import TASKS
from pocketgan.training.distributed import choose_device
from pocketgan.training.objectives import check_objectives
from pocketgan.training.teacher_cache import parse_bytes
from pocketgan.utils.images import false_color_note
from pocketgan.utils.registry import unknown

VARIANTS = 4
"""Fixed crops and mirrors of each training image where the teacher's outputs are cached."""


def resolve_config(
    teacher: str | Path | nn.Module,
    data: str,
    fields: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    preset: str | None = None,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
) -> tuple[CompressConfig, LoadedGenerator]:
    """Complete configuration of a compression, and its teacher; for the command line, for Python and for comparisons.

    Args:
        teacher: artifact, published checkpoint, ``file.py:factory@WEIGHTS``, or a network in memory.
        data: folder or built-in set.
        fields: ``{dotted field: value}`` of `CompressConfig`; None leaves the default.
        overrides: ``field=value`` as on the command line, over everything else.
        preset: published settings of the method, under everything given.
        task, size, aspect: by default what the teacher's file and the data say.

    Raises:
        ValueError: for a teacher that cannot be read or cut, and for unknown fields, methods and presets.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    foreign_given = assignments({name: value for name, value in given.items() if name.startswith("foreign.")})
    foreign_overrides = [text for text in (*foreign_given, *overrides) if text.startswith("foreign.")]
    foreign = override(ForeignConfig(), [text.removeprefix("foreign.") for text in foreign_overrides])
    loaded = as_generator(teacher, foreign, shape_of(size or PUBLISHED, aspect or 1.0))
    width, proportion = loaded.images(size, aspect)
    images = DataConfig(path=data, size=width, aspect=proportion)
    of_data = [text.removeprefix("data.") for text in (*assignments(given), *overrides) if text.startswith("data.")]
    task = task or loaded.task(override(images, of_data))
    training = TASKS[task].defaults_for(spec_of(loaded.model).name).training
    config = CompressConfig(
        teacher=type(teacher).__name__ if isinstance(teacher, nn.Module) else str(teacher),
        foreign=foreign,
        data=images,
        task=task,
        recovery=training,
        search=training,
        full=FullConfig(teacher=training, distill=training),
        method=given.get("method", "magnitude"),
    )
    # The method names the presets, whose fields everything given overrides.
    presets = METHODS[config.method].presets(loaded.model, task) if preset is not None else {}
    if preset is not None and preset not in presets:
        raise unknown(f"preset of {config.method}", preset, presets)
    return override(config, [*assignments(presets.get(preset or "", {})), *assignments(given), *overrides]), loaded


def resolve(
    config: CompressConfig,
    out: Path,
    *,
    teacher: LoadedGenerator | None = None,
    cache: Path | None = None,
    first: StageName | None = None,
    last: StageName = "report",
) -> Plan:
    """Plan of a run in ``out`` from stage ``first`` to ``last``: every object made, everything checked.

    ``teacher`` replaces loading ``config.teacher``. ``cache`` is a folder of the teacher's outputs that several runs share; by
    default it is the run's own. Nothing is written. Raises ``ValueError`` for data, names, budgets, sizes
    and stages that do not fit.
    """
    method = make_method(config.method, config.method_options)
    for names in (config.objective, config.search_objective or "none"):
        check_objectives(names, config.objective_options)
    evaluation_notes = config.evaluation.check(config.data, config.task)
    original = teacher or load(config.teacher, config.foreign, config.data.shape)
    mobile = spec_of(original.model).mobile(config.full.ngf)
    stages = stages_of(config.pipeline, searches=method.needs_search(original.model), mobile=mobile is not None)
    check_range(first, last, stages, out)
    if config.minutes is not None and "search" in stages:
        raise ValueError(
            f"minutes={config.minutes:g}: the search of {config.method} follows a schedule in steps; give --steps or --epochs, "
            "or take --method allocation, which needs no search training"
        )
    check_stride(original.model, config.data.shape)
    if parse_bytes(config.cache) and config.data.is_augmented and not latent_inputs(original.model):
        config = replace(config, data=replace(config.data, variants=config.data.variants or VARIANTS))
    data, test = (split.with_latents(latent_inputs(original.model)) for split in open_splits(config.data, config.task))
    data, test = for_network(original.model, data), for_network(original.model, test)
    check_evaluation_channels(original.model, config.evaluation)
    searched, holdout = hold_out(data, method.holdout_size) if method.holdout_size else (data, None)
    splits = Splits(data, searched, holdout, test)
    if method.needs_segmenter and config.evaluation.segmenter is None:
        raise ValueError(f"{config.method} is to segment images into label maps: name a network with evaluation.segmenter")
    if method.needs_segmenter and config.evaluation.table is not None:
        raise ValueError(
            "a search by mIoU scores training images, evaluation.table names the maps of test images: take task=labels"
        )
    device = choose_device(config.device)
    full = config.pipeline == "full"
    if full and mobile is not None and config.teacher_discriminator:
        raise ValueError(
            "pipeline=full: the mobile teacher is trained with a discriminator of its own, leave teacher_discriminator out"
        )
    if full:
        networks = placeholder_networks(original, config.full, config.task, multiple=config.multiple, seed=config.seed)
    else:
        networks = fast_networks(original, config.start, config.full.ngf, config.seed)
    targets = make_search_targets(config, networks, splits, method, out, device)
    for target in targets.values():
        method.check(target.initial.model, target.context, features=config.evaluation.features is not None)
    config = config.in_steps(len(data), len(searched))
    cache = cache or out / CACHE
    if "search" in stages and not method.is_supernet and config.search.steps == 0:
        raise ValueError(f"search.steps=0: {config.method} learns what to prune in its search; the least is 1")
    tasks = StudentTasks.of(config, original.model, None, data, cache)
    discriminator = tasks.discriminator()
    if discriminator is not None:
        check_size("discriminator", discriminator, config.data.shape)
    if full and mobile is not None:
        check_teacher_task(mobile_config(config, mobile), data.labels)
    models = {name: target.initial.model for name, target in targets.items()} if "search" in stages else None
    replacement = StudentTasks.of(config, networks.teacher.model, None, data, cache) if full else tasks
    replacement.dry_build(networks.initial.model, models)
    notes, spec = list(evaluation_notes), spec_of(original.model)
    if config.data.variants:
        notes.append(f"{config.data.variants} fixed crops and mirrors of each training image; with cache=0 new ones every time")
    if isinstance(spec, ForeignSpec):
        with torch.inference_mode():
            notes.insert(0, range_note(original.model(first_batch(test)["input"]), *spec.images.range))
    notes += [
        note for channels in dict.fromkeys(data.network_channels.values()) if (note := false_color_note(channels)) is not None
    ]
    return Plan(config, stages, method, networks, targets, tasks, splits, device, tuple(notes))


def resolve_trained(plan: Plan, out: Path) -> None:
    """Put the full pipeline's own networks, read from the run, in the place of the untrained ones, in place."""
    config, original = plan.config, plan.networks.original
    file = mobile_file(config.task, out) if "mobile" in plan.stages else None
    plan.networks = trained_networks(original, file, out)
    plan.targets = make_search_targets(config, plan.networks, plan.splits, plan.method, out, plan.device)
    plan.tasks = StudentTasks.of(config, plan.networks.teacher.model, file, plan.splits.train, plan.tasks.cache.folder)
