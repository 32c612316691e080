"""Train a teacher: data in, generators and discriminators out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic

import torch
from torch import nn

from pocketgan.core.artifact import save_artifact
from pocketgan.core.inputs import image_channels, latent_inputs
from pocketgan.core.run import Run
from pocketgan.core.spec import MODELS
from pocketgan.data.images import ImageData
from pocketgan.data.labels import Labels
from pocketgan.evaluation import Result, cost_result, evaluate, latencies
from pocketgan.models.spectral import folded
from pocketgan.pipeline.common import (
    accepted_kwargs,
    baseline_results,
    batches_of,
    check_drawn,
    check_size,
    check_stride,
    exists_on_main,
    first_batch,
    identity_baseline,
    machine,
    make_discriminator,
    open_run,
    open_splits,
    resolved_steps,
    versions,
)
from pocketgan.pipeline.config import TrainConfig
from pocketgan.pipeline.networks import build_spade_task
from pocketgan.pipeline.published import published
from pocketgan.report import write_report
from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.tasks.munit import STYLE, MunitTask
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.tasks.unconditional import UnconditionalTask
from pocketgan.training.distributed import processes
from pocketgan.training.loop import check_weights, choose_device, fit
from pocketgan.training.task import Task
from pocketgan.utils.files import write_json
from pocketgan.utils.progress import Reporter

FILES = {"G": "generator", "D": "discriminator"}
"""Player -> file, and with the side appended for unpaired tasks."""


def train(config: TrainConfig, out: Path, *, resume: bool = False, reporter: Reporter | None = None) -> Path:
    """Train, evaluate on the test images, report; gives back the run directory.

    Writes ``generator.safetensors`` and ``discriminator.safetensors`` (unpaired: ``generator_A`` for A to B,
    ``generator_B`` and their discriminators), ``result.json`` and ``report.html``. Raises ``ValueError`` before any work
    for data, names and sizes that do not fit. In several processes all train; the first alone writes and scores.
    """
    world = processes()
    data, test = open_splits(config.data, config.task)
    config = replace(config, training=resolved_steps(config.training, len(data)))
    device = choose_device(config.device)
    notes = config.evaluation.check(config.data, config.task)
    torch.manual_seed(config.seed)
    task = checked_task(config, data.labels, device)
    main = "G" if "G" in task.networks else "G_A"  # of two generators the run is about the one from A to B
    drawn = latent_inputs(task.networks[main])
    data, test = data.drawing(drawn), test.drawing(drawn)
    with open_run(out, config, resume=resume, reporter=reporter) as run:
        began = monotonic()
        for note in notes:
            run.reporter.say(note)
        if not exists_on_main(out / "result.json"):
            show = first_batch(test)
            fit(
                task,
                batches_of(data, config.training, config.seed),
                config.training,
                run,
                stage="train",
                device=device,
                show=show,
            )
            if world.is_main:
                kept = {name: task.final_network(name) for name in task.networks if name[0] in FILES}
                _save(config, kept, out)
                _evaluate(config, kept[main], out / file_of(main), test, device, run, monotonic() - began)
        if world.is_main:
            run.drop_checkpoints("train")
            write_report([out], out / "report.html")
        world.barrier()
    return out


def file_of(network: str) -> str:
    """The artifact that a network is kept in."""
    kind, _, target = network.partition("_")
    return f"{FILES[kind]}{'_' if target else ''}{target}.safetensors"


def _save(config: TrainConfig, kept: Mapping[str, nn.Module], out: Path) -> None:
    for name, network in kept.items():
        # A student goes on to play against the discriminator, which keeps its spectral norm.
        for_export = folded(network) if name.startswith("G") else network
        provenance = {"task": config.task, "seed": config.seed}
        save_artifact(out / file_of(name), for_export, size=config.data.shape, provenance=provenance)


def checked_task(config: TrainConfig, labels: Labels | None = None, device: torch.device | None = None) -> Task:
    """The task of the configuration, with fresh networks. Raises ``ValueError`` for sizes and names that do not fit.

    ``labels`` are those of the data, where the task has any.
    """
    task = _make_task(config, labels, device or torch.device("cpu"))
    for name, network in task.networks.items():
        if name[0] not in FILES:
            continue
        check_stride(network, config.data.shape)
        check_size("generator" if name.startswith("G") else "discriminator", network, config.data.shape)
    check_weights(config.training, task)
    return task


def _make_task(config: TrainConfig, labels: Labels | None, device: torch.device) -> Task:
    known = published(config.task, config.arch)
    gan = config.gan or known.gan

    def generator(**more: object) -> nn.Module:
        model = MODELS[config.arch](**{**accepted_kwargs(config.arch, **more), **config.arch_options}).build()
        check_drawn(model, config.task)
        return model

    def discriminator(channels: int) -> nn.Module:
        name = config.discriminator or known.discriminator
        return make_discriminator(name, config.discriminator_options, channels, config.data.shape)

    if config.task == "labels":
        assert labels is not None
        label_generator, label_discriminator = generator(in_channels=labels.channels), discriminator(labels.channels + 3)
        if image_channels(label_generator) != labels.channels:
            own = image_channels(label_generator)
            raise ValueError(f"arch_options.in_channels={own}: the label maps have {labels.channels}; leave it out")
        return build_spade_task(label_generator, label_discriminator, labels, config.perceptual, device, gan=gan)
    if config.task == "paired":
        return Pix2PixTask(generator(), discriminator(6), gan=gan)
    if config.task == "unconditional":
        return UnconditionalTask(
            generator(size=config.data.size), discriminator(3), gan=gan, settings=config.latents or known.latents
        )
    if config.task == "multimodal":
        exists_on_main, back = generator(), generator()
        if getattr(exists_on_main, STYLE, None) is None:
            raise ValueError(f"task=multimodal: this {config.arch} reads no styles off images; take style_encoder=true")
        return MunitTask((exists_on_main, back), (discriminator(3), discriminator(3)), gan=gan)
    return CycleGANTask((generator(), generator()), (discriminator(3), discriminator(3)), gan=gan)


def _evaluate(
    config: TrainConfig, kept: nn.Module, file: Path, test: ImageData, device: torch.device, run: Run, seconds: float
) -> None:
    began = monotonic()
    generator = folded(kept)
    quality = evaluate(
        {"image": generator, **identity_baseline(config.task)},
        test,
        config.evaluation,
        device=device,
        keep=run.path / "images",
        reporter=run.reporter,
    )
    result: Result = cost_result(generator, config.data.shape)
    result.add(quality["image"])
    result.latency_ms = latencies({"image": generator}, config.data.shape, config.evaluation)["image"]
    result.bytes = file.stat().st_size
    write_json(
        run.path / "result.json",
        {
            "name": run.path.name,
            "generator": result.to_json(),
            **baseline_results(quality),
            "seed": config.seed,
            "seconds": {"train": seconds, "evaluate": monotonic() - began},
            "versions": versions(),
            "machine": machine(device),
        },
    )
