"""Command ``pocketgan train``: a teacher from data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pocketgan import api
from pocketgan.cli.console import Overrides, Switch, TaskName, say, show_config


def run(
    overrides: Overrides = (),
    /,
    *,
    task: TaskName,
    data: str,
    out: Path,
    arch: str | None = None,
    size: int | None = None,
    aspect: float | None = None,
    direction: Literal["AtoB", "BtoA"] | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    gan: Literal["lsgan", "hinge", "vanilla"] | None = None,
    features: str | None = None,
    device: str = "auto",
    seed: int = 0,
    resume: Switch = False,
    dry_run: Switch = False,
) -> None:
    """Train a teacher and measure it.

    Args:
        task: paired (pix2pix), unpaired (CycleGAN, both directions), labels (GauGAN, from label maps), unconditional (SAGAN,
            StyleGAN2: images from latents) or multimodal (MUNIT, both directions, each image in many styles).
        out: run directory: generator and discriminator, samples, log, report.
        arch: a name of `pocketgan models`, by default resnet, spade for labels, sagan for unconditional, munit for multimodal;
            its options are arch_options.ngf=32 and so on.
        size: width of the images that the networks see.
        aspect: their width over height: 2 for 512 x 256; by default 1.
        steps: optimizer steps; by default as published for the task.
    """
    from pocketgan.pipeline.train import train

    fields = {
        "device": device,
        "seed": seed,
        "data.size": size,
        "data.aspect": aspect,
        "data.direction": direction,
        "training.steps": steps,
        "training.epochs": epochs,
        "training.batch": batch,
        "gan": gan,
        "evaluation.features": features,
    }
    config = api.train_config(data, task, arch, fields, overrides)
    if dry_run:
        show_config(config)
        return
    path = train(config, out, resume=resume, reporter=api.reporter(True))
    say(f"{path / 'report.html'}")
