"""Configuration of an evaluation, and its checks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.config import DataConfig
from pocketgan.data.files import folder_of
from pocketgan.data.images import open_data
from pocketgan.deploy import RUNTIMES
from pocketgan.evaluation.label_targets import check_label_targets
from pocketgan.metrics.features import STANDARD, Extractor
from pocketgan.metrics.registry import METRICS, STANDARD_NAMES, Need
from pocketgan.metrics.segmentation import Segmenter
from pocketgan.metrics.statistics import Moments
from pocketgan.pretrained.extractors import is_inception, make_extractor, published_statistics
from pocketgan.pretrained.segmenters import make_segmenter
from pocketgan.utils.registry import check_at_least, unknown

MAX_THREADS = 1024
"""Threads of a runtime: more than any processor has."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Metrics of an evaluation, and the features, references and runtimes that they are measured with."""

    metrics: tuple[str, ...] | None = None
    """Any of psnr, ssim (to the target where there is one, and to the teacher), frechet, kernel (or fid and kid, which are
    these two and refuse other features than Inception's), precision, recall, miou, accuracy; None is all that data, features
    and segmenter allow, without precision and recall."""
    features: str | None = None
    """Features of frechet, kernel, precision and recall: ``inception``, ``inception:clean``, ``inception:legacy``, the same
    with ``:FILE`` for other weights, or an ONNX file."""
    reals: Literal["test", "train+test"] = "test"
    """Real images of frechet: published unpaired FIDs are to ``train+test``. All other metrics compare with ``test``."""
    stats: str | None = None
    """Statistics of the real images (``pocketgan stats``, or a published ``.npz``) for frechet, instead of computing them
    from the data. With ``inception:legacy`` a published file beside the data is found automatically (``extractors.py``)."""
    segmenter: str | None = None
    """Segmentation network of miou and accuracy: ``drn-d-105`` (Cityscapes) or ``deeplabv2`` (COCO-Stuff), with ``:FILE`` for
    the weights, or an ONNX file, RGB in [0, 1] to the scores of as many classes as the maps have."""
    table: str | None = None
    """Table file of the published preparation: the label map of each image of pix2pix's Cityscapes."""
    table_root: str | None = None
    """Folder of the original Cityscapes, root of the paths in ``table``."""
    generated: int | None = None
    """Number of images of unconditional generators; None is the number of real test images. Memory does not grow with it."""
    batch: int = 8
    """Images generated at a time; no metric depends on it."""
    images: int = 8
    """Number of examples that are saved as files."""
    runtimes: tuple[str, ...] = ("torch", "onnxruntime")
    """Runtimes whose latency is measured, one image at a time."""
    threads: int = 1
    """Threads of every runtime."""
    repeats: int = 30
    """Rounds of the latency measurement; each runs every candidate once."""

    def __post_init__(self) -> None:
        check_at_least(self, generated=2, threads=1)
        if self.threads > MAX_THREADS:
            raise ValueError(f"threads={self.threads}: the most is {MAX_THREADS}")
        for name in self.metrics or ():
            if name not in (*METRICS, *STANDARD_NAMES):
                raise unknown("metric", name, (*METRICS, *STANDARD_NAMES))
            needs = METRICS[STANDARD_NAMES.get(name, name)].needs
            if needs in ("moments", "features") and self.features is None:
                raise ValueError(f"{name} is measured on features: give --features inception or an ONNX file, or leave it out")
            if name in STANDARD_NAMES and not is_inception(self.features or ""):
                raise ValueError(
                    f"{name} is measured on Inception's features only, found features={self.features}: give --features "
                    f"inception, or ask for {STANDARD_NAMES[name]}"
                )
            if needs == "segmenter" and self.segmenter is None:
                raise ValueError(f"{name} is measured by a segmenter: give --segmenter drn-d-105, deeplabv2 or an ONNX file")
        if (self.table is None) != (self.table_root is None) or (self.table and not self.segmenter):
            raise ValueError(f"table={self.table}, table_root={self.table_root}: a segmenter needs both, or none of them")
        if self.stats is not None and self.features is None:
            raise ValueError(f"stats={self.stats} has no effect without features: give those that it was made with")
        if self.stats is not None and self.reals != "test":
            raise ValueError(f"reals={self.reals} has no effect with stats={self.stats}: leave one of them out")

    def of(self, task: TaskName) -> EvaluationConfig:
        """Configuration for a task: of unconditional generators, precision and recall are measured by default, too."""
        if not traits_of(task).reads_latents or self.metrics is not None:
            return self
        allowed = ("pairs", "moments", "features") if self.features else ("pairs",)
        return dataclasses.replace(self, metrics=tuple(name for name, metric in METRICS.items() if metric.needs in allowed))

    def wants(self, metric: str) -> bool:
        """True if ``metric`` is measured where it can be."""
        if self.metrics is None:
            return METRICS[metric].by_default
        return metric in {STANDARD_NAMES.get(name, name) for name in self.metrics}

    def wants_any(self, *needs: Need) -> bool:
        """True if a metric with one of those needs is measured."""
        return any(metric.needs in needs and self.wants(name) for name, metric in METRICS.items())

    def extractor(self) -> Extractor | None:
        """Make the feature extractor; None where no distance is measured. Raises ``ValueError`` for missing weights."""
        if self.features is None or not self.wants_any("moments", "features"):
            return None
        extractor = make_extractor(self.features)
        standard = [name for name in STANDARD_NAMES if name in (self.metrics or ())]
        if standard and extractor.name not in STANDARD:
            raise ValueError(
                f"{self.features} holds other weights than the published ones, so no number on it is {standard[0]}: "
                f"ask for {STANDARD_NAMES[standard[0]]}"
            )
        return extractor

    def statistics_file(self, data: DataConfig, extractor: Extractor | None) -> Path | None:
        """File with the moments of the real images of ``data``; None where they are computed from the images."""
        if self.stats is not None:
            return Path(self.stats)
        if extractor is None or extractor.name != "legacy" or self.reals != "test" or not self.wants("frechet"):
            return None
        return published_statistics(folder_of(data.path), "B" if data.direction == "AtoB" else "A")

    def open_segmenter(self, device: torch.device) -> Segmenter | None:
        """Make the segmenter; None where no metric needs it. Raises ``ValueError`` for missing weights."""
        if self.segmenter is None or not self.wants_any("segmenter"):
            return None
        return make_segmenter(self.segmenter, device=device)

    def check(self, data: DataConfig, task: TaskName) -> tuple[str, ...]:
        """Open all files that the evaluation will need; return messages about them.

        Raises ``ValueError`` or ``OSError`` before hours of training.
        """
        for runtime in self.runtimes:
            RUNTIMES[runtime]
        if self.reals != "test" and not traits_of(task).has_targets:
            raise ValueError(f"reals={self.reals}: inputs alone have no real targets; leave it out, or give stats")
        if (segmenter := self.open_segmenter(torch.device("cpu"))) is not None:
            check_label_targets(open_data(data, task, "test"), self.table, self.table_root, segmenter)
        extractor = self.extractor()
        file = self.statistics_file(data, extractor)
        if extractor is None or file is None:
            return ()
        Moments.load(file, features=extractor.name)
        return () if self.stats else (f"FID: the real images are those of {file}, which was found with the data",)
