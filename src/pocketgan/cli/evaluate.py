"""``pocketgan evaluate``."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from pocketgan.cli.console import Switch, TaskName, say, show_json, show_table


def run(
    artifact: Annotated[str, tyro.conf.Positional],
    /,
    *,
    data: str,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    center: int | None = None,
    weights: str | None = None,
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
    """Measure an artifact's images on the test images of a data set.

    Args:
        artifact: an artifact of ours (.safetensors), a published checkpoint, or any generator as file.py:factory.
        weights: of a factory's generator: an artifact cut from it, or its own (.safetensors, .pth).
        data: a folder in one of the ecosystem's layouts, or a built-in set: shapes, textures.
        task: paired and labels measure against the target, the others have none; by default paired, or what the generator
            reads.
        generated: how many images of a generator of latents are evaluated; by default as many as there are real ones.
        size: width of the images; by default what the file says.
        aspect: width over height; by default what the file says.
        center: side of the central square that is cut out of every image first, as in the training; by default none.
        direction: which side is the source.
        classes: what the values of label maps mean, where the folder does not say: how many there are, a file of names,
            cityscapes or coco-stuff.
        metrics: psnr, ssim (need paired data or a teacher), frechet, kernel, precision, recall (need features), fid,
            kid (need Inception), separated by commas; by default all that can be measured, without precision and recall.
        features: what the distances are measured on and named after: inception (FID and KID), inception:legacy (as published
            by GAN Compression and others), either with :FILE for weights of your own, or an ONNX file, RGB in [0, 1] to N x D.
        reals: the real images that frechet compares with; published unpaired FIDs compare with train+test.
        stats: statistics of the real images for frechet, from `pocketgan stats` or as published (.npz).
        segmenter: what reads images back as label maps, for miou and accuracy: drn-d-105 (Cityscapes) or deeplabv2
            (COCO-Stuff), with :FILE for its weights, or an ONNX file, RGB in [0, 1] to the scores of each class.
        teacher: another artifact; the likeness to its images is measured too.
        batch: images generated at a time.
        device: auto, cpu, cuda, ...
        json: print one JSON object.
    """
    from pocketgan.data.config import DataConfig
    from pocketgan.evaluation import EvaluationConfig
    from pocketgan.foreign.factory import joined
    from pocketgan.pipeline.measure import measure
    from pocketgan.utils.progress import ConsoleReporter

    chosen = tuple(metrics.split(",")) if metrics else None
    config = EvaluationConfig(
        metrics=chosen, features=features, reals=reals, stats=stats, segmenter=segmenter, generated=generated, batch=batch
    )
    source = DataConfig(path=data, direction=direction, center=center, classes=classes)
    result = measure(
        joined(artifact, weights),
        source,
        config,
        task=task,
        size=size,
        aspect=aspect,
        teacher=teacher,
        device=device,
        reporter=ConsoleReporter(),
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
