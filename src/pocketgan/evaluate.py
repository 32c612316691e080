"""Measuring generators on data: how good their pictures are, and how quickly they paint them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pocketgan.core.errors import unknown
from pocketgan.core.progress import Reporter
from pocketgan.core.shape import Shape, Size, plain
from pocketgan.data.config import DataConfig, Direction, Pairing, Split, has_pairs
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.loader import eval_batches
from pocketgan.export import RUNTIMES, frozen
from pocketgan.extractors import is_inception, make_extractor, published_statistics
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.features import STANDARD, Extractor, distance_name
from pocketgan.metrics.frechet import frechet_distance
from pocketgan.metrics.image import RunningMean, psnr, ssim
from pocketgan.metrics.kernel import FeatureSample, kernel_distance
from pocketgan.metrics.latency import measure_latency
from pocketgan.metrics.statistics import FeatureStatistics, Moments
from pocketgan.train.samples import save_picture

METRICS = ("psnr", "ssim", "frechet", "kernel")
"""What ``--metrics`` may name; the last two need an extractor."""

INCEPTIONS = {"fid": "frechet", "kid": "kernel"}
"""Names of these two where they must be those of the standard Inception features."""

_DISTANCES = METRICS[2:]


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """How generators are judged."""

    metrics: tuple[str, ...] | None = None
    """Which of psnr, ssim (to the truth where there is one, and to the teacher), frechet, kernel, or fid and kid, which are
    the last two and refuse other features than Inception's; None is all that the data and the features allow."""
    features: str | None = None
    """What frechet and kernel are measured on: ``inception``, ``inception:clean``, ``inception:legacy``, the same with
    ``:FILE`` for weights of one's own, or an ONNX file."""
    reals: Literal["test", "train+test"] = "test"
    """The real pictures that frechet compares with; published unpaired FIDs are to ``train+test``. Kernel's are the test's."""
    stats: str | None = None
    """Statistics of the real pictures (``pocketgan stats``, or a published ``.npz``) for frechet, instead of computing them
    from the data. With ``inception:legacy`` a published file beside the data is found by itself (``extractors.py``)."""
    batch: int = 8
    """Pictures painted at a time; no figure depends on it."""
    pictures: int = 8
    """How many examples are kept as files."""
    runtimes: tuple[str, ...] = ("torch", "onnxruntime")
    """Engines whose latency is measured, one image at a time."""
    threads: int = 1
    """Threads of every engine."""
    repeats: int = 30
    """Rounds of the latency measurement; each runs every candidate once."""

    def __post_init__(self) -> None:
        for name in self.metrics or ():
            if name not in (*METRICS, *INCEPTIONS):
                raise unknown("metric", name, (*METRICS, *INCEPTIONS))
            if name in (*_DISTANCES, *INCEPTIONS) and self.features is None:
                raise ValueError(f"{name} is measured on features: give --features inception or an ONNX file, or leave it out")
            if name in INCEPTIONS and not is_inception(self.features or ""):
                raise ValueError(
                    f"{name} is measured on Inception's features only, found features={self.features}: give --features "
                    f"inception, or ask for {INCEPTIONS[name]}"
                )
        if self.stats is not None and self.features is None:
            raise ValueError(f"stats={self.stats} has no effect without features: give those that it was made with")
        if self.stats is not None and self.reals != "test":
            raise ValueError(f"reals={self.reals} has no effect with stats={self.stats}: leave one of them out")

    def wants(self, metric: str) -> bool:
        """Whether ``metric`` shall be measured, where it can be."""
        return self.metrics is None or metric in {*self.metrics, *(INCEPTIONS.get(name) for name in self.metrics)}

    def extractor(self) -> Extractor | None:
        """What the distances are measured on; None where none is wanted. Raises ``ValueError`` where it cannot be had."""
        if self.features is None or not any(map(self.wants, _DISTANCES)):
            return None
        extractor = make_extractor(self.features)
        asked = [name for name in INCEPTIONS if name in (self.metrics or ())]
        if asked and extractor.name not in STANDARD:
            raise ValueError(
                f"{self.features} holds other weights than the published ones, so no number on it is {asked[0]}: "
                f"ask for {INCEPTIONS[asked[0]]}"
            )
        return extractor

    def statistics_file(self, data: DataConfig, extractor: Extractor | None) -> Path | None:
        """The file that frechet takes the real pictures of ``data`` from; None where they are looked at themselves."""
        if self.stats is not None:
            return Path(self.stats)
        if extractor is None or extractor.name != "legacy" or self.reals != "test" or not self.wants("frechet"):
            return None
        return published_statistics(Path(data.path), "B" if data.direction == "AtoB" else "A")

    def check(self, data: DataConfig, task: Pairing) -> tuple[str, ...]:
        """Open what will be needed; what there is to say of it.

        Raises ``ValueError`` or ``OSError`` now, and not after hours of training.
        """
        for runtime in self.runtimes:
            RUNTIMES[runtime]
        if self.reals != "test" and task == "inputs":
            raise ValueError(f"reals={self.reals}: inputs alone have no real targets; leave it out, or give stats")
        extractor = self.extractor()
        file = self.statistics_file(data, extractor)
        if extractor is None or file is None:
            return ()
        Moments.load(file, features=extractor.name)
        return () if self.stats else (f"FID: the real pictures are those of {file}, which was found with the data",)


