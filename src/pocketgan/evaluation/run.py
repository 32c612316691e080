"""Generating all of a data set, and evaluating what was generated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import latent_from_seed, latent_inputs, select_inputs
from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig, Direction, Split, has_pairs
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.loader import eval_batches
from pocketgan.evaluation.accumulator import MetricAccumulator, Scores
from pocketgan.evaluation.config import EvaluationConfig
from pocketgan.evaluation.label_targets import label_targets_of
from pocketgan.export import frozen
from pocketgan.metrics.features import Extractor
from pocketgan.metrics.statistics import FeatureStatistics, Moments
from pocketgan.utils.image_files import save_image
from pocketgan.utils.progress import Reporter

STYLES = 3
"""How many styles are shown of each image."""


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
    """Generate all of ``data`` with every generator; ``{name: what was found}``.

    Paired data: PSNR and SSIM to the target. With a ``teacher`` among the generators, the others' to its images too.
    Distances are to all real targets of the split, or those that the configuration says; where there are none, to the
    teacher's images. With a segmenter, ``real`` tells what it reads in the real targets: the most that can be asked for. The
    first few images go to ``keep`` as ``000_input.png``, ``000_target.png``, ``000_<name>.png``; a label map in the colors
    of its classes; of generators that read styles in `STYLES` of them, ``000_<name>-style2.png``.
    """
    data, config = _drawing(data, generators, config), config.of(data.task)
    extractor, segmenter = config.extractor(), config.reader(device)
    targets = label_targets_of(data, config.table, config.table_root) if segmenter is not None else None
    accumulators = {name: MetricAccumulator(config, extractor, segmenter) for name in generators}
    reals, paired = MetricAccumulator(config, extractor, segmenter), has_pairs(data.task)
    frozen_generators = {name: frozen(generator).to(device) for name, generator in generators.items()}
    shown = 0
    with (reporter or Reporter()).task("evaluate", len(data)) as tick, torch.inference_mode():
        done = 0
        for batch in eval_batches(data, batch=config.batch):
            given = {name: tensor.to(device) for name, tensor in batch.images.items()}
            images = {name: generate(frozen_generator, given) for name, frozen_generator in frozen_generators.items()}
            maps = [targets(done + k) for k in range(len(batch.names))] if targets is not None else []
            for name, image in images.items():
                if paired:
                    accumulators[name].compare(image, batch.images["target"])
                if teacher is not None and name != teacher:
                    accumulators[name].compare(image, images[teacher], "_to_teacher")
                accumulators[name].look(image)
                accumulators[name].read(image, maps)
            if paired:
                reals.look(batch.images["target"])
                reals.read(batch.images["target"], maps)
            if keep is not None:
                generated = {name: p for name, p in images.items() if not isinstance(generators[name], nn.Identity)}
                columns = {role: batch.images[role] for role in _shown(data) if role in batch.images}
                if data.labels is not None:
                    columns["input"] = data.labels.colored(columns["input"])
                room = config.images - shown
                if room > 0 and data.task == "multimodal":
                    generated |= _styles({name: frozen_generators[name] for name in generated}, given, room)
                shown += _keep(keep, {**columns, **generated}, shown, room)
            done += len(batch.names)
            tick(done)
    names = targets.names if targets is not None else ()
    stats, whose = None, "teacher" if data.task == "inputs" else "test"
    if extractor is not None:
        stats = _statistics(config, data, extractor, reporter)
        if not paired:
            reals = _reals(data, reals) if data.task != "inputs" else accumulators[teacher or next(iter(accumulators))]
    found = {name: evaluation.scores(reals, stats, whose=whose, names=names) for name, evaluation in accumulators.items()}
    if targets is not None:
        own = MetricAccumulator(config, None, segmenter)
        own.confusion = reals.confusion
        found["real"] = own.scores(own, names=names)
    return found


def generate(frozen_generator: nn.Module, given: Mapping[str, Tensor]) -> Tensor:
    """Its images of a batch, N x C x H x W in [-1, 1], on the CPU.

    Values beyond black and white are clipped, as in any file of an image; a foreign generator may generate them.
    """
    return frozen_generator(*select_inputs(given, frozen_generator)).float().cpu().clamp(-1, 1)  # type: ignore[no-any-return]


def real_moments(
    config: DataConfig, splits: Sequence[Split], extractor: Extractor, *, batch: int = 32, reporter: Reporter | None = None
) -> Moments:
    """Mean and covariance of the features of all source images of these splits, which ``reals`` names."""
    statistics = FeatureStatistics(features=extractor.name)
    for data in (open_data(config, "inputs", split) for split in splits):
        with (reporter or Reporter()).task("statistics", len(data)) as tick:
            done = 0
            for images in eval_batches(data, batch=batch):
                statistics.update(extractor(images.images["input"]))
                done += len(images.names)
                tick(done)
    return dataclasses.replace(statistics.moments(), reals="+".join(splits))


def side_data(data: ImageData, *, task: TaskName = "inputs", split: Split | None = None) -> ImageData:
    """The target side of ``data`` as images of their own."""
    direction: Direction = "BtoA" if data.config.direction == "AtoB" else "AtoB"
    return open_data(dataclasses.replace(data.config, direction=direction), task, split or data.split)


def _drawing(data: ImageData, generators: Mapping[str, nn.Module], config: EvaluationConfig) -> ImageData:
    """The images with all numbers that the generators read; what is generated from numbers alone is generated so often as
    asked."""
    drawn = {name: length for generator in generators.values() for name, length in latent_inputs(generator).items()}
    alone = data.task == "unconditional"
    return data.drawing(drawn, count=config.generated or len(data.names)) if alone else data.drawing(drawn)


def _shown(data: ImageData) -> tuple[str, ...]:
    """The columns of a batch that are images people want to see beside those that were generated."""
    if data.task == "unconditional":
        return ()
    return ("input", "target") if has_pairs(data.task) else ("input",)


def _styles(frozen_generators: Mapping[str, nn.Module], given: Mapping[str, Tensor], room: int) -> dict[str, Tensor]:
    """The first few images in further styles, each of them the same for all."""
    found: dict[str, Tensor] = {}
    for number in range(2, STYLES + 1):
        first = {name: tensor[:room] for name, tensor in given.items()}
        style = first["style"]
        first["style"] = latent_from_seed(number, style.shape[1]).to(style).expand_as(style)
        found |= {
            f"{name}-style{number}": generate(frozen_generator, first) for name, frozen_generator in frozen_generators.items()
        }
    return found


def _reals(data: ImageData, evaluation: MetricAccumulator) -> MetricAccumulator:
    for batch in eval_batches(side_data(data), batch=evaluation.config.batch):
        evaluation.look(batch.images["input"])
    return evaluation


def _statistics(config: EvaluationConfig, data: ImageData, extractor: Extractor, reporter: Reporter | None) -> Moments | None:
    """Of the real images, where they are not just those of the test images."""
    file = config.statistics_file(data.config, extractor)
    if file is not None:
        return Moments.load(file, features=extractor.name)
    if config.reals == "test" or not config.wants("frechet"):
        return None
    return real_moments(side_data(data).config, ("train", "test"), extractor, batch=config.batch, reporter=reporter)


def _keep(folder: Path, columns: Mapping[str, Tensor], first: int, room: int) -> int:
    count = max(0, min(room, len(next(iter(columns.values())))))
    for index in range(count):
        for role, images in columns.items():
            save_image(folder / f"{first + index:03d}_{role}.png", images[index])
    return count
