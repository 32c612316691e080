"""Commands that measure: ``evaluate``, ``stats``, ``latency`` and ``inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from pocketgan import api
from pocketgan.cli.console import DataFields, Switch, TaskName, say, show_json, show_table


def evaluate(
    artifact: Annotated[str, tyro.conf.Positional],
    overrides: DataFields = (),
    /,
    *,
    data: str,
    targets: str | None = None,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    center: int | None = None,
    weights: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    network: str | None = None,
    direction: Literal["AtoB", "BtoA"] = "AtoB",
    classes: int | str | None = None,
    metrics: str | None = None,
    features: str | None = None,
    reals: Literal["test", "train+test"] = "test",
    stats: str | None = None,
    segmenter: str | None = None,
    teacher: str | None = None,
    generated: int | None = None,
    batch: int = 8,
    device: str = "auto",
    json: Switch = False,
) -> None:
    """Measure the images of a generator on the test images of a data set.

    Args:
        task: paired and labels compare with the target, the others have none; by default paired, or the task of a generator
            that reads latents.
        generated: number of images of a generator that reads latents; by default that of the real ones.
        metrics: psnr, ssim (on paired data or with a teacher), frechet, kernel, precision, recall (with features), fid, kid
            (with Inception features), separated by commas; by default all that are possible, without precision and recall.
        features: extractor of the distances between sets of images: inception (FID and KID), inception:legacy (as published
            by GAN Compression and others), either with :FILE for other weights, or an ONNX file, RGB in [0, 1] to N x D.
        reals: real images of frechet; published unpaired FIDs compare with train+test.
        stats: statistics of the real images for frechet, from `pocketgan stats` or as published (.npz).
        segmenter: network of miou and accuracy: drn-d-105 (Cityscapes) or deeplabv2 (COCO-Stuff), with :FILE for its
            weights, or an ONNX file, RGB in [0, 1] to the scores of each class.
        teacher: second generator; the images are compared with those of the teacher, too.
        batch: images in a call; no figure depends on it.
    """
    from pocketgan.foreign.factory import with_weights

    result = api.evaluate(
        with_weights(artifact, weights),
        data,
        targets=targets,
        overrides=overrides,
        task=task,
        size=size,
        aspect=aspect,
        direction=direction,
        center=center,
        classes=classes,
        metrics=metrics.split(",") if metrics else None,
        features=features,
        teacher=teacher,
        keep=keep,
        range=range,
        bgr=bgr,
        network=network,
        device=device,
        reals=reals,
        stats=stats,
        segmenter=segmenter,
        generated=generated,
        batch=batch,
    )
    if json:
        show_json(result.to_json())
        return
    if result.classes:
        rows = [(name, "-" if iou is None else f"{iou:.4f}") for name, iou in result.classes.items()]
        show_table("intersection over union", ("class", "IoU"), rows)
    for name, value in result.quality.items():
        error = f" ± {result.spread[name]:.3g}" if name in result.spread else ""
        say(f"{name}: {value:.4g}{error}")


def stats(
    data: Annotated[str, tyro.conf.Positional],
    overrides: DataFields = (),
    /,
    *,
    targets: str | None = None,
    side: Literal["A", "B"],
    features: str,
    out: Path,
    split: Literal["train", "test", "train+test"] = "test",
    size: int = 256,
    aspect: float = 1.0,
    center: int | None = None,
) -> None:
    """Compute mean and covariance of the features of real images, for the Frechet distance.

    Args:
        side: domain of the images.
        features: inception, inception:legacy, or an ONNX file, RGB in [0, 1] to N x D features.
        out: .npz file of mu, sigma, the extractor's name and the images' splits.
        split: images of which split; published CycleGAN figures compare with train+test.
        size: width to which the images are scaled first, as in evaluation.
        aspect: width over height.
    """
    from pocketgan.data.config import DataConfig
    from pocketgan.pipeline.measure import save_statistics

    count = save_statistics(
        api.data_config(DataConfig(path=data, targets=targets, size=size, aspect=aspect, center=center), overrides),
        out,
        domain=side,
        splits=tuple(split.split("+")),  # type: ignore[arg-type]
        features=features,
        reporter=api.reporter(True),
    )
    say(f"{out}: {count} images")


def latency(
    artifacts: Annotated[tuple[str, ...], tyro.conf.Positional],
    /,
    *,
    runtime: tuple[str, ...] = ("torch", "onnxruntime"),
    batch: int = 1,
    size: int | None = None,
    aspect: float | None = None,
    threads: int = 1,
    repeats: int = 50,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    network: str | None = None,
    json: Switch = False,
) -> None:
    """Measure milliseconds on the CPU, with all generators and runtimes interleaved in one run.

    Args:
        artifacts: artifacts, published checkpoints, or file.py:factory@WEIGHTS; speeds are ratios to the first one.
        runtime: torch, onnxruntime.
        batch: images in a call.
        threads: threads of each runtime.
        repeats: rounds; each runs every generator once in every runtime.
    """
    found = api.latency(
        artifacts,
        runtimes=runtime,
        batch=batch,
        size=size,
        aspect=aspect,
        threads=threads,
        repeats=repeats,
        keep=keep,
        range=range,
        bgr=bgr,
        network=network,
    )
    if json:
        show_json(found)
        return
    first = found[artifacts[0]]
    rows = [
        (name, engine, f"{t['median']:.2f}", f"{t['p10']:.2f}-{t['p90']:.2f}", f"{first[engine]['median'] / t['median']:.2f}x")
        for name, engines in found.items()
        for engine, t in engines.items()
    ]
    title = f"{batch} image(s), {threads} thread(s), median of {repeats}"
    show_table(title, ("artifact", "runtime", "ms", "p10-p90", "faster"), rows)


def inspect(
    model: Annotated[str, tyro.conf.Positional],
    /,
    *,
    size: int | None = None,
    aspect: float | None = None,
    multiple: int = 1,
    weights: str | None = None,
    keep: tuple[str, ...] = (),
    range: str = "-1..1",
    bgr: Switch = False,
    network: str | None = None,
    json: Switch = False,
) -> None:
    """List the channel groups of a generator with widths and costs, and the lower limit of a budget.

    Args:
        model: artifact (.safetensors), published checkpoint, name of `pocketgan models`, or function that makes a generator:
            file.py:factory or package.module:factory.
        multiple: divisor of the widths at the floor.
    """
    from pocketgan.core.inputs import as_shape, size_text
    from pocketgan.foreign.factory import with_weights

    facts = api.inspect(
        with_weights(model, weights),
        size=size,
        aspect=aspect,
        multiple=multiple,
        keep=keep,
        range=range,
        bgr=bgr,
        network=network,
    )
    if json:
        show_json(facts)
        return
    say(facts["message"])
    costs = [(name, group["width"] or "", group) for name, group in facts["groups"].items()]
    costs += [(name, "", facts[name]) for name in ("total", "floor")]
    rows = [
        (name, width, f"{cost['params']:,}", f"{cost['macs'] / 1e6:,.1f} M", f"{cost['macs_paper'] / 1e6:,.1f} M")
        for name, width, cost in costs
    ]
    title = f"costs of one {size_text(as_shape(facts['size']))} image, by the group that each layer writes"
    show_table(title, ("group", "width", "parameters", "MACs exact", "MACs paper"), rows)
    for name, reason in facts["kept"].items():
        say(f"stays whole: {name} ({reason})")
    say(f"distilled by default: {', '.join(facts['distilled']) or 'no layer'}")
