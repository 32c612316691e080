"""Who teaches and what is cut: GAN Compression's two pipelines.

Li et al. 2020, sections 3.2 and 4.1. Full: convolutions of the teacher are decomposed (`Spec.mobile`), that network is trained
from scratch, its most important channels learn from it, and what is searched begins with those. Fast: the given teacher
teaches what is searched without any network between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Preset, spec_of
from pocketgan.data.config import crosses
from pocketgan.models.spectral import plain
from pocketgan.pipeline.config import CompressConfig, TrainConfig
from pocketgan.pipeline.load_generator import LoadedGenerator, load
from pocketgan.pruning.fit_budget import scaled_widths
from pocketgan.pruning.selection import prefix, shrink

NOT_ASKED: dict[str, Any] = dict.fromkeys(("metrics", "features", "stats", "segmenter", "table", "table_root"))
"""What takes networks of other people to measure is asked of the student and its teacher, not of the mobile one."""


@dataclass(frozen=True)
class Networks:
    """Who is who in a compression; in the fast pipeline all three are what the user gave."""

    reference: LoadedGenerator
    """What the user gave: the student is measured beside it, and a budget may be a ratio to it."""
    teacher: LoadedGenerator
    """Whose images and features are imitated."""
    start: LoadedGenerator
    """What is cut."""
    task: CompressConfig
    """The run's configuration with the teacher's own file: its discriminator lies beside that."""
    opponent: Path | None = None
    """The discriminator that the first fit goes on with, where it is not the teacher's."""
    trained: bool = True
    """False before the stages of the full pipeline have made its networks: others stand for them then."""


def fast(config: CompressConfig, reference: LoadedGenerator) -> Networks:
    """The fast pipeline's: the teacher is cut, or its mobile form, whose fresh weights come from the seed.

    Raises ``ValueError`` for ``start=mobile`` where the teacher has no mobile form.
    """
    if config.start == "teacher":
        return Networks(reference, reference, reference, config)
    form = mobile_form(config, reference.model)
    if form is None:
        raise ValueError(f"start=mobile: {reference.message} has no mobile form, or is it already; take start=teacher")
    return Networks(reference, reference, _untrained(form, config.seed), config)


def placeholder_networks(config: CompressConfig, reference: LoadedGenerator) -> Networks:
    """The full pipeline's before any work is done: untrained networks of the right kinds and widths.

    Raises ``ValueError`` for a task that has no target but the teacher's images, and for settings without effect.
    """
    if config.task == "inputs":
        raise ValueError("pipeline=full trains a mobile teacher on real targets, and task=inputs has none: take pipeline=fast")
    form = mobile_form(config, reference.model)
    if form is not None and config.teacher_discriminator:
        raise ValueError(
            "pipeline=full: the mobile teacher is trained with a discriminator of its own, leave teacher_discriminator out"
        )
    teacher = reference if form is None else _untrained(form, config.seed)
    widths = scaled_widths(teacher.model, config.full.width, multiple=config.multiple)
    if widths == widths_of(teacher.model):
        raise ValueError(f"full.width={config.full.width} with multiple={config.multiple} cuts nothing: give a smaller one")
    return Networks(reference, teacher, replace(teacher, model=shrink(teacher.model, prefix(widths))), config, trained=False)


def trained(config: CompressConfig, reference: LoadedGenerator, out: Path) -> Networks:
    """The full pipeline's, from the files of its two stages."""
    file = mobile_file(config, reference.model, out)
    task = replace(config, teacher=str(file), teacher_discriminator=None) if file is not None else config
    opponent = out / "distilled" / "student_discriminator.safetensors"
    return Networks(
        reference,
        load(file) if file is not None else reference,
        load(out / "distilled" / "student.safetensors"),
        task,
        opponent if opponent.exists() else None,
    )


def mobile_form(config: CompressConfig, reference: nn.Module) -> Preset | None:
    """The mobile form of the network; None where it has none, or is it already: then it is the teacher itself."""
    return spec_of(reference).mobile(config.full.ngf)


def mobile_file(config: CompressConfig, reference: nn.Module, out: Path) -> Path | None:
    """Where the mobile teacher is written; None where none is trained."""
    if mobile_form(config, reference) is None:
        return None
    return out / "mobile" / ("generator_A.safetensors" if crosses(config.task) else "generator.safetensors")


def mobile_config(config: CompressConfig, form: Preset) -> TrainConfig:
    """The training of the mobile teacher: the teacher's own task on the run's own data."""
    assert config.task != "inputs"
    return TrainConfig(
        task=config.task,
        data=config.data,
        arch=form.name,
        arch_options=form.options,
        discriminator_options=config.full.discriminator_options,
        gan=config.gan,
        perceptual=config.perceptual,
        training=config.full.teacher,
        evaluation=replace(config.evaluation, runtimes=("torch",), **NOT_ASKED),
        seed=config.seed,
        device=config.device,
    )


def distill_config(config: CompressConfig, file: Path | None) -> CompressConfig:
    """The pre-distillation: every width of the mobile teacher cut by one factor, and taught by it."""
    return replace(
        config,
        teacher=str(file) if file is not None else config.teacher,
        pipeline="fast",
        method="uniform",
        method_options={"factor": config.full.width, "importance": config.full.importance},
        budget="1.0001x",  # any that the factor meets: the factor decides
        weights="inherit",
        teacher_discriminator=None if file is not None else config.teacher_discriminator,
        recovery=config.full.distill,
    )


def _untrained(form: Preset, seed: int) -> LoadedGenerator:
    """The mobile form with fresh weights; the random state of the caller stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = plain(form.spec()).build()
    return LoadedGenerator(model.eval(), None, "the teacher's mobile form", {})
