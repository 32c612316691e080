"""Generation of all images of a data set, and their evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import latent_from_seed, latent_inputs, select_inputs
from pocketgan.core.tasks import traits_of
from pocketgan.data.config import DataConfig, Split
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.loader import eval_batches
from pocketgan.deploy import frozen
from pocketgan.evaluation.accumulator import MetricAccumulator, Scores
from pocketgan.evaluation.config import EvaluationConfig
from pocketgan.evaluation.label_targets import label_targets_of
from pocketgan.metrics.features import Extractor
from pocketgan.metrics.statistics import FeatureStatistics, Moments
from pocketgan.utils.images import save_image
from pocketgan.utils.progress import Reporter

STYLES = 3
"""Number of styles of each saved image."""


def evaluate(
    generators: Mapping[str, nn.Module],
    data: ImageData,
    config: EvaluationConfig,
    *,
    device: torch.device,
    teacher: str | None = None,
    keep: Path | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Scores]:
    """Generate all images of ``data`` with every generator; return ``{name: scores}``.

    Paired data: PSNR and SSIM to the target. With a ``teacher`` among the generators, those of the others to its images, too.
    Distances are to all real targets of the split, or those of the configuration; where there are none, to the teacher's
    images. With a segmenter, ``real`` has the scores of the real targets, an upper bound. The first few images are saved in
    ``keep`` as ``000_input.png``, ``000_target.png``, ``000_<name>.png``; a label map in the colors of its classes; images
    with a style latent in `STYLES` styles, ``000_<name>-style2.png``.
    """
    data, config = _with_latents(data, generators, config), config.of(data.task)
    extractor, segmenter = config.extractor(), config.open_segmenter(device)
    targets = label_targets_of(data, config.table, config.table_root) if segmenter is not None else None
    accumulators = {name: MetricAccumulator(config, extractor, segmenter) for name in generators}
    reals, paired = MetricAccumulator(config, extractor, segmenter), traits_of(data.task).has_pairs
    networks = {name: frozen(generator).to(device) for name, generator in generators.items()}
    saved = done = 0
    with (reporter or Reporter()).task("evaluate", len(data)) as tick, torch.inference_mode():
        for batch in eval_batches(data, batch=config.batch):
            given = {name: tensor.to(device) for name, tensor in batch.images.items()}
            images = {name: generate(network, given) for name, network in networks.items()}
            maps = [targets.load(done + k) for k in range(len(batch.names))] if targets is not None else []
            for name, image in images.items():
                if paired:
                    accumulators[name].add_pairs(image, batch.images["target"])
                if teacher is not None and name != teacher:
                    accumulators[name].add_pairs(image, images[teacher], "_to_teacher")
                accumulators[name].add_features(image)
                accumulators[name].add_segmentation(image, maps)
            if paired:
                reals.add_features(batch.images["target"])
                reals.add_segmentation(batch.images["target"], maps)
            room = config.images - saved
            if keep is not None and room > 0:
                generated = {name: image for name, image in images.items() if not isinstance(generators[name], nn.Identity)}
                if traits_of(data.task).has_styles:
                    generated |= _styles({name: networks[name] for name in generated}, given, room)
                saved += _save(keep, _columns(data, batch.images) | generated, saved, room)
            done += len(batch.names)
            tick(done)
    names = targets.names if targets is not None else ()
    stats, whose = None, "teacher" if not traits_of(data.task).has_targets else "test"
    if extractor is not None:
        stats = _statistics(config, data, extractor, reporter)
        if not traits_of(data.task).has_targets:
            reals = accumulators[teacher or next(iter(accumulators))]
        elif not paired:
            targets_alone = open_data(_target_side(data), "inputs", data.split)
            if "target" in data.network_channels:
                targets_alone = targets_alone.with_channels({"input": data.network_channels["target"]})
            for batch in eval_batches(targets_alone, batch=config.batch):
                reals.add_features(batch.images["input"])
    scores = {name: one.scores(reals, stats, whose=whose, names=names) for name, one in accumulators.items()}
    if targets is not None:
        real = MetricAccumulator(config, None, segmenter)
        real.confusion = reals.confusion
        scores["real"] = real.scores(real, names=names)
    return scores


def generate(network: nn.Module, given: Mapping[str, Tensor]) -> Tensor:
    """Images of a batch, N x C x H x W in [-1, 1], on the CPU.

    Values outside of the range, which foreign generators may generate, are clipped as in an image file.
    """
    return network(*select_inputs(given, network)).float().cpu().clamp(-1, 1)  # type: ignore[no-any-return]


def real_moments(
    config: DataConfig, splits: Sequence[Split], extractor: Extractor, *, batch: int = 32, reporter: Reporter | None = None
) -> Moments:
    """Mean and covariance of the features of all input images of these splits, which are its ``reals``."""
    statistics = FeatureStatistics(features=extractor.name)
    for data in (open_data(config, "inputs", split) for split in splits):
        with (reporter or Reporter()).task("statistics", len(data)) as tick:
            done = 0
            for images in eval_batches(data, batch=batch):
                statistics.update(extractor(images.images["input"]))
                done += len(images.names)
                tick(done)
    return dataclasses.replace(statistics.moments(), reals="+".join(splits))


def _target_side(data: ImageData) -> DataConfig:
    """Configuration whose inputs are the targets of ``data``."""
    return dataclasses.replace(data.config, direction="BtoA" if data.config.direction == "AtoB" else "AtoB")


def _with_latents(data: ImageData, generators: Mapping[str, nn.Module], config: EvaluationConfig) -> ImageData:
    """Data with the latents of all generators; ``config.generated`` images of unconditional ones."""
    latents = {name: length for generator in generators.values() for name, length in latent_inputs(generator).items()}
    return data.with_latents(latents, count=(config.generated or len(data)) if traits_of(data.task).reads_latents else None)


def _columns(data: ImageData, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Images of a batch that are saved beside the generated ones."""
    if traits_of(data.task).reads_latents:
        return {}
    roles = ("input", "target") if traits_of(data.task).has_pairs else ("input",)
    columns = {role: images[role] for role in roles}
    if data.labels is not None:
        columns["input"] = data.labels.colored(columns["input"])
    return columns


def _styles(networks: Mapping[str, nn.Module], given: Mapping[str, Tensor], room: int) -> dict[str, Tensor]:
    """First few images in further styles, each the same for all images."""
    images: dict[str, Tensor] = {}
    for number in range(2, STYLES + 1):
        first = {name: tensor[:room] for name, tensor in given.items()}
        style = first["style"]
        first["style"] = latent_from_seed(number, style.shape[1]).to(style).expand_as(style)
        images |= {f"{name}-style{number}": generate(network, first) for name, network in networks.items()}
    return images


def _statistics(config: EvaluationConfig, data: ImageData, extractor: Extractor, reporter: Reporter | None) -> Moments | None:
    """Moments of the real images, where they are not those of the test images."""
    file = config.statistics_file(data.config, extractor)
    if file is not None:
        return Moments.load(file, features=extractor.name)
    if config.reals == "test" or not config.wants("frechet"):
        return None
    return real_moments(_target_side(data), ("train", "test"), extractor, batch=config.batch, reporter=reporter)


def _save(folder: Path, columns: Mapping[str, Tensor], first: int, room: int) -> int:
    """Save up to ``room`` images of each column, numbered from ``first``; return their number."""
    count = min(room, len(next(iter(columns.values()))))
    for index in range(count):
        for role, images in columns.items():
            save_image(folder / f"{first + index:03d}_{role}.png", images[index])
    return count
