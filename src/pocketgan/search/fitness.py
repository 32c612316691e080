"""Fitness of candidates on held-out images: distance to the teacher's images, to real images on features, or mIoU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pocketgan.core.inputs import ModelInputs, as_tuple
from pocketgan.metrics.distances import frechet_distance, kernel_distance
from pocketgan.metrics.features import Extractor
from pocketgan.metrics.segmentation import Confusion, Segmenter
from pocketgan.metrics.statistics import F64, Moments
from pocketgan.pruning.calibrate import calibrate_, has_statistics
from pocketgan.pruning.elastic import Elastic

FitnessKind = Literal["teacher", "frechet", "kernel", "miou"]
"""``teacher``: mean absolute difference to the teacher's images, without an extractor and with little noise; ``miou``: errors
of a segmenter on the images of label maps."""

Score = Callable[[Mapping[str, int]], float]
"""``{group: width}`` -> score of that network."""

GenerateBatches = Callable[[Mapping[str, int], range], Iterator[tuple[slice, Tensor]]]
"""Batches of generated images of a network: indices and images."""

MAX_BATCH, MAX_PIXELS = 8, 1 << 17
"""Images generated at a time, at most, and their pixels on a CPU: more do not fit into its cache."""
CALIBRATION_IMAGES = 16
"""Images that set the running statistics of a candidate, the same ones on every rung."""
MAX_CACHED_ROWS = 1 << 16
"""Rows that are kept for the next rung, at most: half a gigabyte of a thousand features. Others are computed again."""

NO_IMAGES = range(0)


@runtime_checkable
class ImageFitness(Protocol):
    """Fitness computed from rows, one per image: a part of the images gives an estimate, more of them a better one."""

    images: int
    """Number of images."""
    least: int
    """Smallest number of images that gives a score."""

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """Rows of these images for a network, N x D: a score, or features."""

    def score(self, rows: F64, without: range = NO_IMAGES) -> float:
        """Score of the rows of some images. The real images ``without`` are left out, too."""


def score_all_images(fitness: ImageFitness, widths: Mapping[str, int]) -> float:
    """Score of a network on all images."""
    return fitness.score(fitness.rows(widths, range(fitness.images)))


class ScalarFitness:
    """`Score` as an `ImageFitness` with a single image."""

    images = least = 1

    def __init__(self, score: Score):
        self._score = score

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        """N x 1 scores, all the same."""
        return np.full((len(images), 1), self._score(widths), np.float64)

    def score(self, rows: F64, without: range = NO_IMAGES) -> float:
        """Score in the first row."""
        return float(rows[0, 0])


class CandidateScorer:
    """Scores candidates on a rising number of images; a candidate is run once on each."""

    def __init__(self, fitness: ImageFitness, against: Sequence[Score], rungs: tuple[int, ...]):
        self.fitness, self.against, self.rungs = fitness, against, rungs
        self._parts = [range(start, stop) for start, stop in pairwise((0, *rungs))]
        self._rows: dict[int, list[F64]] = {}

    def __contains__(self, number: int) -> bool:
        """True if rows of that candidate are cached."""
        return number in self._rows

    def forget_others(self, numbers: Sequence[int]) -> None:
        """Drop the cached rows of all other candidates."""
        self._rows = {number: rows for number, rows in self._rows.items() if number in numbers}

    def __call__(self, number: int, widths: Mapping[str, int], rung: int, before: Sequence[float] | None) -> list[float]:
        """All scores of a candidate on the images up to a rung; NaN becomes the worst score.

        ``before`` are its scores on the first rung: all but the first one use no images and are kept.
        """
        rows = self._rows.pop(number, [])
        rows += [self.fitness.rows(widths, images) for images in self._parts[len(rows) : rung + 1]]
        if rung < len(self.rungs) - 1 and (len(self._rows) + 1) * self.rungs[rung] <= MAX_CACHED_ROWS:
            self._rows[number] = rows
        others = before[1:] if before is not None else [float(score(widths)) for score in self.against]
        scores = [self.fitness.score(np.concatenate(rows)), *others]
        return [math.inf if math.isnan(score) else score for score in scores]


@dataclass(frozen=True)
class HoldoutImages:
    """Training images on which no weight was trained; images N x C x H x W in [-1, 1]."""

    inputs: ModelInputs
    """Inputs of the generator."""
    teacher_images: Tensor
    """Images of the teacher for these inputs."""
    real_images: Tensor | None = None
    """Real targets, where there are any."""
    extractor: Extractor | None = None
    segmenter: Segmenter | None = None
    target: Callable[[int], NDArray[np.int64]] | None = None
    """With a segmenter: label map of an image by index, H x W at its original size, -1 for ignored pixels; read on demand."""


def make_fitness(model: Elastic, holdout: HoldoutImages, kind: FitnessKind, device: torch.device) -> ImageFitness:
    """Fitness of a network of given widths with the shared weights; lower is better.

    Networks without running statistics run through the shared weights; others are extracted and recalibrated on the first
    `CALIBRATION_IMAGES` images. Raises ``ValueError`` if the extractor or segmenter is missing.
    """
    generator = BatchGenerator(model, tuple(tensor.to(device) for tensor in as_tuple(holdout.inputs)))
    if kind == "teacher":
        return TeacherL1Fitness(generator, holdout.teacher_images.to(device))
    if kind == "miou":
        if holdout.segmenter is None or holdout.target is None:
            raise ValueError("fitness=miou is measured by a segmenter: give evaluation.segmenter, or take fitness=teacher")
        return MIoUFitness(generator, holdout.segmenter, holdout.target, len(holdout.teacher_images))
    if holdout.extractor is None:
        raise ValueError(f"fitness={kind} is measured on features: give an ONNX file with --features, or take fitness=teacher")
    reference = holdout.teacher_images if holdout.real_images is None else holdout.real_images
    return FeatureDistanceFitness(generator, holdout.extractor, reference, kind)


class BatchGenerator:
    """Generates images of the inputs with the shared weights at any widths, a few at a time."""

    def __init__(self, model: Elastic, inputs: ModelInputs):
        self.model, self.inputs = model, as_tuple(inputs)
        first = self.inputs[0]
        largest = MAX_PIXELS // math.prod(first.shape[2:]) if first.device.type == "cpu" else MAX_BATCH
        self.batch = max(1, min(MAX_BATCH, largest))

    def __call__(self, widths: Mapping[str, int], images: range) -> Iterator[tuple[slice, Tensor]]:
        """Images at these widths, in batches, as `GenerateBatches` says."""
        self.model.resize_(widths)
        network: nn.Module = self.model.eval()
        if has_statistics(self.model.model):
            network = self.model.extract().eval()
            starts = range(0, min(CALIBRATION_IMAGES, len(self.inputs[0])), self.batch)
            calibrate_(network, (self._slice(slice(k, min(k + self.batch, CALIBRATION_IMAGES))) for k in starts))
        for start in range(images.start, images.stop, self.batch):
            part = slice(start, min(start + self.batch, images.stop))
            with torch.inference_mode():
                yield part, network(*self._slice(part)).clamp(-1, 1)

    def _slice(self, part: slice) -> tuple[Tensor, ...]:
        return tuple(tensor[part] for tensor in self.inputs)


class TeacherL1Fitness(ImageFitness):
    """Mean absolute difference to the teacher's images; a row holds the difference of one image."""

    least = 1

    def __init__(self, generator: GenerateBatches, teacher_images: Tensor):
        self.generator, self.teacher_images, self.images = generator, teacher_images, len(teacher_images)

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        differences = [
            (image.float() - self.teacher_images[indices]).abs().mean((1, 2, 3), dtype=torch.float64)
            for indices, image in self.generator(widths, images)
        ]
        return torch.cat(differences)[:, None].cpu().numpy()

    def score(self, rows: F64, without: range = NO_IMAGES) -> float:
        return float(rows.mean())


