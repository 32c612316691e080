"""Networks of a compression: the generator that the user gave, the teacher, and the generator that is pruned.

GAN Compression's two pipelines (Li et al. 2020, sections 3.2 and 4.1). Full: the convolutions of the given generator are
decomposed (`Spec.mobile`), that mobile teacher is trained from scratch, its most important channels are distilled from it, and
the search begins with those. Fast: the given generator is the teacher, with no network in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Preset, spec_of
from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.models.layers import plain
from pocketgan.pipeline.config import CompressConfig, FullConfig, TrainConfig
from pocketgan.pipeline.load_generator import LoadedGenerator, load
from pocketgan.pruning.allocation import scaled_widths
from pocketgan.pruning.selection import prefix, shrink

PRETRAINED_METRICS: dict[str, Any] = dict.fromkeys(("metrics", "features", "stats", "segmenter", "table", "table_root"))
"""Settings of metrics on pretrained networks, unset: student and given generator are measured so, the mobile teacher is not."""


@dataclass(frozen=True)
class Networks:
    """Generators of a compression; in the fast pipeline all three are what the user gave."""

    original: LoadedGenerator
    """As the user gave it: the student is measured beside it, and a budget may be a ratio to it."""
    teacher: LoadedGenerator
    """Network whose images and features the student imitates."""
    initial: LoadedGenerator
    """The generator that is pruned."""
    initial_discriminator: Path | None = None
    """Discriminator that the search begins with, where it is not the teacher's."""
    are_placeholders: bool = False
    """True while the stages of the full pipeline have not made its networks: untrained ones of the same widths stand in."""


def fast_networks(original: LoadedGenerator, start: str, ngf: int | None, seed: int) -> Networks:
    """Networks of the fast pipeline: ``start`` is ``teacher``, or ``mobile`` for its mobile form with fresh weights.

    Raises ``ValueError`` for ``start=mobile`` where the generator has no mobile form.
    """
    if start == "teacher":
        return Networks(original, original, original)
    form = spec_of(original.model).mobile(ngf)
    if form is None:
        raise ValueError(f"start=mobile: {original.message} has no mobile form, or is one already; take start=teacher")
    return Networks(original, original, _untrained(form, seed))


def placeholder_networks(original: LoadedGenerator, full: FullConfig, task: TaskName, *, multiple: int, seed: int) -> Networks:
    """Networks of the full pipeline before any work: untrained, of the right kinds and widths.

    Raises ``ValueError`` for a task without real targets, and for a width that cuts nothing.
    """
    if not traits_of(task).has_targets:
        raise ValueError("pipeline=full trains a mobile teacher on real targets, and task=inputs has none: take pipeline=fast")
    form = spec_of(original.model).mobile(full.ngf)
    teacher = original if form is None else _untrained(form, seed)
    widths = scaled_widths(teacher.model, full.width, multiple=multiple)
    if widths == widths_of(teacher.model):
        raise ValueError(f"full.width={full.width} with multiple={multiple} cuts nothing: give a smaller one")
    initial = replace(teacher, model=shrink(teacher.model, prefix(widths)))
    return Networks(original, teacher, initial, are_placeholders=True)


def trained_networks(original: LoadedGenerator, mobile_teacher: Path | None, run: Path) -> Networks:
    """Networks of the full pipeline from the files of its first two stages."""
    discriminator = run / "distilled" / "student_discriminator.safetensors"
    return Networks(
        original,
        load(mobile_teacher) if mobile_teacher is not None else original,
        load(run / "distilled" / "student.safetensors"),
        discriminator if discriminator.exists() else None,
    )


def mobile_file(task: TaskName, run: Path) -> Path:
    """File of the mobile teacher in a run."""
    return run / "mobile" / ("generator_A.safetensors" if traits_of(task).any_target else "generator.safetensors")


def mobile_config(config: CompressConfig, form: Preset) -> TrainConfig:
    """Training of the mobile teacher: the teacher's own task on the run's own data."""
    return TrainConfig(
        task=config.task,
        data=config.data,
        arch=form.name,
        arch_options=form.options,
        discriminator_options=config.full.discriminator_options,
        gan=config.gan,
        perceptual=config.perceptual,
        training=config.full.teacher,
        evaluation=replace(config.evaluation, runtimes=("torch",), **PRETRAINED_METRICS),
        seed=config.seed,
        device=config.device,
    )


def distill_config(config: CompressConfig, teacher: Path | None) -> CompressConfig:
    """First distillation: every width of the mobile teacher scaled by one factor; ``teacher`` None is the given generator."""
    return replace(
        config,
        teacher=str(teacher) if teacher is not None else config.teacher,
        pipeline="fast",
        method="uniform",
        method_options={"factor": config.full.width, "importance": config.full.importance},
        budget="1.0001x",  # any that the factor meets: the factor decides
        weights="inherit",
        teacher_discriminator=None if teacher is not None else config.teacher_discriminator,
        recovery=config.full.distill,
    )


def _untrained(form: Preset, seed: int) -> LoadedGenerator:
    """Mobile form with fresh weights; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = plain(form.spec()).build()
    return LoadedGenerator(model.eval(), None, "the teacher's mobile form", {})
