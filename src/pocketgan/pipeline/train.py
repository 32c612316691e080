"""Train a teacher: data in, generators and discriminators out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

import torch
from torch import nn

from pocketgan.core.artifact import save_artifact
from pocketgan.core.inputs import latent_inputs
from pocketgan.core.run import Run
from pocketgan.core.spec import MODELS
from pocketgan.data.images import ImageData
from pocketgan.data.labels import Labels
from pocketgan.models.layers import folded
from pocketgan.pipeline.common import (
    accepted_kwargs,
    batches_of,
    check_evaluation_channels,
    check_latents,
    check_size,
    check_stride,
    descriptions,
    exists_on_main,
    first_batch,
    for_network,
    machine,
    make_discriminator,
    measured,
    open_run,
    open_splits,
    resolved_steps,
    versions,
)
from pocketgan.pipeline.config import TrainConfig
from pocketgan.pipeline.student_tasks import perceptual_losses
from pocketgan.report import write_report
from pocketgan.tasks import TASKS
from pocketgan.tasks.base import TeacherParts
from pocketgan.training.distributed import choose_device, processes
from pocketgan.training.loop import check_weights, fit
from pocketgan.training.task import Task
from pocketgan.utils.files import write_json
from pocketgan.utils.progress import Reporter

FILES = {"G": "generator", "D": "discriminator"}
"""Name of a network's file by the first letter of its name; the direction is appended where there are two."""


def train(config: TrainConfig, out: Path, *, resume: bool = False, reporter: Reporter | None = None) -> Path:
    """Train, evaluate on the test images, report; returns the run directory.

    Writes ``generator.safetensors`` and ``discriminator.safetensors`` (two directions: ``generator_A`` for A to B,
    ``generator_B`` and their discriminators), ``result.json`` and ``report.html``. Raises ``ValueError`` before any work
    for data, names and sizes that do not fit. In several processes all train; the main one alone writes and evaluates.
    """
    data, test = open_splits(config.data, config.task)
    config = replace(config, training=resolved_steps(config.training, len(data)))
    device = choose_device(config.device)
    notes = config.evaluation.check(config.data, config.task)
    torch.manual_seed(config.seed)
    task = check_teacher_task(config, data.labels, device)
    main = "G" if "G" in task.networks else "G_A"  # of two generators the run is about the one from A to B
    latents = latent_inputs(task.networks[main])
    data, test = (for_network(task.networks[main], split.with_latents(latents)) for split in (data, test))
    check_evaluation_channels(task.networks[main], config.evaluation)
    with open_run(out, config, resume=resume, reporter=reporter) as run:
        began = monotonic()
        for note in (*descriptions(data, test), *notes):
            run.reporter.say(note)
        if not exists_on_main(out / "result.json"):
            batches, show = batches_of(data, config.training, config.seed), first_batch(test)
            fit(task, batches, config.training, run, stage="train", device=device, show=show)
            if processes().is_main:
                final = {name: task.final_network(name) for name in task.networks if name[0] in FILES}
                for name, network in final.items():
                    # A student goes on training against the discriminator, which keeps its spectral norm.
                    model = folded(network) if name.startswith("G") else network
                    provenance = {"task": config.task, "seed": config.seed}
                    save_artifact(out / file_of(name), model, size=config.data.shape, provenance=provenance)
                described = descriptions(data, test)
                _evaluate(config, final[main], out / file_of(main), test, described, device, run, monotonic() - began)
        if processes().is_main:
            run.drop_checkpoints("train")
            write_report([out], out / "report.html")
        processes().barrier()
    return out


def file_of(network: str) -> str:
    """Artifact of a network: ``G`` is ``generator.safetensors``, ``D_A`` is ``discriminator_A.safetensors``."""
    kind, _, direction = network.partition("_")
    return f"{FILES[kind]}{'_' if direction else ''}{direction}.safetensors"


def check_teacher_task(config: TrainConfig, labels: Labels | None = None, device: torch.device | None = None) -> Task:
    """Training task of the configuration, with fresh networks. Raises ``ValueError`` for sizes and names that do not fit.

    ``labels`` are those of the data, where the task has label maps.
    """
    definition = TASKS[config.task]
    defaults = definition.defaults_for(config.arch)

    def generator(*, reverse: bool = False, **options: object) -> nn.Module:
        chosen = {**accepted_kwargs(config.arch, **options), **config.arch_options}
        if reverse:  # of the other direction
            ends = {"in_channels": chosen.get("out_channels", 3), "out_channels": chosen.get("in_channels", 3)}
            chosen |= accepted_kwargs(config.arch, **ends)
        model = MODELS[config.arch](**chosen).build()
        check_latents(model, config.task)
        return model

    def discriminator(channels: int) -> nn.Module:
        name = config.discriminator or defaults.discriminator
        return make_discriminator(name, config.discriminator_options, channels, config.data.shape)

    task = definition.teacher(
        TeacherParts(
            generator=generator,
            discriminator=discriminator,
            size=config.data.size,
            gan=config.gan or defaults.gan,
            latents=config.latents or defaults.latents,
            perceptual=partial(perceptual_losses, config.perceptual, device or torch.device("cpu")),
            labels=labels,
        )
    )
    for name, network in task.networks.items():
        if name[0] in FILES:
            check_stride(network, config.data.shape)
            check_size("generator" if name.startswith("G") else "discriminator", network, config.data.shape)
    check_weights(config.training, task)
    return task


def _evaluate(
    config: TrainConfig,
    kept: nn.Module,
    file: Path,
    test: ImageData,
    described: tuple[str, ...],
    device: torch.device,
    run: Run,
    seconds: float,
) -> None:
    began = monotonic()
    results, baselines = measured({"image": folded(kept)}, test, config.evaluation, device, run)
    results["image"].bytes = file.stat().st_size
    write_json(
        run.path / "result.json",
        {
            "name": run.path.name,
            "generator": results["image"].to_json(),
            **baselines,
            "seed": config.seed,
            "seconds": {"train": seconds, "evaluate": monotonic() - began},
            "versions": versions(),
            "machine": machine(device),
            "data": described,
        },
    )
