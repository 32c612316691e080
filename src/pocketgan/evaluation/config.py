"""How generators are evaluated, and whether that can be done."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from pocketgan.core.tasks import TaskName
from pocketgan.data.config import DataConfig
from pocketgan.data.images import open_data
from pocketgan.evaluation.label_targets import check_label_targets
from pocketgan.export import RUNTIMES
from pocketgan.metrics.features import STANDARD, Extractor
from pocketgan.metrics.segmentation import Segmenter
from pocketgan.metrics.statistics import Moments
from pocketgan.pretrained.extractors import is_inception, make_extractor, published_statistics
from pocketgan.pretrained.segmenters import make_segmenter
from pocketgan.utils.errors import unknown

METRICS = ("psnr", "ssim", "frechet", "kernel", "precision", "recall", "miou", "accuracy")
"""What ``--metrics`` may name; frechet, kernel, precision and recall need an extractor, the last two a segmenter."""

SAMPLED = ("kernel", "precision", "recall")
"""Those that need the features of the real images themselves, where frechet needs no more than their moments."""

INCEPTIONS = {"fid": "frechet", "kid": "kernel"}
"""Names of these two where they must be those of the standard Inception features."""

_DISTANCES, _READINGS = METRICS[2:6], METRICS[6:]
_ON_REQUEST = ("precision", "recall")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How generators are evaluated."""

    metrics: tuple[str, ...] | None = None
    """Which of psnr, ssim (to the target where there is one, and to the teacher), frechet, kernel (or fid and kid, which are
    these two and refuse other features than Inception's), precision, recall, miou, accuracy; None is all that data, features
    and segmenter allow, without precision and recall."""
    features: str | None = None
    """What frechet, kernel, precision and recall are measured on: ``inception``, ``inception:clean``, ``inception:legacy``, the
    same with ``:FILE`` for weights of one's own, or an ONNX file."""
    reals: Literal["test", "train+test"] = "test"
    """The real images that frechet compares with; published unpaired FIDs are to ``train+test``. Others': the test's."""
    stats: str | None = None
    """Statistics of the real images (``pocketgan stats``, or a published ``.npz``) for frechet, instead of computing them
    from the data. With ``inception:legacy`` a published file beside the data is found by itself (``extractors.py``)."""
    segmenter: str | None = None
    """What reads images back as label maps, for miou and accuracy: ``drn-d-105`` (Cityscapes) or ``deeplabv2`` (COCO-Stuff),
    with ``:FILE`` for the weights, or an ONNX file, RGB in [0, 1] to the scores of as many classes as the maps have."""
    table: str | None = None
    """Which label map each image of pix2pix's Cityscapes is compared with: the table file of the published preparation."""
    table_root: str | None = None
    """The folder of the whole of Cityscapes, below which the paths in ``table`` lie."""
    generated: int | None = None
    """Of generators that generate from numbers alone: how many images they are evaluated by; None is as many as there are real
    test images. Features of any number take constant memory."""
    batch: int = 8
    """Images generated at a time; no figure depends on it."""
    images: int = 8
    """How many examples are kept as files."""
    runtimes: tuple[str, ...] = ("torch", "onnxruntime")
    """Engines whose latency is measured, one image at a time."""
    threads: int = 1
    """Threads of every engine."""
    repeats: int = 30
    """Rounds of the latency measurement; each runs every candidate once."""

    def __post_init__(self) -> None:
        if self.generated is not None and self.generated < 2:
            raise ValueError(f"generated={self.generated}: the least that a distance can be measured on is 2")
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
            if name in _READINGS and self.segmenter is None:
                raise ValueError(f"{name} is measured by a segmenter: give --segmenter drn-d-105, deeplabv2 or an ONNX file")
        if (self.table is None) != (self.table_root is None) or (self.table and not self.segmenter):
            raise ValueError(f"table={self.table}, table_root={self.table_root}: a segmenter needs both, or none of them")
        if self.stats is not None and self.features is None:
            raise ValueError(f"stats={self.stats} has no effect without features: give those that it was made with")
        if self.stats is not None and self.reals != "test":
            raise ValueError(f"reals={self.reals} has no effect with stats={self.stats}: leave one of them out")

    def of(self, task: TaskName) -> EvaluationConfig:
        """The same for a task: sets of images that are generated from numbers are told by precision and recall, too."""
        alone = task == "unconditional" and self.metrics is None
        return dataclasses.replace(self, metrics=METRICS[:6] if self.features else METRICS[:2]) if alone else self

    def wants(self, metric: str) -> bool:
        """Whether ``metric`` shall be measured, where it can be."""
        if self.metrics is None:
            return metric not in _ON_REQUEST
        return metric in {*self.metrics, *(INCEPTIONS.get(name) for name in self.metrics)}

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
        """The file that frechet takes the real images of ``data`` from; None where they are looked at themselves."""
        if self.stats is not None:
            return Path(self.stats)
        if extractor is None or extractor.name != "legacy" or self.reals != "test" or not self.wants("frechet"):
            return None
        return published_statistics(Path(data.path), "B" if data.direction == "AtoB" else "A")

    def reader(self, device: torch.device) -> Segmenter | None:
        """What reads images back; None where it is not wanted. Raises ``ValueError`` where it cannot be had."""
        if self.segmenter is None or not any(map(self.wants, _READINGS)):
            return None
        return make_segmenter(self.segmenter, device=device)

    def check(self, data: DataConfig, task: TaskName) -> tuple[str, ...]:
        """Open what will be needed; what there is to say of it.

        Raises ``ValueError`` or ``OSError`` now, and not after hours of training.
        """
        for runtime in self.runtimes:
            RUNTIMES[runtime]
        if self.reals != "test" and task == "inputs":
            raise ValueError(f"reals={self.reals}: inputs alone have no real targets; leave it out, or give stats")
        if (segmenter := self.reader(torch.device("cpu"))) is not None:
            check_label_targets(open_data(data, task, "test"), self.table, self.table_root, segmenter)
        extractor = self.extractor()
        file = self.statistics_file(data, extractor)
        if extractor is None or file is None:
            return ()
        Moments.load(file, features=extractor.name)
        return () if self.stats else (f"FID: the real images are those of {file}, which was found with the data",)