@dataclass
class Result:
    """The measured facts of one artifact; one JSON object."""

    params: int
    macs: int
    macs_paper: int
    size: Size
    """Side of the square input that the counts and latencies hold for; height and width of one that is not square."""
    bytes: int = 0
    latency_ms: dict[str, dict[str, float | int]] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    """Standard error of those figures of ``quality`` that have one."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return dataclasses.asdict(self)


def cost_result(model: nn.Module, shape: Shape) -> Result:
    """The facts that need no data: the costs for images of that height and width."""
    cost = CostModel(model, shape)()
    return Result(params=cost.params, macs=cost.macs, macs_paper=cost.macs_paper, size=plain(shape))


class Judge:
    """What is known of one generator's pictures so far."""

    def __init__(self, config: JudgeConfig, extractor: Extractor | None):
        self.config, self.extractor = config, extractor
        self.means: dict[str, RunningMean] = {}
        self.statistics, self.sample = FeatureStatistics(), FeatureSample()

    def compare(self, picture: Tensor, other: Tensor, suffix: str = "") -> None:
        """Add the pictures' likeness to ``other``."""
        for name, measure in (("psnr", psnr), ("ssim", ssim)):
            if self.config.wants(name):
                self.means.setdefault(name + suffix, RunningMean()).update(measure(picture, other))

    def look(self, picture: Tensor) -> None:
        """Add the pictures' features."""
        if self.extractor is not None:
            rows = self.extractor(picture)
            self.statistics.update(rows)
            self.sample.update(rows)

    def quality(
        self, reals: Judge, stats: Moments | None = None, *, whose: str = "test"
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Every figure, and the standard error of those that have one. ``whose``: the pictures that ``reals`` saw."""
        values = {name: mean.mean for name, mean in self.means.items()}
        errors = {name: mean.std / mean.count**0.5 for name, mean in self.means.items() if mean.count > 1}
        if self.extractor is None:
            return values, errors
        if self.config.wants("frechet"):
            name = distance_name("frechet", self.extractor, whose if stats is None else stats.reals or "real_stat")
            values[name] = frechet_distance(self.statistics.moments(), stats or reals.statistics.moments())
        if self.config.wants("kernel"):
            name = distance_name("kernel", self.extractor, whose)
            distance = kernel_distance(self.sample.rows(), reals.sample.rows())
            values[name], errors[name] = distance.value, distance.spread
        return values, errors


def evaluate(
    generators: Mapping[str, nn.Module],
    data: ImageData,
    config: JudgeConfig,
    *,
    device: torch.device,
    teacher: str | None = None,
    keep: Path | None = None,
    reporter: Reporter | None = None,
) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Paint all of ``data`` with every generator; ``{name: (quality, standard errors)}``.

    Paired data: PSNR and SSIM to the truth. With a ``teacher`` among the generators, the others' to its pictures too.
    Distances are to all real targets of the split, or those that the configuration says; where there are none, to the
    teacher's pictures. The first few pictures go to ``keep`` as ``000_source.png``, ``000_target.png``, ``000_<name>.png``.
    """
    extractor = config.extractor()
    judges = {name: Judge(config, extractor) for name in generators}
    reals, paired = Judge(config, extractor), has_pairs(data.task)
    painters = {name: frozen(generator).to(device) for name, generator in generators.items()}
    shown = 0
    with (reporter or Reporter()).task("evaluate", len(data)) as tick, torch.inference_mode():
        done = 0
        for batch in eval_batches(data, batch=config.batch):
            pictures = {name: painter(batch.images["source"].to(device)).float().cpu() for name, painter in painters.items()}
            for name, picture in pictures.items():
                if paired:
                    judges[name].compare(picture, batch.images["target"])
                if teacher is not None and name != teacher:
                    judges[name].compare(picture, pictures[teacher], "_to_teacher")
                judges[name].look(picture)
            if paired:
                reals.look(batch.images["target"])
            if keep is not None:
                painted = {name: p for name, p in pictures.items() if not isinstance(generators[name], nn.Identity)}
                columns = {str(role): images for role, images in batch.images.items() if role == "source" or paired}
                if data.labels is not None:
                    columns["source"] = data.labels.coloured(columns["source"])
                shown += _keep(keep, {**columns, **painted}, shown, config.pictures - shown)
            done += len(batch.names)
            tick(done)
    if extractor is None:
        return {name: judge.quality(reals) for name, judge in judges.items()}
    if not paired:
        reals = _reals(data, reals) if data.task == "unpaired" else judges[teacher or next(iter(judges))]
    stats, whose = _statistics(config, data, extractor, reporter), "teacher" if data.task == "inputs" else "test"
    return {name: judge.quality(reals, stats, whose=whose) for name, judge in judges.items()}


def latencies(
    generators: Mapping[str, nn.Module], shape: Shape, config: JudgeConfig, *, batch: int = 1
) -> dict[str, dict[str, Any]]:
    """``{name: {runtime: milliseconds}}`` for ``batch`` images, all candidates interleaved in one run on the CPU."""
    runs = {}
    for name, generator in generators.items():
        model = frozen(generator).to("cpu")
        image = torch.rand(batch, int(model.in_channels), *shape) * 2 - 1  # type: ignore[arg-type]
        for runtime in config.runtimes:
            runs[name, runtime] = RUNTIMES[runtime](model, image, threads=config.threads)
    measured = measure_latency(
        {"/".join(key): run for key, run in runs.items()}, repeats=config.repeats, threads=config.threads, batch=batch
    )
    found: dict[str, dict[str, Any]] = {name: {} for name in generators}
    for name, runtime in runs:
        found[name][runtime] = measured[f"{name}/{runtime}"].to_json()
    return found


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
