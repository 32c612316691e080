"""Measuring artifacts that exist: quality, latency, export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from pocketgan.core.inputs import latent_inputs
from pocketgan.core.shape import Shape, said, shape_of
from pocketgan.core.spec import spec_of
from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig, Split, has_pairs
from pocketgan.data.images import open_data
from pocketgan.evaluation import SAMPLED, EvaluationConfig, Result, cost_result, evaluate, latencies, real_moments
from pocketgan.export import FORMATS, Exported
from pocketgan.models.munit import without_style_encoder
from pocketgan.pipeline.common import check_channels, check_stride
from pocketgan.pipeline.load_generator import LoadedGenerator, load
from pocketgan.pretrained.extractors import make_extractor
from pocketgan.training.loop import choose_device
from pocketgan.utils.progress import Reporter


def shape(source: LoadedGenerator, size: int | None, aspect: float | None) -> Shape:
    """Height and width to work at, as `Source.images`. Raises ``ValueError`` for an aspect that is none."""
    return shape_of(*source.images(size, aspect))


def measure(
    artifact: str,
    data: DataConfig,
    config: EvaluationConfig,
    *,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    teacher: str | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Result:
    """Costs and quality of one artifact on the test images. Raises ``ValueError`` if nothing can be measured.

    ``task``: by default what the generator is made for if it reads numbers, else paired.
    """
    source = load(artifact)
    task = task or (source.task(data) if latent_inputs(source.model) else "paired")
    generators = {"image": source.model}
    if teacher is not None:
        generators["teacher"] = load(teacher).model
    _check_comparable(config, task, teacher)
    width, proportion = source.images(size, aspect)
    data = replace(data, size=width, aspect=proportion)
    for note in config.check(data, task):
        (reporter or Reporter()).say(note)
    check_stride(source.model, data.shape)
    images = open_data(data, task, "test")
    check_channels(source.model, images)
    quality = evaluate(
        generators,
        images,
        config,
        device=choose_device(device),
        teacher="teacher" if teacher else None,
        reporter=reporter,
    )
    result = cost_result(source.model, data.shape)
    result.add(quality["image"])
    if source.file is not None:
        result.bytes = source.file.stat().st_size
    return result


def _check_comparable(config: EvaluationConfig, task: TaskName, teacher: str | None) -> None:
    """Raise ``ValueError`` if the images have nothing to be compared with."""
    if has_pairs(task) or teacher is not None:
        return
    if config.features is None:
        raise ValueError(f"with {task} data there is no target to compare with: give --features, or a --teacher")
    if task == "inputs" and (config.stats is None or any(map(config.wants, SAMPLED))):
        raise ValueError(
            "inputs alone have no real targets to compare with: give a --teacher, or --stats with --metrics frechet"
        )


def measure_latency_of(
    artifacts: Sequence[str], config: EvaluationConfig, *, size: int | None = None, aspect: float | None = None, batch: int = 1
) -> dict[str, dict[str, Any]]:
    """``{artifact: {runtime: milliseconds}}`` for ``batch`` images, all interleaved in one run at one size."""
    if not artifacts:
        raise ValueError("no artifact given: name at least one")
    sources = {artifact: load(artifact) for artifact in artifacts}
    # Checkpoints of other people say no size: they are measured at that of the artifacts beside them.
    sized = [source for source in sources.values() if source.size is not None] or [*sources.values()]
    shapes = {shape(source, size, aspect) for source in sized}
    if len(shapes) > 1:
        found = ", ".join(map(said, sorted(shapes)))
        raise ValueError(f"the artifacts are for different sizes ({found}): say which with --size and --aspect")
    return latencies({name: source.model for name, source in sources.items()}, shapes.pop(), config, batch=batch)


def export(
    artifact: str,
    out: Path,
    *,
    format: str,
    size: int | None = None,
    aspect: float | None = None,
    drop_style: bool = False,
    verify: bool = True,
) -> Exported:
    """Write an artifact in a format of `FORMATS`, verified against eager PyTorch.

    ``drop_style`` leaves out what reads a style off an image. Raises ``ValueError`` for a generator that reads no style.
    """
    source = load(artifact)
    model = _without_reader(artifact, source.model) if drop_style else source.model
    return FORMATS[format](model, out, size=shape(source, size, aspect), verify=verify)


def _without_reader(artifact: str, model: nn.Module) -> nn.Module:
    if "style" not in latent_inputs(model):
        raise ValueError(f"{artifact} is a {spec_of(model).name}, which reads no style: leave --drop-style out")
    return without_style_encoder(model)


def save_statistics(
    data: DataConfig, out: Path, *, domain: str, splits: Sequence[Split], features: str, reporter: Reporter | None = None
) -> int:
    """Write mean and covariance of the real images of one side (A or B) to an ``.npz``; how many images there were."""
    config = replace(data, direction="AtoB" if domain == "A" else "BtoA")
    moments = real_moments(config, splits, make_extractor(features), reporter=reporter)
    moments.save(out)
    assert moments.n is not None
    return moments.n
