"""Command ``pocketgan train``: a teacher from data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pocketgan.cli.console import Overrides, Switch, TaskName, configured, say, show_config


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
        data: folder of images, or a built-in set: shapes (paired), textures (unpaired).
        out: run directory: generator and discriminator, samples, log, report.
        arch: a name of `pocketgan models`, by default resnet, spade for labels, sagan for unconditional, munit for multimodal;
            its options are arch_options.ngf=32 and so on.
        size: width of the images that the networks see.
        aspect: their width over height: 2 for 512 x 256; by default 1.
        direction: AtoB or BtoA: the first is the input; by default AtoB.
        steps: optimizer steps; by default as published for the task.
        epochs: passes over the data, instead of steps.
        batch: images a step; by default as published for the task.
        gan: adversarial loss; by default lsgan for unpaired and multimodal, vanilla for stylegan2, else hinge.
        features: inception, inception:legacy (FID, KID), or an ONNX file for the Frechet and kernel distances.
        device: auto, cpu, cuda, cuda:1, mps.
        seed: seed of weights, order of images and all else that is random.
        resume: go on with the run in --out; it ends in the same weights as an uninterrupted one.
        dry_run: print the resolved configuration and stop.
    """
    from pocketgan.data.config import DataConfig
    from pocketgan.pipeline.config import TrainConfig
    from pocketgan.pipeline.train import train
    from pocketgan.tasks import TASKS
    from pocketgan.utils.progress import ConsoleReporter

    own = TASKS[task].defaults_for(arch)
    config = configured(
        TrainConfig(
            task=task,
            data=DataConfig(path=data),
            arch=arch or own.arch,
            training=own.training,
            device=device,
            seed=seed,
        ),
        {
            "data.size": size,
            "data.aspect": aspect,
            "data.direction": direction,
            "training.steps": steps,
            "training.epochs": epochs,
            "training.batch": batch,
            "gan": gan,
            "evaluation.features": features,
        },
        overrides,
    )
    if dry_run:
        show_config(config)
        return
    path = train(config, out, resume=resume, reporter=ConsoleReporter())
    say(f"{path / 'report.html'}")
