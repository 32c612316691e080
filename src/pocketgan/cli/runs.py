"""Commands that fill run directories: ``quickstart``, ``train``, ``compress`` and ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from pocketgan import api
from pocketgan.cli.console import Overrides, StageName, Switch, TaskName, say, show_config, show_table


def quickstart(*, out: Path = Path("runs/quickstart")) -> None:
    """The main job on built-in data: train a teacher, compress it, evaluate, export, report. Resumes by itself.

    Args:
        out: the directory for both runs.
    """
    from pocketgan.recipes.quickstart import quickstart as run

    done = run(out, reporter=api.reporter(True))
    small, large = done.result["student"], done.result["teacher"]
    say(f"{large['macs'] / small['macs']:.1f}x fewer MACs, {large['params'] / small['params']:.1f}x fewer parameters")
    quality = [("student", small), ("teacher", large), ("input", done.result["input"])]
    say("PSNR to the target: " + ", ".join(f"{name} {facts['quality']['psnr']:.2f} dB" for name, facts in quality))
    say(f"{done.path / 'report.html'}")


def train(
    overrides: Overrides = (),
    /,
    *,
    task: TaskName,
    data: str,
    targets: str | None = None,
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
    from pocketgan.pipeline.train import train as run

    fields = {
        "device": device,
        "seed": seed,
        "data.size": size,
        "data.aspect": aspect,
        "data.direction": direction,
        "data.targets": targets,
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
    path = run(config, out, resume=resume, reporter=api.reporter(True))
    say(f"{path / 'report.html'}")


def compress(
    teacher: Annotated[str, tyro.conf.Positional],
    overrides: Overrides = (),
    /,
    *,
    data: str,
    targets: str | None = None,
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
    minutes: float | None = None,
    batch: int | None = None,
    multiple: int | None = None,
    weights: str | None = None,
    cache: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    network: str | None = None,
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
        minutes: time from the first stage to the student, in place of steps and epochs.
        multiple: widths are multiples of this where they can be; by default 1, 8 suits most processors.
        weights: FILE of your own generator (.safetensors, .pth); or the weights that recovery begins with: reconstruct
            (default: those that were kept, fitted to the teacher in closed form), inherit (as they are) or fresh.
        cache: most disk space for the teacher's images and features of the training images, which it then sees once; by
            default 8G; 0 for none. Removed at the end.
        keep: layers of your own generator that are not pruned: names or patterns.
        range: values of black and white in its input and output, such as 0..255.
        bgr: its channels are blue, green, red.
        network: key or prefix of the generator in a file of several networks: params_ema.
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
    from pocketgan.pruning.budget import split_budget

    if minutes is not None and (steps is not None or epochs is not None):
        raise ValueError("--minutes and a number of steps or epochs were given: give one of them")
    fields = {
        "foreign.keep": keep or None,
        "foreign.range": range,
        "foreign.bgr": bgr,
        "foreign.network": network,
        "minutes": minutes,
        "budget": budget,
        "method": method,
        "device": device,
        "pipeline": pipeline,
        "objective": objective,
        "data.direction": direction,
        "data.targets": targets,
        **api.of_all_trainings(steps=steps, epochs=epochs, batch=batch),
        "multiple": multiple,
        "weights": weights if weights in RECOVERY else None,
        "cache": cache,
        "teacher_discriminator": teacher_discriminator,
        "gan": gan,
        "evaluation.features": features,
        "seed": seed,
    }
    reference = with_weights(teacher, weights if weights not in RECOVERY else None)
    config, loaded = resolve_config(reference, data, fields, overrides, preset=preset, task=task, size=size, aspect=aspect)
    if dry_run:
        split_budget(config.budget)
        show_config(config)
        return
    run_stages(config, out, resume=resume, reporter=api.reporter(True), teacher=loaded, first=from_, last=to)
    say(f"{out / 'report.html' if to == 'report' else out}")


def compare(
    teacher: Annotated[str, tyro.conf.Positional],
    overrides: Overrides = (),
    /,
    *,
    data: str,
    targets: str | None = None,
    out: Path,
    methods: str,
    budgets: str = "10x",
    objectives: str | None = None,
    weights: str | None = None,
    vary: str | None = None,
    seeds: int = 1,
    seed: int = 0,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    direction: Literal["AtoB", "BtoA"] | None = None,
    steps: int | None = None,
    batch: int | None = None,
    features: str | None = None,
    device: str = "auto",
    resume: Switch = False,
    dry_run: Switch = False,
) -> None:
    """Compress with every method, budget, objective and seed; one table and one page with the Pareto front.

    Args:
        teacher: artifact (.safetensors), published checkpoint, or your own generator as file.py:factory@WEIGHTS.
        out: directory of the runs and the page.
        methods: names from `pocketgan methods`, separated by commas.
        budgets: as in compress, separated by commas.
        objectives: as in compress, separated by commas.
        weights: reconstruct, inherit, fresh, separated by commas.
        vary: any other fields, every combination a run: method_options.mask=quadratic,linear;recovery.lr=1e-4,2e-4.
        seeds: number of seeds; the page shows mean and spread.
        seed: first seed.
        resume: run all that is not yet done; methods, budgets, objectives and seeds may have been added.
    """
    from pocketgan.pipeline.compare import CompareConfig, varied
    from pocketgan.pipeline.compare import compare as run
    from pocketgan.pipeline.resolve import resolve_config
    from pocketgan.pruning.budget import split_budget
    from pocketgan.report import comparison_table

    fields = {
        "device": device,
        "data.direction": direction,
        "data.targets": targets,
        **api.of_all_trainings(steps=steps, batch=batch),
        "evaluation.features": features,
        "seed": seed,
    }
    base, loaded = resolve_config(teacher, data, fields, overrides, task=task, size=size, aspect=aspect)
    config = CompareConfig(
        base=base,
        methods=tuple(methods.split(",")),
        budgets=tuple(budgets.split(",")),
        objectives=tuple(objectives.split(",")) if objectives else (),
        weights=tuple(weights.split(",")) if weights else (),  # type: ignore[arg-type]
        variants=varied(vary or ""),
        seeds=seeds,
    )
    if dry_run:
        for text in config.budgets:
            split_budget(text)
        show_config(config)
        return
    runs, failures = run(config, out, resume=resume, reporter=api.reporter(True), teacher=loaded)
    if runs:
        table = comparison_table(runs)
        show_table("", table.columns, [[cell.text for cell in row] for row in table.rows])
        say(f"{out / 'report.html'}")
    if failures:
        raise ValueError(f"{len(failures)} of {len(runs) + len(failures)} runs failed: {'; '.join(failures)}")
