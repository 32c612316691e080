"""Painting all of a data set, and judging what was painted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import drawn_by, numbers_of, read_from
from pocketgan.core.progress import Reporter
from pocketgan.data.config import DataConfig, Direction, Pairing, Split, has_pairs
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.loader import eval_batches
from pocketgan.evaluate.config import JudgeConfig
from pocketgan.evaluate.judge import Judge, Judgement
from pocketgan.evaluate.truths import truths_of
from pocketgan.export import frozen
from pocketgan.metrics.features import Extractor
from pocketgan.metrics.statistics import FeatureStatistics, Moments
from pocketgan.train.samples import save_picture

STYLES = 3
"""How many styles are shown of each picture."""


def evaluate(
    generators: Mapping[str, nn.Module],
    data: ImageData,
    config: JudgeConfig,
    *,
    device: torch.device,
    teacher: str | None = None,
    keep: Path | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Judgement]:
    """Paint all of ``data`` with every generator; ``{name: what was found}``.

    Paired data: PSNR and SSIM to the truth. With a ``teacher`` among the generators, the others' to its pictures too.
    Distances are to all real targets of the split, or those that the configuration says; where there are none, to the
    teacher's pictures. With a segmenter, ``real`` tells what it reads in the real targets: the most that can be asked for. The
    first few pictures go to ``keep`` as ``000_source.png``, ``000_target.png``, ``000_<name>.png``; a label map in the colours
    of its classes; of generators that read styles in `STYLES` of them, ``000_<name>-style2.png``.
    """
    data, config = _drawing(data, generators, config), config.of(data.task)
    extractor, segmenter = config.extractor(), config.reader(device)
    truths = truths_of(data, config.table, config.table_root) if segmenter is not None else None
    judges = {name: Judge(config, extractor, segmenter) for name in generators}
    reals, paired = Judge(config, extractor, segmenter), has_pairs(data.task)
    painters = {name: frozen(generator).to(device) for name, generator in generators.items()}
    shown = 0
    with (reporter or Reporter()).task("evaluate", len(data)) as tick, torch.inference_mode():
        done = 0
        for batch in eval_batches(data, batch=config.batch):
            given = {name: tensor.to(device) for name, tensor in batch.images.items()}
            pictures = {name: paint(painter, given) for name, painter in painters.items()}
            maps = [truths(done + k) for k in range(len(batch.names))] if truths is not None else []
            for name, picture in pictures.items():
                if paired:
                    judges[name].compare(picture, batch.images["target"])
                if teacher is not None and name != teacher:
                    judges[name].compare(picture, pictures[teacher], "_to_teacher")
                judges[name].look(picture)
                judges[name].read(picture, maps)
            if paired:
                reals.look(batch.images["target"])
                reals.read(batch.images["target"], maps)
            if keep is not None:
                painted = {name: p for name, p in pictures.items() if not isinstance(generators[name], nn.Identity)}
                columns = {role: batch.images[role] for role in _shown(data) if role in batch.images}
                if data.labels is not None:
                    columns["source"] = data.labels.coloured(columns["source"])
                room = config.pictures - shown
                if room > 0 and data.task == "multimodal":
                    painted |= _styles({name: painters[name] for name in painted}, given, room)
                shown += _keep(keep, {**columns, **painted}, shown, room)
            done += len(batch.names)
            tick(done)
    names = truths.names if truths is not None else ()
    stats, whose = None, "teacher" if data.task == "inputs" else "test"
    if extractor is not None:
        stats = _statistics(config, data, extractor, reporter)
        if not paired:
            reals = _reals(data, reals) if data.task != "inputs" else judges[teacher or next(iter(judges))]
    found = {name: judge.judgement(reals, stats, whose=whose, names=names) for name, judge in judges.items()}
    if truths is not None:
        own = Judge(config, None, segmenter)
        own.confusion = reals.confusion
        found["real"] = own.judgement(own, names=names)
    return found


def paint(painter: nn.Module, given: Mapping[str, Tensor]) -> Tensor:
    """Its pictures of a batch, N x C x H x W in [-1, 1], on the CPU.

    Values beyond black and white are clipped, as in any file of a picture; a foreign generator may paint them.
    """
    return painter(*read_from(given, painter)).float().cpu().clamp(-1, 1)  # type: ignore[no-any-return]


def real_moments(
    config: DataConfig, splits: Sequence[Split], extractor: Extractor, *, batch: int = 32, reporter: Reporter | None = None
) -> Moments:
    """Mean and covariance of the features of all source images of these splits, which ``reals`` names."""
    statistics = FeatureStatistics(features=extractor.name)
    for data in (open_data(config, "inputs", split) for split in splits):
        with (reporter or Reporter()).task("statistics", len(data)) as tick:
            done = 0
            for images in eval_batches(data, batch=batch):
                statistics.update(extractor(images.images["source"]))
                done += len(images.names)
                tick(done)
    return dataclasses.replace(statistics.moments(), reals="+".join(splits))


def side_data(data: ImageData, *, task: Pairing = "inputs", split: Split | None = None) -> ImageData:
    """The target side of ``data`` as images of their own."""
    direction: Direction = "BtoA" if data.config.direction == "AtoB" else "AtoB"
    return open_data(dataclasses.replace(data.config, direction=direction), task, split or data.split)


def _drawing(data: ImageData, generators: Mapping[str, nn.Module], config: JudgeConfig) -> ImageData:
    """The images with all numbers that the generators read; what is painted from numbers alone is painted so often as asked."""
    drawn = {name: length for generator in generators.values() for name, length in drawn_by(generator).items()}
    alone = data.task == "unconditional"
    return data.drawing(drawn, count=config.generated or len(data.names)) if alone else data.drawing(drawn)


def _shown(data: ImageData) -> tuple[str, ...]:
    """The columns of a batch that are pictures people want to see beside those that were painted."""
    if data.task == "unconditional":
        return ()
    return ("source", "target") if has_pairs(data.task) else ("source",)


def _styles(painters: Mapping[str, nn.Module], given: Mapping[str, Tensor], room: int) -> dict[str, Tensor]:
    """The first few images in further styles, each of them the same for all."""
    found: dict[str, Tensor] = {}
    for number in range(2, STYLES + 1):
        first = {name: tensor[:room] for name, tensor in given.items()}
        style = first["style"]
        first["style"] = numbers_of(number, style.shape[1]).to(style).expand_as(style)
        found |= {f"{name}-style{number}": paint(painter, first) for name, painter in painters.items()}
    return found


def _reals(data: ImageData, judge: Judge) -> Judge:
    for batch in eval_batches(side_data(data), batch=judge.config.batch):
        judge.look(batch.images["source"])
    return judge


def _statistics(config: JudgeConfig, data: ImageData, extractor: Extractor, reporter: Reporter | None) -> Moments | None:
    """Of the real pictures, where they are not just those of the test images."""
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
            save_picture(folder / f"{first + index:03d}_{role}.png", images[index])
    return count
