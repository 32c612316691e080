"""``pocketgan compress``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from pocketgan.cli.console import Overrides, Switch, configured, say, show_config


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
    objective: str | None = None,
    task: Literal["paired", "unpaired", "inputs"] = "paired",
    size: int | None = None,
    direction: Literal["AtoB", "BtoA"] | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    multiple: int | None = None,
    weights: Literal["inherit", "fresh"] | None = None,
    teacher_discriminator: str | None = None,
    gan: Literal["lsgan", "hinge", "vanilla"] | None = None,
    features: str | None = None,
    device: str = "auto",
    seed: int = 0,
    resume: Switch = False,
    dry_run: Switch = False,
) -> None:
    """Make a small generator from a trained one; measure, export and verify it; write a report.

    Args:
        teacher: an artifact of ours (.safetensors) or a published checkpoint (*_net_G*.pth).
        data: a folder in one of the ecosystem's layouts, or a built-in set: shapes, textures.
        out: the run directory: student.safetensors, student.onnx, result.json, report.html.
        budget: 2.6G exact MACs, 2.6Gpaper (the literature's count), 0.5Mparams, or 12x fewer exact MACs.
        method: a name of `pocketgan methods`; its options are method_options.importance=l1 and so on.
        preset: published settings of the method, under everything given here: dmad has paper and release.
        objective: what the student imitates: names of `pocketgan methods` joined with +; or none.
        task: paired (the truth is the target), unpaired or inputs (the truth is the teacher's picture).
        size: side of the square images; by default what the teacher's file says.
        direction: which side is the source.
        steps: training steps of each fit.
        epochs: passes over the data, instead of steps.
        batch: images a step.
        multiple: widths are multiples of this where they can be; 8 suits most processors.
        weights: recover from the kept weights, or from fresh ones.
        teacher_discriminator: by default the one beside the teacher.
        gan: the adversarial loss; by default hinge for paired, lsgan for unpaired.
        features: an ONNX file for the Frechet and kernel distances.
        device: auto, cpu, cuda, ...
        seed: of all that is drawn.
        resume: go on with the run in --out; ends in the same weights as an uninterrupted run.
        dry_run: print the resolved configuration and stop.
    """
    from pocketgan.core.progress import ConsoleReporter
    from pocketgan.data.config import DataConfig
    from pocketgan.pipeline.compress import compress
    from pocketgan.pipeline.config import CompressConfig, with_preset
    from pocketgan.pipeline.sources import load

    source = load(teacher)
    base = CompressConfig(teacher=teacher, data=DataConfig(path=data), budget=budget, method=method, task=task, device=device)
    config = configured(
        with_preset(base, preset, source.model),
        {
            "objective": objective,
            "data.size": size or source.size,
            "data.direction": direction,
            "fit.steps": steps,
            "search.steps": steps,
            "fit.epochs": epochs,
            "search.epochs": epochs,
            "fit.batch": batch,
            "search.batch": batch,
            "multiple": multiple,
            "weights": weights,
            "teacher_discriminator": teacher_discriminator,
            "gan": gan,
            "judge.features": features,
            "seed": seed,
        },
        overrides,
    )
    if dry_run:
        show_config(config)
        return
    done = compress(config, out, resume=resume, reporter=ConsoleReporter(), teacher=source)
    say(f"{done.path / 'report.html'}")