class MIoUFitness(ImageFitness):
    """1 - mIoU of a segmenter on the generated images; a row holds the confusion matrix of one image."""

    least = 1

    def __init__(
        self, generator: GenerateBatches, segmenter: Segmenter, target: Callable[[int], NDArray[np.int64]], images: int
    ):
        self.generator, self.segmenter, self.target, self.images = generator, segmenter, target, images

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        rows = []
        for indices, generated in self.generator(widths, images):
            for index, image in zip(range(indices.start, indices.stop), generated.float().cpu(), strict=True):
                confusion, target = Confusion(self.segmenter.classes), self.target(index)
                height, width = target.shape
                confusion.update(self.segmenter(image[None], (height, width)), torch.from_numpy(target)[None])
                rows.append(confusion.counts.flatten().double().numpy())
        return np.stack(rows)

    def score(self, rows: F64, without: range = NO_IMAGES) -> float:
        total = Confusion(self.segmenter.classes)  # over the pixels of all images together, as published
        total.counts = torch.from_numpy(rows.sum(0)).long().view_as(total.counts)
        return 1.0 - (total.miou(of_present=True) if self.segmenter.of_present else total.miou())


class FeatureDistanceFitness(ImageFitness):
    """Distance between the features of the generated images and of all real ones; a row holds those of one image."""

    def __init__(
        self, generator: GenerateBatches, extractor: Extractor, real_images: Tensor, kind: Literal["frechet", "kernel"]
    ):
        self.generator, self.extractor, self.kind = generator, extractor, kind
        self.least = 2 if kind == "frechet" else 3
        self.real_features = np.concatenate([extractor(part) for part in torch.split(real_images, MAX_BATCH)])
        self.images = len(self.real_features)
        self._moments = cache(lambda without: Moments.of(self._real_features(without), features=extractor.name))

    def rows(self, widths: Mapping[str, int], images: range) -> F64:
        return np.concatenate([self.extractor(image.cpu()) for _, image in self.generator(widths, images)])

    def score(self, rows: F64, without: range = NO_IMAGES) -> float:
        if self.kind == "kernel":
            return kernel_distance(rows, self._real_features(without)).value
        return frechet_distance(Moments.of(rows, features=self.extractor.name), self._moments(without))

    def _real_features(self, without: range) -> F64:
        return np.delete(self.real_features, without, axis=0)
