"""Measurement of artifacts: structure, costs, quality, latency, export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from pocketgan.core.dims import layers_of, widths_of
from pocketgan.core.inputs import as_size, latent_inputs, shape_of, size_text
from pocketgan.core.spec import MODELS, spec_of
from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig, Split
from pocketgan.data.images import open_data
from pocketgan.deploy import Exported, find_target
from pocketgan.evaluation import EvaluationConfig, Result, cost_result, evaluate, latencies, real_moments
from pocketgan.foreign.factory import parse_reference
from pocketgan.models.layers import folded
from pocketgan.models.munit import without_style_encoder
from pocketgan.pipeline.common import check_evaluation_channels, check_size, check_stride, for_network
from pocketgan.pipeline.config import ForeignConfig
from pocketgan.pipeline.load_generator import PUBLISHED, LoadedGenerator, as_generator, load
from pocketgan.pretrained.extractors import make_extractor
from pocketgan.pruning.allocation import floor_widths
from pocketgan.training.distributed import choose_device
from pocketgan.utils.progress import Reporter


def measure(
    artifact: str,
    data: DataConfig,
    config: EvaluationConfig,
    *,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    teacher: str | None = None,
    foreign: ForeignConfig | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Result:
    """Costs and quality of one artifact on the test images. Raises ``ValueError`` if nothing can be measured.

    ``task`` is by default that of a generator that reads latents, else paired.
    """
    source = load(artifact, foreign, shape_of(size or PUBLISHED, aspect or 1.0))
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
    images = for_network(source.model, images)
    check_evaluation_channels(source.model, config)
    (reporter or Reporter()).say(images.describe())
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
    """Raise ``ValueError`` if there are neither targets nor features nor a teacher to compare images with."""
    if traits_of(task).has_pairs or teacher is not None:
        return
    if config.features is None:
        raise ValueError(f"with {task} data there is no target to compare with: give --features, or a --teacher")
    if not traits_of(task).has_targets and (config.stats is None or config.wants_any("features")):
        raise ValueError(
            "inputs alone have no real targets to compare with: give a --teacher, or --stats with --metrics frechet"
        )


def measure_latency_of(
    artifacts: Sequence[str],
    config: EvaluationConfig,
    *,
    size: int | None = None,
    aspect: float | None = None,
    batch: int = 1,
    foreign: ForeignConfig | None = None,
) -> dict[str, dict[str, Any]]:
    """``{artifact: {runtime: milliseconds}}`` for ``batch`` images, all interleaved in one run at one size."""
    if not artifacts:
        raise ValueError("no artifact given: name at least one")
    meant = shape_of(size or PUBLISHED, aspect or 1.0)
    own = {name: foreign if parse_reference(name) is not None or len(artifacts) == 1 else None for name in artifacts}
    sources = {artifact: load(artifact, own[artifact], meant) for artifact in artifacts}
    # Published checkpoints have no size: they are measured at that of the artifacts beside them.
    sized = [source for source in sources.values() if source.size is not None] or [*sources.values()]
    shapes = {source.shape(size, aspect) for source in sized}
    if len(shapes) > 1:
        found = ", ".join(map(size_text, sorted(shapes)))
        raise ValueError(f"the artifacts are for different sizes ({found}): say which with --size and --aspect")
    return latencies({name: source.model for name, source in sources.items()}, shapes.pop(), config, batch=batch)


def export(
    artifact: str,
    out: Path,
    *,
    target: str,
    size: int | None = None,
    aspect: float | None = None,
    foreign: ForeignConfig | None = None,
    drop_style: bool = False,
    verify: bool = True,
) -> Exported:
    """Write an artifact for a target of `TARGETS`, verified against eager PyTorch.

    ``drop_style`` leaves out the style encoder. Raises ``ValueError`` for a generator without a style.
    """
    chosen = find_target(target)
    source = load(artifact, foreign, shape_of(size or PUBLISHED, aspect or 1.0))
    model = source.model
    if drop_style:
        if "style" not in latent_inputs(model):
            raise ValueError(f"{artifact} is a {spec_of(model).name}, which reads no style: leave --drop-style out")
        model = without_style_encoder(model)
    return chosen.export(model, out, size=source.shape(size, aspect), verify=verify)


def save_statistics(
    data: DataConfig, out: Path, *, domain: str, splits: Sequence[Split], features: str, reporter: Reporter | None = None
) -> int:
    """Write mean and covariance of the real images of one side (A or B) to an ``.npz``; returns the number of images."""
    config = replace(data, direction="AtoB" if domain == "A" else "BtoA")
    moments = real_moments(config, splits, make_extractor(features), reporter=reporter)
    moments.save(out)
    assert moments.n is not None
    return moments.n


def inspect(
    model: str | nn.Module,
    *,
    size: int | None = None,
    aspect: float | None = None,
    multiple: int = 1,
    foreign: ForeignConfig | None = None,
) -> dict[str, Any]:
    """Channel groups with widths and costs, totals, and the smallest cost that a budget can ask for, for one image.

    ``model`` is a file, a ``file.py:factory@WEIGHTS``, a name of `MODELS`, or a network; ``size`` is the image's width and
    ``aspect`` its width over height, by default those of the file. Raises ``ValueError`` for anything else, and for a foreign
    generator that cannot be cut.
    """
    if isinstance(model, str) and model in MODELS:
        source = LoadedGenerator(MODELS[model]().build(device="meta"), None, f"{model}, as published", {})
    else:
        source = as_generator(model, foreign, shape_of(size or PUBLISHED, aspect or 1.0))
    network = folded(source.model)
    cost = check_size("generator", network, source.shape(size, aspect))
    widths, shares, layers = widths_of(network), cost.by_group(), layers_of(network)
    spec = spec_of(network)
    return {
        "message": source.message,
        "size": as_size(cost.size),
        "groups": {
            group: {"width": widths.get(group), **share._asdict(), "layers": layers.get(group, [])}
            for group, share in shares.items()
        },
        "total": cost()._asdict(),
        "floor": cost(floor_widths(network, multiple=multiple))._asdict(),
        "uncounted": list(cost.uncounted),
        "kept": dict(getattr(spec, "kept", {})),
        "distilled": list(spec.taps),
    }
