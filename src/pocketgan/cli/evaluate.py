"""``pocketgan evaluate``."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from pocketgan.cli.console import Switch, say, show_json


def run(
    artifact: Annotated[str, tyro.conf.Positional],
    /,
    *,
    data: str,
    task: Literal["paired", "unpaired", "inputs"] = "paired",
    size: int | None = None,
    direction: Literal["AtoB", "BtoA"] = "AtoB",
    metrics: str | None = None,
    features: str | None = None,
    stats: str | None = None,
    teacher: str | None = None,
    batch: int = 8,
    device: str = "auto",
    json: Switch = False,
) -> None:
    """Measure an artifact's pictures on the test images of a data set.

    Args:
        artifact: an artifact of ours (.safetensors) or a published checkpoint.
        data: a folder in one of the ecosystem's layouts, or a built-in set: shapes, textures.
        task: paired measures against the truth; unpaired and inputs have none.
        size: side of the square images; by default what the file says.
        direction: which side is the source.
        metrics: psnr, ssim (need paired data or a teacher), frechet, kernel (need features), separated by commas; by default
            all that can be measured.
        features: an ONNX file, RGB in [0, 1] to N x D features, that the distances are measured on and named after.
        stats: statistics of the real pictures from `pocketgan stats`, for frechet.
        teacher: another artifact; the likeness to its pictures is measured too.
        batch: pictures painted at a time.
        device: auto, cpu, cuda, ...
        json: print one JSON object.
    """
    from pocketgan.core.progress import ConsoleReporter
    from pocketgan.data.config import DataConfig
    from pocketgan.evaluate import JudgeConfig
    from pocketgan.pipeline.measure import measure

    config = JudgeConfig(metrics=tuple(metrics.split(",")) if metrics else None, features=features, stats=stats, batch=batch)
    source = DataConfig(path=data, direction=direction)
    result = measure(artifact, source, config, task=task, size=size, teacher=teacher, device=device, reporter=ConsoleReporter())
    if json:
        show_json(result.to_json())
        return
    for name, value in result.quality.items():
        error = f" ± {result.spread[name]:.3g}" if name in result.spread else ""
        say(f"{name}: {value:.4g}{error}")
