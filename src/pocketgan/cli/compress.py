"""Command ``pocketgan compress``: a small generator from a trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from pocketgan import api
from pocketgan.cli.console import Overrides, StageName, Switch, TaskName, say, show_config


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
        teacher: artifact (.safetensors), published checkpoint (*_net_G*.pth), or your own generator as file.py:factory or
            package.module:factory, a function that returns it.
        out: run directory: student.safetensors, student.onnx, result.json, report.html.
        budget: 2.6G exact MACs, 2.6Gpaper (the literature's count), 0.5Mparams, or 12x fewer exact MACs.
        method: name from `pocketgan methods`; its options are method_options.importance=l1 and so on.
        preset: published settings of the method, under everything given here: dmad has paper and release.
        pipeline: fast (default) prunes the teacher; full, as in GAN Compression, trains a mobile teacher and distills a
            narrower one first, and prunes that.
        objective: objectives of the distillation, names from `pocketgan methods` joined with +, or none; by default
            output+features.
        multiple: widths are multiples of this where they can be; by default 1, 8 suits most processors.
        weights: FILE of your own generator (.safetensors, .pth); or the weights that recovery begins with: inherit (default:
            those that were kept) or fresh.
        keep: layers of your own generator that are not pruned: names or patterns.
        range: values of black and white in its input and output, such as 0..255.
        bgr: its channels are blue, green, red.
        teacher_discriminator: file; by default the discriminator beside the teacher.
        from_: repeat this stage of the run in --out and all later ones: mobile, distill (both of --pipeline full), search
            (training of masks or a supernet), prune, recover, export, evaluate, report.
        to: stop after this stage; the same command with --resume goes on.
        resume: go on with the run in --out; it ends in the same weights as an uninterrupted one. Of several such commands at
            once, one works; the others share its search if the method is gan-compression, and take over if it dies.
    """
    from pocketgan.foreign.factory import with_weights
    from pocketgan.pipeline.compress import run_stages
    from pocketgan.pipeline.config import RECOVERY
    from pocketgan.pipeline.resolve import resolve_config

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
        **api.of_all_trainings(steps=steps, epochs=epochs, batch=batch),
        "multiple": multiple,
        "weights": weights if weights in RECOVERY else None,
        "teacher_discriminator": teacher_discriminator,
        "gan": gan,
        "evaluation.features": features,
        "seed": seed,
    }
    reference = with_weights(teacher, weights if weights not in RECOVERY else None)
    config, loaded = resolve_config(reference, data, fields, overrides, preset=preset, task=task, size=size, aspect=aspect)
    if dry_run:
        show_config(config)
        return
    run_stages(config, out, resume=resume, reporter=api.reporter(True), teacher=loaded, first=from_, last=to)
    say(f"{out / 'report.html' if to == 'report' else out}")
