"""How good a candidate is on held-out images: near to the teacher's images, or to real ones on features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pocketgan.core.inputs import ModelInputs, as_tuple
from pocketgan.metrics.features import Extractor
from pocketgan.metrics.frechet import frechet_distance
from pocketgan.metrics.kernel import kernel_distance
from pocketgan.metrics.segmentation import Confusion, Segmenter
from pocketgan.metrics.statistics import F64, Moments
from pocketgan.pruning.calibrate import calibrate_, has_statistics
from pocketgan.pruning.elastic import Elastic
from pocketgan.search.scoring import NONE, ByImages

Fit = Literal["teacher", "frechet", "kernel", "miou"]
"""``teacher``: mean absolute difference to the teacher's images, which needs no extractor and has little noise; ``miou``:
what a segmenter misreads in the images of label maps."""

GenerateBatches = Callable[[Mapping[str, int], range], Iterator[tuple[slice, Tensor]]]
"""Where a network's images of some sources belong, and the images, in parts."""

GENERATED, PIXELS = 8, 1 << 17
"""Images generated at a time, at most, and on a CPU their pixels: more of them leave its cache."""
CALIBRATED = 16
"""Images that set a candidate's running statistics, the same ones on every rung."""


@dataclass(frozen=True)
class HeldOut:
    """A part of the training images that no weight has been fitted to; N x C x H x W in [-1, 1] each."""

    sources: ModelInputs
    """What a generator reads of them."""
    teacher_images: Tensor
    """The teacher's images of them."""
    reals: Tensor | None = None
    """Their real targets, where there are any."""
    extractor: Extractor | None = None
    segmenter: Segmenter | None = None
    target: Callable[[int], NDArray[np.int64]] | None = None
    """With a segmenter: the label map of a source, H x W at its own size, -1 where it is not evaluated; read when asked for."""


def make_fitness(model: Elastic, held_out: HeldOut, kind: Fit, device: torch.device) -> ByImages:
    """The distance of a network of some widths, with the shared weights as they are; lower is better.

    The images of the teacher and the features of the real ones are made once. Nothing is built for a network without
    running statistics; one with them is cut out and recalibrated on the first `CALIBRATED` images. Raises ``ValueError`` for a
    distance on features that has no extractor.
    """
    generator = BatchGenerator(model, tuple(tensor.to(device) for tensor in as_tuple(held_out.sources)))
    if kind == "teacher":
        return TeacherL1Fitness(generator, held_out.teacher_images.to(device))
    if kind == "miou":
        if held_out.segmenter is None or held_out.target is None:
            raise ValueError("fitness=miou is measured by a segmenter: give evaluation.segmenter, or take fitness=teacher")
        return MIoUFitness(generator, held_out.segmenter, held_out.target, len(held_out.teacher_images))
    if held_out.extractor is None:
        raise ValueError(f"fitness={kind} is measured on features: give an ONNX file with --features, or take fitness=teacher")
    return FeatureDistanceFitness(
        generator, held_out.extractor, held_out.teacher_images if held_out.reals is None else held_out.reals, kind
    )


class BatchGenerator:
    """Generates the sources with the shared weights at any widths, a few at a time."""

    def __init__(self, model: Elastic, sources: ModelInputs):
        self.model, self.sources = model, as_tuple(sources)
        first = self.sources[0]
        fitting = PIXELS // prod(first.shape[2:]) if first.device.type == "cpu" else GENERATED
        self.batch = max(1, min(GENERATED, fitting))

    def __call__(self, widths: Mapping[str, int], images: range) -> Iterator[tuple[slice, Tensor]]:
        """As `Generate`."""
        self.model.resize_(widths)
        network: nn.Module = self.model.eval()
        if has_statistics(self.model.model):
            network = self.model.extract().eval()
            starts = range(0, min(CALIBRATED, len(self.sources[0])), self.batch)
            calibrate_(network, (self._part(slice(k, min(k + self.batch, CALIBRATED))) for k in starts))
        for start in range(images.start, images.stop, self.batch):
            part = slice(start, min(start + self.batch, images.stop))
            with torch.inference_mode():
                yield part, network(*self._part(part)).clamp(-1, 1)

    def _part(self, part: slice) -> tuple[Tensor, ...]:
        return tuple(tensor[part] for tensor in self.sources)


class TeacherL1Fitness:
    """Mean absolute difference to the teacher's images; a row holds that of one image."""

    least = 1

    def __init__(self, generator: GenerateBatches, teacher_images: Tensor):
        self.generator, self.teacher_images = generator, teacher_images

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.teacher_images)

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """The difference of every image."""
        parts = [
            (image.float() - self.teacher_images[place]).abs().mean((1, 2, 3), dtype=torch.float64)
            for place, image in self.generator(widths, images)
        ]
        return torch.cat(parts)[:, None].cpu().numpy()

    def score(self, rows: F64, without: range = NONE) -> float:
        """Their mean; no real image has a part in it."""
        return float(rows.mean())


class MIoUFitness:
    """One minus the mean IoU of what a segmenter reads in the images; a row holds the confusion matrix of one image."""

    least = 1

    def __init__(
        self, generator: GenerateBatches, segmenter: Segmenter, target: Callable[[int], NDArray[np.int64]], images: int
    ):
        self.generator, self.segmenter, self.target, self.images = generator, segmenter, target, images

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """The pixels of every image, counted by true and by read class."""
        rows = []
        for place, generated in self.generator(widths, images):
            for index, image in zip(range(place.start, place.stop), generated.float().cpu(), strict=True):
                one, target = Confusion(self.segmenter.classes), self.target(index)
                height, width = target.shape
                one.update(self.segmenter(image[None], (height, width)), torch.from_numpy(target)[None])
                rows.append(one.counts.flatten().double().numpy())
        return np.stack(rows)

    def score(self, rows: F64, without: range = NONE) -> float:
        """Over the pixels of all images together, as it is published; no real image has a part in it."""
        joined = Confusion(self.segmenter.classes)
        joined.counts = torch.from_numpy(rows.sum(0)).long().view_as(joined.counts)
        return 1.0 - (joined.miou_of_present() if self.segmenter.of_present else joined.miou())


class FeatureDistanceFitness:
    """A distance between the features of the images and of all the real ones; a row holds those of one image."""

    def __init__(self, generator: GenerateBatches, extractor: Extractor, reals: Tensor, kind: Literal["frechet", "kernel"]):
        self.generator, self.extractor, self.kind = generator, extractor, kind
        self.least = 2 if kind == "frechet" else 3
        self.reals = np.concatenate([extractor(part) for part in torch.split(reals, GENERATED)])
        self._moments = cache(lambda without: Moments.of(self._without(without), features=extractor.name))

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.reals)

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """The features of every image."""
        return np.concatenate([self.extractor(image.cpu()) for _, image in self.generator(widths, images)])

    def score(self, rows: F64, without: range = NONE) -> float:
        """The distance."""
        if self.kind == "kernel":
            return kernel_distance(rows, self._without(without)).value
        return frechet_distance(Moments.of(rows, features=self.extractor.name), self._moments(without))

    def _without(self, images: range) -> F64:
        return np.delete(self.reals, images, axis=0)
