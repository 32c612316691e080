"""Train a teacher: data in, generators and discriminators out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic

import torch
from torch import nn

from pocketgan.core.artifact import save_artifact
from pocketgan.core.files import write_json
from pocketgan.core.inputs import drawn_by, image_channels
from pocketgan.core.progress import Reporter
from pocketgan.core.run import Run
from pocketgan.core.spec import MODELS
from pocketgan.data.images import ImageData
from pocketgan.data.labels import Labels
from pocketgan.evaluate import Result, cost_result, evaluate, latencies
from pocketgan.models.spectral import folded
from pocketgan.pipeline.common import (
    batches_of,
    beside,
    check_drawn,
    check_size,
    check_stride,
    first_batch,
    known_by,
    machine,
    make_discriminator,
    open_run,
    open_splits,
    resolved_steps,
    there,
    untouched,
    versions,
)
from pocketgan.pipeline.config import TrainConfig
from pocketgan.pipeline.players import label_game
from pocketgan.pipeline.published import published
from pocketgan.report import write_report
from pocketgan.train.cycle import Cycle
from pocketgan.train.latents import Latents
from pocketgan.train.loop import check_weights, choose_device, fit
from pocketgan.train.processes import processes
from pocketgan.train.styles import STYLE, Styles
from pocketgan.train.task import Task
from pocketgan.train.translation import Translation

FILES = {"G": "generator", "D": "discriminator"}
"""Player -> file, and with the side appended for unpaired games."""


def train(config: TrainConfig, out: Path, *, resume: bool = False, reporter: Reporter | None = None) -> Path:
    """Train, judge on the test images, report; gives back the run directory.

    Writes ``generator.safetensors`` and ``discriminator.safetensors`` (unpaired: ``generator_A`` for A to B,
    ``generator_B`` and their discriminators), ``result.json`` and ``report.html``. Raises ``ValueError`` before any work
    for data, names and sizes that do not fit. In several processes all train; the first alone writes and judges.
    """
    world = processes()
    data, test = open_splits(config.data, config.task)
    config = replace(config, fit=resolved_steps(config.fit, len(data)))
    device = choose_device(config.device)
    notes = config.judge.check(config.data, config.task)
    torch.manual_seed(config.seed)
    task = checked_task(config, data.labels, device)
    main = "G" if "G" in task.players else "G_A"  # of two generators the run is about the one from A to B
    drawn = drawn_by(task.players[main])
    data, test = data.drawing(drawn), test.drawing(drawn)
    with open_run(out, config, resume=resume, reporter=reporter) as run:
        began = monotonic()
        for note in notes:
            run.reporter.say(note)
        if not there(out / "result.json"):
            show = first_batch(test)
            fit(task, batches_of(data, config.fit, config.seed), config.fit, run, stage="train", device=device, show=show)
            if world.first:
                kept = {name: task.kept(name) for name in task.players if name[0] in FILES}
                _save(config, kept, out)
                _judge(config, kept[main], out / file_of(main), test, device, run, monotonic() - began)
        if world.first:
            run.drop_checkpoints("train")
            write_report([out], out / "report.html")
        world.wait()
    return out


def file_of(player: str) -> str:
    """The artifact that a player is kept in."""
    kind, _, side = player.partition("_")
    return f"{FILES[kind]}{'_' if side else ''}{side}.safetensors"


def _save(config: TrainConfig, kept: Mapping[str, nn.Module], out: Path) -> None:
    for name, player in kept.items():
        # A student goes on to play against the discriminator, which keeps its spectral norm.
        shipped = folded(player) if name.startswith("G") else player
        provenance = {"task": config.task, "seed": config.seed}
        save_artifact(out / file_of(name), shipped, size=config.data.shape, provenance=provenance)


def checked_task(config: TrainConfig, labels: Labels | None = None, device: torch.device | None = None) -> Task:
    """The game of the configuration, with fresh players. Raises ``ValueError`` for sizes and names that do not fit.

    ``labels`` are those of the data, where the task has any.
    """
    task = _make_task(config, labels, device or torch.device("cpu"))
    for name, player in task.players.items():
        if name[0] not in FILES:
            continue
        check_stride(player, config.data.shape)
        check_size("generator" if name.startswith("G") else "discriminator", player, config.data.shape)
    check_weights(config.fit, task)
    return task


def _make_task(config: TrainConfig, labels: Labels | None, device: torch.device) -> Task:
    known = published(config.task, config.arch)
    gan = config.gan or known.gan

    def generator(**more: object) -> nn.Module:
        model = MODELS[config.arch](**{**known_by(config.arch, **more), **config.arch_options}).build()
        check_drawn(model, config.task)
        return model

    def discriminator(channels: int) -> nn.Module:
        name = config.discriminator or known.discriminator
        return make_discriminator(name, config.discriminator_options, channels, config.data.shape)

    if config.task == "labels":
        assert labels is not None
        painter, judge = generator(in_channels=labels.channels), discriminator(labels.channels + 3)
        if image_channels(painter) != labels.channels:
            own = image_channels(painter)
            raise ValueError(f"arch_options.in_channels={own}: the label maps have {labels.channels}; leave it out")
        return label_game(painter, judge, labels, config.perceptual, device, gan=gan)
    if config.task == "paired":
        return Translation(generator(), discriminator(6), gan=gan)
    if config.task == "unconditional":
        return Latents(generator(size=config.data.size), discriminator(3), gan=gan, settings=config.latents or known.latents)
    if config.task == "multimodal":
        there, back = generator(), generator()
        if getattr(there, STYLE, None) is None:
            raise ValueError(f"task=multimodal: this {config.arch} reads no styles off pictures; take style_encoder=true")
        return Styles((there, back), (discriminator(3), discriminator(3)), gan=gan)
    return Cycle((generator(), generator()), (discriminator(3), discriminator(3)), gan=gan)


def _judge(
    config: TrainConfig, kept: nn.Module, file: Path, test: ImageData, device: torch.device, run: Run, seconds: float
) -> None:
    began = monotonic()
    generator = folded(kept)
    quality = evaluate(
        {"picture": generator, **untouched(config.task)},
        test,
        config.judge,
        device=device,
        keep=run.path / "pictures",
        reporter=run.reporter,
    )
    result: Result = cost_result(generator, config.data.shape)
    result.add(quality["picture"])
    result.latency_ms = latencies({"picture": generator}, config.data.shape, config.judge)["picture"]
    result.bytes = file.stat().st_size
    write_json(
        run.path / "result.json",
        {
            "name": run.path.name,
            "generator": result.to_json(),
            **beside(quality),
            "seed": config.seed,
            "seconds": {"train": seconds, "evaluate": monotonic() - began},
            "versions": versions(),
            "machine": machine(device),
        },
    )
