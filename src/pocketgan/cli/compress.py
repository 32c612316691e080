"""``pocketgan compress``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from pocketgan.cli.console import Overrides, StageName, Switch, TaskName, of_all_trainings, say, show_config


def run(
    teacher: Annotated[str, tyro.conf.Positional],
    overrides: Overrides = (),
    /,
    *,
    data: str,
    out: Path,
    budget: str = "10x",
    method: str = "magnitude",
    preset: str | None = None,
    pipeline: Literal["fast", "full"] | None = None,
    objective: str | None = None,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    direction: Literal["AtoB", "BtoA"] | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    multiple: int | None = None,
    weights: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    teacher_discriminator: str | None = None,
    gan: Literal["lsgan", "hinge", "vanilla"] | None = None,
    features: str | None = None,
    device: str = "auto",
    seed: int = 0,
    from_: Annotated[StageName | None, tyro.conf.arg(name="from")] = None,
    to: StageName = "report",
    resume: Switch = False,
    dry_run: Switch = False,
) -> None:
    """Make a small generator from a trained one; measure, export and verify it; write a report.

    Args:
        teacher: an artifact of ours (.safetensors), a published checkpoint (*_net_G*.pth), or any generator as file.py:factory
            or package.module:factory, a function that makes it.
        data: a folder in one of the ecosystem's layouts, or a built-in set: shapes, textures.
        out: the run directory: student.safetensors, student.onnx, result.json, report.html.
        budget: 2.6G exact MACs, 2.6Gpaper (the literature's count), 0.5Mparams, or 12x fewer exact MACs.
        method: a name of `pocketgan methods`; its options are method_options.importance=l1 and so on.
        preset: published settings of the method, under everything given here: dmad has paper and release.
        pipeline: full trains a mobile teacher and distils a narrower one first, as GAN Compression did, and cuts that.
        objective: what the student imitates: names of `pocketgan methods` joined with +; or none.
        task: paired, labels (the target is the target), unpaired, inputs, unconditional or multimodal (the target is the
            teacher's image); by default what generator and data are made for.
        size: width of the images; by default what the teacher's file says.
        aspect: width over height; by default what the teacher's file says, else 1.
        direction: which side is the source.
        steps: training steps of each fit.
        epochs: passes over the data, instead of steps.
        batch: images a step.
        multiple: widths are multiples of this where they can be; 8 suits most processors.
        weights: FILE of a factory's generator (.safetensors, .pth); or what recovery begins with: inherit (the kept weights) or
            fresh.
        keep: layers of a factory's generator that stay whole: names or patterns.
        range: the values that it reads and generates for black and white, such as 0..255.
        bgr: it reads and generates blue first.
        teacher_discriminator: by default the one beside the teacher.
        gan: the adversarial loss; by default lsgan for unpaired and multimodal, vanilla for stylegan2, else hinge.
        features: inception, inception:legacy (FID, KID), or an ONNX file for the Frechet and kernel distances.
        device: auto, cpu, cuda, ...
        seed: of all that is drawn.
        from_: do this stage of the run in --out and those after it again: mobile, distill (both pipeline=full), fit (what
            learns where to cut; the supernet), select (cutting; the search), recover, export, evaluate, report.
        to: stop after this stage; the same command with --resume goes on.
        resume: go on with the run in --out; ends in the same weights as an uninterrupted run. Given several times at once,
            one process works, the others share its search if the method is gan-compression, and take over if it dies.
        dry_run: print the resolved configuration and stop.
    """
    from pocketgan.foreign.factory import joined
    from pocketgan.pipeline.compress import run_stages
    from pocketgan.pipeline.config import RECOVERY
    from pocketgan.pipeline.resolve import resolve_config
    from pocketgan.utils.progress import ConsoleReporter

    fields = {
        "foreign.keep": keep or None,
        "foreign.range": range,
        "foreign.bgr": bgr,
        "budget": budget,
        "method": method,
        "device": device,
        "pipeline": pipeline,
        "objective": objective,
        "data.direction": direction,
        **of_all_trainings(steps=steps, epochs=epochs, batch=batch),
        "multiple": multiple,
        "weights": weights if weights in RECOVERY else None,
        "teacher_discriminator": teacher_discriminator,
        "gan": gan,
        "evaluation.features": features,
        "seed": seed,
    }
    reference = joined(teacher, weights if weights not in RECOVERY else None)
    config, loaded = resolve_config(reference, data, fields, overrides, preset=preset, task=task, size=size, aspect=aspect)
    if dry_run:
        show_config(config)
        return
    run_stages(config, out, resume=resume, reporter=ConsoleReporter(), teacher=loaded, first=from_, last=to)
    say(f"{out / 'report.html' if to == 'report' else out}")
